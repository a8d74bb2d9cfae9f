//! Another root folder: pivot_root(2) rather than the steps' chroot(2), which root can leave.
//!
//! An image may hold any link under any name. So whatever happens on a path in it goes through
//! [`Root`], where `/` and `..` never lead out, and links into /proc lead nowhere (openat2(2)).

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{chdir, fchdir, pivot_root};

use crate::message::{AS_ROOT, Attempt};

/// How often a lookup is tried again that somebody's renaming disturbed.
const TRIES: usize = 32;

/// How many links to nothing are followed.
const LINKS: usize = 40;

const EXISTS: &str = "Mend the image, or mount elsewhere";

/// A folder that is, or will be, the root of a container.
pub(crate) struct Root(OwnedFd);

impl Root {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = nix::fcntl::open(path, flags, Mode::empty());
        root.map(Self).or_cannot(format_args!("open {}", path.display()), "Is it a folder?")
    }

    /// A mount that is not to be left, such as /proc.
    pub(crate) fn new(folder: OwnedFd) -> Self {
        Self(folder)
    }

    /// Opens what there is at `path`.
    pub(crate) fn find(&self, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let mode = if flags.contains(OFlag::O_CREAT) { 0o644 } else { 0 };
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(Mode::from_bits_truncate(mode))
            .resolve(resolve);
        let mut opened = openat2(&self.0, path, how);
        for _ in 0..TRIES {
            match opened {
                Err(Errno::EAGAIN) => opened = openat2(&self.0, path, how),
                done => return done,
            }
        }
        opened
    }

    /// Opens a file for reading.
    pub(crate) fn read(&self, path: &str) -> nix::Result<File> {
        // A fifo must not stop us, nor a terminal become ours.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        self.find(Path::new(path), flags).map(File::from)
    }

    /// The folder at `path`, made if it is missing, to mount on.
    pub(crate) fn folder(&self, path: &Path) -> Result<OwnedFd> {
        let mut so_far = PathBuf::from("/");
        let mut folder = self.step(&so_far, path)?;
        for part in path.components() {
            match part {
                Component::Normal(part) => so_far.push(part),
                Component::ParentDir => so_far.push(".."),
                _ => continue,
            }
            folder = match self.find(&so_far, OFlag::O_PATH | OFlag::O_DIRECTORY) {
                Err(Errno::ENOENT) => {
                    let name = so_far.file_name().unwrap_or_default();
                    match mkdirat(&folder, name, Mode::from_bits_truncate(0o755)) {
                        Ok(()) | Err(Errno::EEXIST) => {}
                        Err(error) => {
                            return Err(error).or_cannot(make(&so_far, "folder"), EXISTS);
                        }
                    }
                    self.step(&so_far, path)?
                }
                found => found.or_cannot(open(&so_far, path), EXISTS)?,
            };
        }
        Ok(folder)
    }

    fn step(&self, path: &Path, whole: &Path) -> Result<OwnedFd> {
        let folder = self.find(path, OFlag::O_PATH | OFlag::O_DIRECTORY);
        folder.or_cannot(open(path, whole), EXISTS)
    }

    /// The file at `path`, made if it is missing, to mount on.
    pub(crate) fn file(&self, path: &Path) -> Result<OwnedFd> {
        let mut place = path.to_path_buf();
        // A link to nothing, such as many a resolv.conf: the file is made where it leads.
        for _ in 0..LINKS {
            match self.find(&place, OFlag::O_PATH) {
                Err(Errno::ENOENT) => {}
                found => return found.or_cannot(open(&place, path), EXISTS),
            }
            let parent = place.parent().unwrap_or(Path::new("/"));
            self.folder(parent)?;
            let link = self.find(&place, OFlag::O_PATH | OFlag::O_NOFOLLOW);
            match link.and_then(|link| readlinkat(link, "")) {
                Ok(target) => place = parent.join(target),
                Err(_) => {
                    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
                    self.find(&place, flags).or_cannot(make(&place, "file"), EXISTS)?;
                }
            }
        }
        self.find(&place, OFlag::O_PATH).or_cannot(open(&place, path), EXISTS)
    }

    /// Makes this the root of our mount namespace and lets go of the old one.
    pub(crate) fn enter(&self) -> Result<()> {
        fchdir(&self.0).or_cannot("change to the new root", "Is it a folder?")?;
        // With the new root under the old one there needs to be no folder in the image for it.
        pivot_root(".", ".").or_cannot(
            "make the container's root the root (pivot_root)",
            "Is / a mount point, and not the first ramdisk? Start from a system on a disk",
        )?;
        umount2(".", MntFlags::MNT_DETACH).or_cannot("let go of the host's root", AS_ROOT)?;
        chdir("/").or_cannot("change to the new root", "Is it a folder?")
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Changes to the working directory, made if it is missing.
pub(crate) fn work_in(root: &Root, folder: &Path) -> Result<()> {
    let cure = "Name another with --workdir";
    // By descriptor: a path through /proc/self/fd could lead to a folder of the host.
    let opened = root.folder(folder)?;
    fchdir(&opened).or_cannot(format_args!("change to {}", folder.display()), cure)?;
    verify_inside(folder)
}

/// The kernel tells a working directory outside of the root by a path that is not absolute.
fn verify_inside(folder: &Path) -> Result<()> {
    let here = nix::unistd::getcwd();
    if !here.as_ref().is_ok_and(|path| path.is_absolute()) {
        bail!(
            "cannot work in {}: it lies outside of the container. Name another",
            folder.display()
        );
    }
    Ok(())
}

/// A path as system calls take it.
pub(crate) fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        anyhow::anyhow!("cannot use {path:?}: it holds a zero byte. Name another path")
    })
}

fn open(path: &Path, whole: &Path) -> String {
    match path == whole {
        true => format!("open {} in the container", path.display()),
        false => {
            format!("open {} in the container, on the way to {}", path.display(), whole.display())
        }
    }
}

fn make(path: &Path, what: &str) -> String {
    format!("make the {what} {} in the container", path.display())
}
