//! What containers and checks leave behind when nobody cleans up after them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::Pid;
use workshop::wait::until;
use workshop::{kernel, mountinfo};

/// Cgroups and temporary folders whose names say that a process made them which has gone: those of
/// other tests that are at work beside this one do not count.
pub struct Orphans {
    folder: PathBuf,
    before: BTreeSet<PathBuf>,
}

impl Orphans {
    /// Notes what is there before a test, in this folder for temporary files and in all cgroup trees.
    pub fn before(folder: &Path) -> Self {
        let folder = folder.to_path_buf();
        Self { before: orphans(&folder), folder }
    }

    /// Whatever has come since and is there to stay.
    pub fn since(&self) -> BTreeSet<PathBuf> {
        let mut new = BTreeSet::new();
        until(Duration::from_secs(10), || {
            new = orphans(&self.folder).difference(&self.before).cloned().collect();
            new.is_empty()
        });
        new
    }
}

fn orphans(folder: &Path) -> BTreeSet<PathBuf> {
    let mounts = mountinfo::own().unwrap();
    // v1 has a tree for every controller, v2 one for all, and many machines have both.
    let trees = mounts.iter().filter(|mount| ["cgroup", "cgroup2"].contains(&mount.kind.as_str()));
    let mut all: Vec<PathBuf> = trees.flat_map(|mount| cgroups(&mount.point)).collect();
    all.extend(fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()));
    all.retain(|path| maker(path).is_some_and(|pid| !kernel::is_alive(pid)));
    all.into_iter().collect()
}

/// Every cgroup below one.
fn cgroups(folder: &Path) -> Vec<PathBuf> {
    let below = kernel::cgroups_below(folder);
    let deeper: Vec<_> = below.iter().flat_map(|it| cgroups(it)).collect();
    below.into_iter().chain(deeper).collect()
}

/// The process in names like `mydocker-4711` and `workshop-4711-0`.
fn maker(path: &Path) -> Option<Pid> {
    let name = path.file_name()?.to_str()?;
    let rest = name.strip_prefix("mydocker-").or_else(|| name.strip_prefix("workshop-"))?;
    rest.split('-').next()?.parse().ok().map(Pid::from_raw)
}

/// The processes that run one of these programs, by whatever path and in whatever namespace.
pub fn running(programs: &[PathBuf]) -> Vec<String> {
    let files: Vec<_> = programs.iter().filter_map(|it| kernel::identity(it).ok()).collect();
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let runs = |pid: &Pid| {
        kernel::identity(format!("/proc/{pid}/exe")).is_ok_and(|file| files.contains(&file))
    };
    let found = pids.map(Pid::from_raw).filter(runs);
    found.map(|pid| format!("{pid} {:?}", kernel::arguments(pid).ok())).collect()
}

/// The names of the links in the network of a process. Whether they are up may change at any time.
pub fn links(process: u32) -> Vec<String> {
    let network = format!("--net=/proc/{process}/ns/net");
    let ip = Command::new("nsenter").args([&network, "ip", "-brief", "link"]).output();
    let ip = ip.unwrap();
    assert!(ip.status.success(), "{ip:?}");
    let lines = String::from_utf8(ip.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(['@', ' ']).next()).map(str::to_string).collect()
}
