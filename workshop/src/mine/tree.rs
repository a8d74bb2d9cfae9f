//! A small tree of files, such as a crate, read into memory and written back.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// Its bytes, and its mode
    File(Vec<u8>, u32),
    /// Where it points to
    Link(PathBuf),
}

/// Files by their paths in the tree.
pub(super) type Tree = BTreeMap<PathBuf, Entry>;

/// How the name of a file begins that is not whole yet; a killed run may leave it.
const NEW: &str = ".new-";
/// The marker of folders that cargo fills, and can fill again.
const CACHE: &str = "CACHEDIR.TAG";

/// Reads a tree, without what cargo compiled. Without the folder there are no files.
pub(super) fn read(folder: &Path) -> io::Result<Tree> {
    let mut tree = Tree::new();
    if folder.is_dir() {
        read_below(folder, Path::new(""), &mut tree)?;
    }
    Ok(tree)
}

fn read_below(folder: &Path, below: &Path, tree: &mut Tree) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let name = below.join(entry?.file_name());
        let path = folder.join(&name);
        let data = fs::symlink_metadata(&path)?;
        if data.is_symlink() {
            tree.insert(name, Entry::Link(fs::read_link(&path)?));
        } else if data.is_dir() && !path.join(CACHE).exists() {
            read_below(folder, &name, tree)?;
        } else if data.is_file() && !is_half(&name) {
            tree.insert(name, Entry::File(fs::read(&path)?, data.permissions().mode()));
        }
    }
    Ok(())
}

fn is_half(name: &Path) -> bool {
    name.file_name().is_some_and(|name| name.to_string_lossy().starts_with(NEW))
}

/// Writes one file of a tree, over what is there. It is there as a whole or not at all, and on the
/// disk.
pub(super) fn write(folder: &Path, name: &Path, entry: &Entry) -> io::Result<()> {
    write_by(folder, name, entry, |new, target| fs::rename(new, target))
}

/// The same, unless there is a file of this name: then it returns false.
pub(super) fn write_new(folder: &Path, name: &Path, entry: &Entry) -> io::Result<bool> {
    let link = |new: &Path, target: &Path| match fs::hard_link(new, target) {
        Ok(()) => fs::remove_file(new),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Not every filesystem has hard links.
        Err(_) if target.symlink_metadata().is_err() => fs::rename(new, target),
        Err(_) => Err(io::ErrorKind::AlreadyExists.into()),
    };
    match write_by(folder, name, entry, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        written => written.map(|()| true),
    }
}

fn write_by(
    folder: &Path,
    name: &Path,
    entry: &Entry,
    put: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let target = folder.join(name);
    let parent = target.parent().unwrap_or(folder);
    fs::create_dir_all(parent)?;
    let mut new = OsString::from(format!("{NEW}{}-", process::id()));
    new.push(target.file_name().unwrap_or_default());
    let new = parent.join(new);
    let written = match entry {
        Entry::Link(to) => symlink(to, &new),
        Entry::File(bytes, mode) => File::create(&new).and_then(|mut file| {
            file.write_all(bytes)?;
            file.set_permissions(Permissions::from_mode(*mode))?;
            file.sync_all()
        }),
    };
    let put = written.and_then(|()| put(&new, &target));
    if put.is_err() {
        let _ = fs::remove_file(&new);
    }
    put
}
