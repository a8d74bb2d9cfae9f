//! Making files inside a folder, never outside: every folder on the way is opened by its own name,
//! and a link on the way is refused instead of followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, mkfifoat, symlinkat, unlinkat};

const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// An open folder that is the root of everything made through it.
pub(super) struct Inside(OwnedFd);

/// A name that is to be made, and the open folder in which it goes.
pub(super) struct Place {
    folder: OwnedFd,
    name: OsString,
}

impl Inside {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let root_fd = open(root, FOLDER, Mode::empty());
        root_fd.map(Self).with_context(|| format!("cannot open {}", root.display()))
    }

    /// The place for `path`; the folders on the way are made. `None` is the root itself.
    pub(super) fn place(&self, path: &Path) -> Result<Option<Place>> {
        let mut names = names(path)?;
        let Some(name) = names.pop() else { return Ok(None) };
        let mut folder = self.0.try_clone().context("cannot duplicate a file descriptor")?;
        for name in names {
            folder = open_folder(&folder, name)
                .with_context(|| format!("cannot enter {name:?} on the way"))?;
        }
        Ok(Some(Place { folder, name: name.to_owned() }))
    }
}

/// The names on the way to `path`, if all of them lead downwards.
fn names(path: &Path) -> Result<Vec<&OsStr>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::ParentDir => bail!("`..` leads out of the root filesystem"),
            Component::RootDir | Component::Prefix(_) => bail!("its name is absolute"),
        }
    }
    Ok(names)
}

/// Opens the folder `name`, which is made if it is not there.
fn open_folder(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd> {
    match mkdirat(parent, name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(error.into()),
    }
    match openat(parent, name, FOLDER, Mode::empty()) {
        Err(Errno::ELOOP | Errno::ENOTDIR) => bail!("it is a link or a file, no folder"),
        opened => Ok(opened?),
    }
}

impl Place {
    /// A folder; one that is there already only gets the mode.
    pub(super) fn folder(&self, mode: Mode) -> Result<()> {
        if openat(&self.folder, self.name.as_os_str(), FOLDER, Mode::empty()).is_err() {
            self.clear()?;
        }
        Ok(fchmod(open_folder(&self.folder, &self.name)?, mode)?)
    }

    /// An empty regular file, open for writing.
    pub(super) fn file(&self, mode: Mode) -> Result<File> {
        self.clear()?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(&self.folder, self.name.as_os_str(), flags, mode)?;
        fchmod(&file, mode)?;
        Ok(file.into())
    }

    /// A symbolic link. Its text is kept: whoever lives inside cannot leave through it.
    pub(super) fn symlink(&self, text: &Path) -> Result<()> {
        self.clear()?;
        Ok(symlinkat(text, &self.folder, self.name.as_os_str())?)
    }

    /// Another name for the file at `other`.
    pub(super) fn hard_link(&self, other: &Place) -> Result<()> {
        self.clear()?;
        let name = self.name.as_os_str();
        Ok(linkat(&other.folder, other.name.as_os_str(), &self.folder, name, AtFlags::empty())?)
    }

    /// A named pipe.
    pub(super) fn fifo(&self, mode: Mode) -> Result<()> {
        self.clear()?;
        Ok(mkfifoat(&self.folder, self.name.as_os_str(), mode)?)
    }

    /// Gives what is there, itself and not what it links to, to another owner.
    pub(super) fn give_to(&self, user: Uid, group: Gid) -> Result<()> {
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        Ok(fchownat(&self.folder, self.name.as_os_str(), Some(user), Some(group), flags)?)
    }

    /// Removes what is there: the last one of equal names counts.
    fn clear(&self) -> Result<()> {
        let name = self.name.as_os_str();
        match unlinkat(&self.folder, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => match unlinkat(&self.folder, name, UnlinkatFlags::RemoveDir) {
                Err(Errno::ENOTEMPTY) => bail!("a folder of that name has files in it"),
                removed => Ok(removed?),
            },
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
