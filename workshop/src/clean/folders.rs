//! Folders of killed helpers: half-made root filesystems and temporary folders.

use std::env;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use nix::unistd::geteuid;

use crate::mountinfo;

use super::{Leftover, checker, pid_after, processes};
use crate::output::reason;

pub(super) fn find(project: &Path) -> Result<Vec<Leftover>> {
    let half_made = folders(project, |name, _| {
        let name = name.strip_suffix(".new").or_else(|| name.strip_suffix(".old"))?;
        pid_after("rootfs.", name)
    });
    let temporary = folders(&env::temp_dir(), |name, file| {
        // Private, as we make them: somebody's own workshop-2024-05 is not.
        let private = file.mode() & 0o077 == 0 && [0, geteuid().as_raw()].contains(&file.uid());
        checker(name).filter(|_| private)
    });
    Ok(half_made.into_iter().chain(temporary).map(leftover).collect())
}

/// The temporary ones of one checker.
pub(super) fn of_checker(pid: i32) -> Vec<Leftover> {
    let its = folders(&env::temp_dir(), |name, _| checker(name).filter(|it| *it == pid));
    its.into_iter().map(leftover).collect()
}

fn leftover(folder: PathBuf) -> Leftover {
    Leftover::new(format!("folder {}", folder.display()), move || remove(&folder))
}

/// The folders for which `pid` finds a pid, and nobody who runs under it.
fn folders(parent: &Path, pid: impl Fn(&str, &Metadata) -> Option<i32>) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let stale = entries.filter(|entry| {
        let name = entry.file_name();
        let Ok(file) = entry.metadata() else { return false };
        let pid = name.to_str().and_then(|name| pid(name, &file));
        file.is_dir() && pid.is_some_and(|pid| !processes::runs(pid))
    });
    stale.map(|entry| entry.path()).collect()
}

fn remove(folder: &Path) -> Result<()> {
    // What is mounted in there would be emptied too.
    let inside = folder.canonicalize().unwrap_or(folder.into());
    if let Some(mount) = mountinfo::own()?.iter().find(|mount| mount.point.starts_with(&inside)) {
        bail!("{} is a mount. Unmount it first", mount.point.display());
    }
    fs::remove_dir_all(folder).map_err(|error| anyhow!("{}", reason(&error)))
}
