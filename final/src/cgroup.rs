//! A cgroup limits what a container uses, and knows all of its processes (cgroups(7)).
//!
//! On cgroup v2 one tree has all controllers, on v1 each controller has a tree of its own, and a
//! hybrid machine has some of each. So a container's cgroup is a list of folders, one a tree.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use make_rootfs::mountinfo::{self, Mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::message::{AS_ROOT, Attempt};
use crate::parse::Cpus;

mod limits;
#[cfg(test)]
mod tests;

pub(crate) use limits::Limits;

/// How long processes that were killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// The two interfaces that the kernel has (cgroups(7), and its Documentation/admin-guide).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Version {
    V1,
    V2,
}

/// A container's folder in one tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Branch {
    pub(crate) version: Version,
    /// The controllers wanted here: of `cpu`, `memory` and `pids`.
    pub(crate) controllers: Vec<String>,
    /// All names under which a v1 tree is mounted, such as `cpu,cpuacct`.
    pub(crate) tree: String,
    pub(crate) folder: PathBuf,
}

/// A container's cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Cgroup {
    pub(crate) branches: Vec<Branch>,
}

impl Cgroup {
    /// Decides where the cgroup of the container `name` will be. Changes nothing.
    pub(crate) fn plan(name: &str, limits: &Limits) -> Result<Self> {
        let own = "/proc/self/cgroup";
        let own = fs::read_to_string(own).or_cannot(format_args!("read {own}"), "Mount /proc")?;
        Self::find(name, &limits.controllers(), &own, &mountinfo::own()?)
    }

    fn find(name: &str, wanted: &[&str], own: &str, mounts: &[Mount]) -> Result<Self> {
        let mut branches: Vec<Branch> = Vec::new();
        for controller in wanted {
            let (version, tree, home) = home(controller, own, mounts)?;
            if let Some(branch) = branches.iter_mut().find(|it| it.tree == tree) {
                branch.controllers.push(controller.to_string());
                continue;
            }
            let controllers = vec![controller.to_string()];
            branches.push(Branch { version, controllers, tree, folder: home });
        }
        for branch in &mut branches {
            let parent = branch.parent(&branch.folder)?;
            branch.folder = parent.join(format!("final-{name}"));
        }
        Ok(Self { branches })
    }

