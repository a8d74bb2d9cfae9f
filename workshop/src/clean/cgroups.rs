//! Cgroups of killed runs, `mydocker-PID`, and of killed checks and benches, `workshop-PID-COUNT`.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::mountinfo::{self, Mount};

use super::{Leftover, checker, pid_after, processes};
use crate::output::reason;

/// How often to kill what is in a cgroup: each time may meet those that forked meanwhile.
const ROUNDS: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

pub(super) fn find(_project: &Path) -> Result<Vec<Leftover>> {
    // The bench has one in every tree, a check in some.
    let is_tree = |mount: &Mount| ["cgroup", "cgroup2"].contains(&mount.kind.as_str());
    let (mut stale, mut seen) = (Vec::new(), HashSet::new());
    for mount in mountinfo::own()?.into_iter().filter(is_tree) {
        search(&mount.point, &mut stale);
    }
    // A tree that is mounted twice shows everything twice.
    stale.retain(|folder| {
        fs::metadata(folder).is_ok_and(|file| seen.insert((file.dev(), file.ino())))
    });
    let leftovers = stale.into_iter().map(|folder| {
        Leftover::new(format!("cgroup {}", folder.display()), move || remove(&folder))
    });
    Ok(leftovers.collect())
}

/// Those of one checker.
pub(super) fn of_checker(pid: i32) -> Result<Vec<Leftover>> {
    let is_its = |leftover: &Leftover| {
        let name = leftover.what.rsplit('/').next();
        name.is_some_and(|name| checker(name) == Some(pid))
    };
    Ok(find(Path::new(""))?.into_iter().filter(is_its).collect())
}

/// The cgroups in a cgroup.
fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

fn search(folder: &Path, stale: &mut Vec<PathBuf>) {
    for child in children(folder) {
        let name = child.file_name().unwrap_or_default().to_string_lossy();
        let stale_now = match (pid_after("mydocker-", &name), checker(&name)) {
            (Some(pid), _) => Some(is_stale(&child, pid, &[])),
            // A run in the cage of a dead checker is as stale as the cage.
            (_, Some(pid)) => Some(is_stale(&child, pid, &pids(&child))),
            _ => None,
        };
        match stale_now {
            Some(true) => stale.push(child),
            // What lies in a cgroup of ours is its owner's to remove.
            Some(false) => {}
            None => search(&child, stale),
        }
    }
}

/// The run that made it is gone, and so is any other above its processes. (Seen from outside of
/// Docker, a run inside has another pid than the one in the name.)
fn is_stale(folder: &Path, pid: i32, except: &[i32]) -> bool {
    !processes::runs(pid)
        && !pids(folder).into_iter().any(|pid| processes::belongs_to_a_run(pid, except))
        && !holds_hidden_processes(folder)
}

/// Whether only processes outside of our PID namespace are in it: nothing tells whose they are.
fn holds_hidden_processes(folder: &Path) -> bool {
    // Nothing is hidden from the first PID namespace, whose inode is the same on every machine.
    if fs::read_link("/proc/self/ns/pid").is_ok_and(|it| it == Path::new("pid:[4026531836]")) {
        return false;
    }
    let count = || fs::read_to_string(folder.join("pids.current")).unwrap_or_default();
    // Those that have just been killed count until their parent takes note.
    (0..ROUNDS).all(|_| {
        let hidden = pids(folder).is_empty() && !["", "0"].contains(&count().trim());
        if hidden {
            thread::sleep(PAUSE);
        }
        hidden
    })
}

/// The processes in a cgroup and those below.
fn pids(folder: &Path) -> Vec<i32> {
    let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    // A process that this PID namespace cannot see is listed as 0.
    let own = list.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0);
    own.chain(children(folder).iter().flat_map(|child| pids(child))).collect()
}

fn remove(folder: &Path) -> Result<()> {
    for _ in 0..ROUNDS {
        let pids = pids(folder);
        if pids.contains(&process::id().cast_signed()) {
            bail!("this program runs in it. Start it from another shell");
        }
        let processes: Vec<_> = pids.into_iter().filter_map(processes::read).collect();
        processes::end(&processes)?;
        if processes.is_empty() {
            break;
        }
    }
    remove_tree(folder)
}

fn remove_tree(folder: &Path) -> Result<()> {
    for child in children(folder) {
        remove_tree(&child)?;
    }
    let mut removed = fs::remove_dir(folder);
    // A process that has just ended is taken out a moment later.
    for _ in 0..ROUNDS {
        if !removed.as_ref().is_err_and(|error| error.kind() == ErrorKind::ResourceBusy) {
            break;
        }
        thread::sleep(PAUSE);
        removed = fs::remove_dir(folder);
    }
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(anyhow!(
            "{}. `cat {}/cgroup.procs` shows who is in it",
            reason(&error),
            folder.display()
        )),
        _ => Ok(()),
    }
}
