//! Removing a folder without following a link or reaching into another filesystem.

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Result, bail};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, lstat};
use nix::unistd::{UnlinkatFlags, unlink, unlinkat};

use crate::mountinfo;

const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Fails if something is mounted at `folder` or below it.
pub(super) fn refuse_mounts(folder: &Path) -> Result<()> {
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    let mounts = mountinfo::own()?;
    match mounts.iter().map(|mount| &mount.point).find(|point| point.starts_with(&folder)) {
        Some(point) => bail!(
            "cannot replace {}: something is mounted on {}. Leave your containers and run: \
             cargo workshop clean",
            folder.display(),
            point.display()
        ),
        None => Ok(()),
    }
}

/// Removes `path` and everything in it that can be removed. The error names the first thing that
/// could not.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let data = match lstat(path) {
        Err(Errno::ENOENT) => return Ok(()),
        data => data?,
    };
    if !is_folder(&data) {
        return Ok(unlink(path)?);
    }
    let mut first = None;
    let folder = Dir::open(path, FOLDER, Mode::empty());
    let mut note = |at: &Path, error: Errno| {
        first.get_or_insert_with(|| {
            io::Error::new(
                io::Error::from(error).kind(),
                format!("{}: {}", at.display(), error.desc()),
            )
        });
    };
    match folder {
        Ok(folder) => empty(folder, path, data.st_dev, &mut note),
        Err(error) => note(path, error),
    }
    // Fails if anything is left, which then is the reason already noted.
    if let Err(error) = fs::remove_dir(path) {
        note(path, Errno::from_raw(error.raw_os_error().unwrap_or_default()));
    }
    first.map_or(Ok(()), Err)
}

/// Removes what the open `folder` holds, unless it lies on another device than `device`.
fn empty(mut folder: Dir, path: &Path, device: u64, note: &mut dyn FnMut(&Path, Errno)) {
    let names: Vec<CString> =
        folder.iter().flatten().map(|entry| entry.file_name().to_owned()).collect();
    for name in names.iter().filter(|name| ![c".", c".."].contains(&name.as_c_str())) {
        let at = path.join(OsStr::from_bytes(name.to_bytes()));
        if let Err(error) = remove_entry(&folder, name, &at, device, note) {
            note(&at, error);
        }
    }
}

fn remove_entry(
    folder: &Dir,
    name: &CStr,
    at: &Path,
    device: u64,
    note: &mut dyn FnMut(&Path, Errno),
) -> nix::Result<()> {
    let data = fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if !is_folder(&data) {
        return unlinkat(folder, name, UnlinkatFlags::NoRemoveDir);
    }
    if data.st_dev != device {
        return Err(Errno::EXDEV);
    }
    empty(Dir::openat(folder.as_fd(), name, FOLDER, Mode::empty())?, at, device, note);
    unlinkat(folder, name, UnlinkatFlags::RemoveDir)
}

fn is_folder(data: &FileStat) -> bool {
    SFlag::from_bits_truncate(data.st_mode).intersection(SFlag::S_IFMT) == SFlag::S_IFDIR
}