    /// Creates the folders and writes the limits.
    pub(crate) fn create(&self, limits: &Limits) -> Result<()> {
        for branch in &self.branches {
            let shown = branch.folder.display();
            fs::create_dir(&branch.folder).or_cannot(format_args!("create {shown}"), AS_ROOT)?;
            for (file, value, required) in limits.files(branch) {
                match overwrite(&branch.folder.join(file), &value) {
                    // Machines without swap accounting have no file for it.
                    Err(error) if !required && error.kind() == io::ErrorKind::NotFound => {}
                    written => {
                        let what = format_args!("write {value} to {shown}/{file}").to_string();
                        written.or_cannot(what, "Does the machine have that much?")?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The folder into which clone3 can start a process, if there is one.
    pub(crate) fn v2(&self) -> Result<Option<File>> {
        let Some(branch) = self.branches.iter().find(|it| it.version == Version::V2) else {
            return Ok(None);
        };
        let what = format!("open {}", branch.folder.display());
        File::open(&branch.folder).map(Some).or_cannot(what, AS_ROOT)
    }

    /// Moves this process, which has one thread, into the cgroup; `v2_done` if clone3 did that half.
    pub(crate) fn join(&self, v2_done: bool) -> Result<()> {
        for branch in &self.branches {
            // For a single thread that moves itself, the kernel waits for nobody. A process that is
            // written to cgroup.procs may wait for all processors: that takes milliseconds.
            let file = match branch.version {
                Version::V1 => "tasks",
                Version::V2 if v2_done => continue,
                Version::V2 => "cgroup.procs",
            };
            let file = branch.folder.join(file);
            fs::write(&file, "0").or_cannot(format_args!("join {}", file.display()), AS_ROOT)?;
        }
        Ok(())
    }

    /// How often the kernel killed a process of the container for want of memory.
    pub(crate) fn out_of_memory(&self) -> u64 {
        let Some(branch) = self.branches.iter().find(|it| it.has("memory")) else { return 0 };
        let file = match branch.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let text = fs::read_to_string(branch.folder.join(file)).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok());
        count.unwrap_or(0)
    }

    /// Kills what is left in the cgroup and removes it. Goes on past failures and returns them.
    pub(crate) fn remove(&self) -> Vec<anyhow::Error> {
        self.branches.iter().filter_map(|branch| branch.remove().err()).collect()
    }
}

impl Branch {
    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|it| it == controller)
    }

    /// Where a new cgroup gets the controllers: at `home` on v1. On v2 a cgroup that has processes
    /// hands none down, so there it is the nearest above that does, or that can be told to.
    fn parent(&self, home: &Path) -> Result<PathBuf> {
        if self.version == Version::V1 {
            return Ok(home.to_path_buf());
        }
        let read = |folder: &Path, file| fs::read_to_string(folder.join(file)).unwrap_or_default();
        let missing = |folder: &Path| {
            let enabled = read(folder, "cgroup.subtree_control");
            let enabled: Vec<_> = enabled.split_whitespace().collect();
            let lacks = |name: &&String| !enabled.contains(&name.as_str());
            self.controllers.iter().filter(lacks).cloned().collect::<Vec<_>>()
        };
        let above = || home.ancestors().take_while(|it| it.join("cgroup.procs").exists());
        if let Some(parent) = above().find(|folder| missing(folder).is_empty()) {
            return Ok(parent.to_path_buf());
        }
        for folder in above() {
            // With processes of its own it would become threaded instead: only the root may.
            let root = !folder.join("cgroup.type").exists();
            if !root && !read(folder, "cgroup.procs").is_empty() {
                continue;
            }
            let enable: Vec<_> = missing(folder).iter().map(|name| format!("+{name}")).collect();
            if fs::write(folder.join("cgroup.subtree_control"), enable.join(" ")).is_ok() {
                return Ok(folder.to_path_buf());
            }
        }
        bail!(
            "cannot limit {}: no cgroup from {} upwards hands that down. {AS_ROOT}",
            self.controllers.join(", "),
            home.display()
        )
    }

    fn remove(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    if begin.elapsed() > PATIENCE {
                        let what = format!("remove the cgroup {}", self.folder.display());
                        return Err(error).or_cannot(what, "Run: final prune");
                    }
                    self.kill();
                    sleep(Duration::from_millis(1));
                }
                // A tree that cannot be written does not say that it is not there.
                Err(_) if !self.folder.exists() => return Ok(()),
                removed => {
                    let what = format!("remove the cgroup {}", self.folder.display());
                    return removed.or_cannot(what, "Run: final prune");
                }
            }
        }
    }

    /// Kills every process in the cgroup and in those below it.
    fn kill(&self) {
        if self.version == Version::V2 && fs::write(self.folder.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        kill_below(&self.folder);
    }
}

/// Writes to a file that is there. `fs::write` would create a missing one, which cgroups refuse with
/// EACCES, as if we were not root.
fn overwrite(file: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

fn kill_below(folder: &Path) {
    let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for pid in procs.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_below(&entry.path());
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The tree that has the controller, and our own folder in it.
fn home(controller: &str, own: &str, mounts: &[Mount]) -> Result<(Version, String, PathBuf)> {
    // v1 has a line for each tree, like `4:cpu,cpuacct:/a/b`, v2 has one line, `0::/a/b`.
    let lines = own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let in_list = |list: &str, name: &str| list.split(',').any(|it| it == name);
    let v1 = lines.clone().find(|(tree, _)| in_list(tree, controller));
    let v2 = lines.clone().find(|(tree, _)| tree.is_empty());
    let (version, (tree, path)) = match (v1, v2) {
        (Some(found), _) => (Version::V1, found),
        (None, Some(found)) => (Version::V2, found),
        _ => bail!("cannot limit {controller}: the kernel has no such cgroup controller"),
    };
    let shows = |mount: &&Mount| match version {
        Version::V1 => mount.kind == "cgroup" && in_list(&mount.options, controller),
        Version::V2 => mount.kind == "cgroup2",
    };
    // A tree can be mounted more than once; what counts is a mount that shows our folder.
    let below =
        |mount: &Mount| Some(mount.point.join(Path::new(path).strip_prefix(&mount.root).ok()?));
    let folder = mounts.iter().filter(shows).find_map(below).with_context(|| {
        let kind = if version == Version::V1 { "cgroup v1" } else { "cgroup v2" };
        format!(
            "cannot limit {controller}: no {kind} tree that shows our cgroup {path} is mounted. \
             Mount one on /sys/fs/cgroup"
        )
    })?;
    Ok((version, tree.to_string(), folder))
}
