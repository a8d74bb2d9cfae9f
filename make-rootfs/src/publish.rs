//! Building beside the old root filesystem and renaming into place: whoever looks finds the old
//! one or the new one, never half of one.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::{env, process};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, geteuid};

use super::{cure, remove};

/// Lets `fill` fill an empty folder beside `target`, then puts that in its place. Returns what
/// `fill` returned, and a warning if not all of the old one could be removed.
pub(super) fn publish<T>(
    target: &Path,
    fill: impl FnOnce(&Path) -> Result<T>,
) -> Result<(T, Option<String>)> {
    remove::refuse_mounts(target)?;
    let new = Beside(sibling(target, "new"));
    let mask = umask(Mode::from_bits_truncate(0o022));
    let filled = fs::create_dir(&new.0)
        .map_err(|error| {
            let tried = format!("cannot make the folder {}", new.0.display());
            cure(&tried, error, "Make room, or make it elsewhere with --into FOLDER")
        })
        .and_then(|()| fill(&new.0));
    umask(mask);
    let filled = filled?;
    hand_over(&new.0)?;
    remove::refuse_mounts(target)?;
    let old = swap(&new.0, target)
        .with_context(|| format!("cannot rename {} to {}", new.0.display(), target.display()))?;
    Ok((filled, old.and_then(|old| warning(discard(&old)))))
}

/// A temporary folder, removed with whatever is in it.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = remove::remove(&self.0);
    }
}

/// `rootfs` becomes `rootfs.1234.new`: beside it, so that a rename is enough.
fn sibling(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{suffix}", process::id()));
    target.with_file_name(name)
}

/// With sudo, the work tree still belongs to the user.
fn hand_over(folder: &Path) -> Result<()> {
    let number = |name| env::var(name).ok()?.parse::<u32>().ok();
    let (Some(user), Some(group)) = (number("SUDO_UID"), number("SUDO_GID")) else { return Ok(()) };
    if !geteuid().is_root() {
        return Ok(());
    }
    visit(folder, &mut |path, _| lchown(path, Some(user), Some(group)))
        .with_context(|| format!("cannot give {} to user {user}", folder.display()))
}

/// Calls `see` with `path` and everything in it, itself last.
pub fn visit(
    path: &Path,
    see: &mut dyn FnMut(&Path, &fs::Metadata) -> io::Result<()>,
) -> io::Result<()> {
    let data = path.symlink_metadata()?;
    if data.is_dir() {
        for entry in fs::read_dir(path)? {
            visit(&entry?.path(), see)?;
        }
    }
    see(path, &data)
}

/// Puts `new` in the place of `target` and returns where the old one went.
fn swap(new: &Path, target: &Path) -> io::Result<Option<PathBuf>> {
    match fs::rename(new, target) {
        // There was nothing, or an empty folder.
        Ok(()) => return Ok(None),
        Err(error) if !is_taken(&error) => return Err(error),
        Err(_) => {}
    }
    let old = sibling(target, "old");
    if exchange(new, target).is_ok() {
        fs::rename(new, &old)?;
        return Ok(Some(old));
    }
    // Not every filesystem can exchange two names.
    fs::rename(target, &old)?;
    if let Err(error) = fs::rename(new, target) {
        fs::rename(&old, target)?;
        return Err(error);
    }
    Ok(Some(old))
}

fn is_taken(error: &io::Error) -> bool {
    use ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | NotADirectory)
}

#[cfg(target_env = "gnu")]
fn exchange(one: &Path, other: &Path) -> nix::Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
}

#[cfg(not(target_env = "gnu"))]
fn exchange(_: &Path, _: &Path) -> nix::Result<()> {
    Err(Errno::ENOSYS)
}

/// Removes an old root filesystem, and says what to do if that fails.
pub(super) fn discard(old: &Path) -> Result<()> {
    remove::refuse_mounts(old)?;
    let rest = format!("Remove the rest with: sudo rm -rf {}", quote(old));
    remove::remove(old)
        .map_err(|error| cure("cannot remove all of an old root filesystem", error, &rest))
}

/// A path as one types it to a shell.
fn quote(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// What killed runs left beside `target`: `rootfs.1234.new` and `rootfs.1234.old` where no process
/// 1234 is alive.
pub(super) fn stale(target: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}.", name.to_string_lossy());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let middle = name
            .strip_prefix(&prefix)
            .and_then(|rest| rest.strip_suffix(".new").or(rest.strip_suffix(".old")));
        let pid = middle.and_then(|pid| pid.parse().ok()).filter(|pid: &i32| *pid > 0);
        let gone = |pid| pid == Pid::this() || kill(pid, None) == Err(Errno::ESRCH);
        if pid.is_some_and(|pid| gone(Pid::from_raw(pid))) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Removes what killed runs left beside `target`. Returns what could not be removed, as warnings.
pub(super) fn discard_stale(target: &Path) -> Vec<String> {
    stale(target).unwrap_or_default().iter().filter_map(|path| warning(discard(path))).collect()
}

fn warning(done: Result<()>) -> Option<String> {
    done.err().map(|error| format!("{error:#}"))
}
