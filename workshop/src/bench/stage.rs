//! The machine that the contestants run on: a cage, in which the cgroups are its own too, so that
//! whatever a runtime makes can be found, counted and removed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::Pid;

use crate::cage::{self, Cage};
use crate::kernel::{self, PidsCgroup};
use crate::mountinfo;
use crate::wait::until;

/// Where cgroups are mounted.
pub(super) const CGROUPS: &str = "/sys/fs/cgroup";

const NONE: Option<&str> = None;

/// The stage, as seen from outside. It is removed when it goes.
pub(super) struct Stage {
    cage: Option<Cage>,
    /// The cgroup in each v1 hierarchy but that of pids, which the cage makes
    pub(super) cgroups: Vec<PathBuf>,
    /// For temporary files
    pub(super) folder: PathBuf,
}

impl Stage {
    /// Takes root.
    pub(super) fn build() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("workshop-{}-0", process::id()));
        // Private: by this, too, `clean` knows it for ours.
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| format!("cannot create {}", folder.display()))?;
        let mut stage = Self { cage: None, cgroups: Vec::new(), folder };
        let cage = stage.cage.insert(Cage::build(&stage.folder)?);
        let leaf = cage.leaf();
        let own = leaf.parent().context("a leaf lies in a cgroup")?;
        // A runtime in Go has a thread or more for each processor.
        fs::write(own.join("pids.max"), "2000").context("cannot raise the cage's limit")?;
        if PidsCgroup::of(Pid::this())?.version == 2 {
            // As far as they are handed down to here.
            for name in ["+cpu", "+memory", "+cpuset", "+io"] {
                let _ = fs::write(own.join("cgroup.subtree_control"), name);
            }
            return Ok(stage);
        }
        let name = own.file_name().unwrap_or_default();
        for home in hierarchies()? {
            let cgroup = home.join(name);
            fs::create_dir(&cgroup)
                .with_context(|| format!("cannot create {}", cgroup.display()))?;
            // Without them nobody may join a cpuset (cpuset(7)).
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(value) = fs::read(home.join(file)) {
                    fs::write(cgroup.join(file), value)
                        .with_context(|| format!("cannot write {file}"))?;
                }
            }
            stage.cgroups.push(cgroup);
        }
        Ok(stage)
    }

    /// Starts a program on it, whose stdout comes here.
    pub(super) fn spawn(&self, program: &[OsString]) -> Result<Child> {
        let cage = self.cage.as_ref().context("there is no cage")?;
        cage.spawn(program, |command| {
            command.stdin(Stdio::null()).stdout(Stdio::piped());
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // All that runs is killed, and waited for, with it.
        drop(self.cage.take());
        for cgroup in &self.cgroups {
            until(Duration::from_secs(5), || cage::remove_cgroup(cgroup).is_ok());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Our own cgroup in every v1 hierarchy but that of pids.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = mountinfo::own()?;
    let mut found = Vec::new();
    for (controllers, path) in memberships()? {
        let shows = |mount: &&mountinfo::Mount| {
            let options: Vec<_> = mount.options.split(',').collect();
            mount.kind == "cgroup" && controllers.split(',').all(|name| options.contains(&name))
        };
        let below = |mount: &mountinfo::Mount| {
            Some(mount.point.join(Path::new(&path).strip_prefix(&mount.root).ok()?))
        };
        let folder = mounts.iter().filter(shows).find_map(below);
        found.extend(folder.filter(|_| !controllers.split(',').any(|name| name == "pids")));
    }
    Ok(found)
}

/// The v1 hierarchies, by their controllers or name, with the path of our own cgroup in each.
fn memberships() -> Result<Vec<(String, String)>> {
    let text = kernel::read(Pid::this(), "cgroup")?;
    let lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let v1 = lines.filter(|(controllers, _)| !controllers.is_empty());
    Ok(v1.map(|(controllers, path)| (controllers.to_string(), path.to_string())).collect())
}

/// Completes the stage from inside: this process gets a view of cgroups in which its own are the
/// roots, and nothing that a contestant does changes the root filesystem. Returns the cgroup that
/// this process is in.
pub(super) fn enter(cgroups: &[PathBuf], rootfs: &Path) -> Result<PathBuf> {
    for cgroup in cgroups {
        fs::write(cgroup.join("cgroup.procs"), "0")
            .with_context(|| format!("cannot join {}", cgroup.display()))?;
    }
    let version = PidsCgroup::of(Pid::this())?.version;
    unshare(CloneFlags::CLONE_NEWCGROUP).context("cannot create a cgroup namespace")?;
    umount2(CGROUPS, MntFlags::MNT_DETACH).context("cannot unmount the machine's cgroups")?;
    let own = match version {
        1 => mount_v1().context("cannot mount cgroups v1")?,
        _ => mount_v2().context("cannot mount cgroups v2")?,
    };
    // Podman has its locks there, and more. The machine's own stay as they are.
    for folder in ["/var/lib/containers", "/dev/shm"] {
        if Path::new(folder).is_dir() {
            mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
                .with_context(|| format!("cannot mount a tmpfs on {folder}"))?;
        }
    }
    let what = || format!("cannot make {} read-only", rootfs.display());
    mount(Some(rootfs), rootfs, NONE, MsFlags::MS_BIND, NONE).with_context(what)?;
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(NONE, rootfs, NONE, read_only, NONE).with_context(what)?;
    Ok(own)
}

/// Only v1: of a mixture some runtimes want nothing to do.
fn mount_v1() -> Result<PathBuf> {
    let root = Path::new(CGROUPS);
    mount(Some("tmpfs"), root, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    let mut own = root.to_path_buf();
    for (controllers, _) in memberships()? {
        let name = controllers.trim_start_matches("name=");
        let folder = root.join(name);
        fs::create_dir(&folder)?;
        mount(
            Some("cgroup"),
            &folder,
            Some("cgroup"),
            MsFlags::empty(),
            Some(controllers.as_str()),
        )
        .with_context(|| format!("cannot mount {controllers}"))?;
        let names: Vec<_> = name.split(',').collect();
        if names.contains(&"pids") {
            own = folder;
        }
        for alias in names.iter().filter(|_| names.len() > 1) {
            symlink(name, root.join(alias))?;
        }
    }
    Ok(own)
}

/// A cgroup that hands controllers down may hold no processes: this one moves into a leaf.
fn mount_v2() -> Result<PathBuf> {
    let root = Path::new(CGROUPS);
    mount(Some("cgroup2"), root, Some("cgroup2"), MsFlags::empty(), NONE)?;
    let own = root.join("bench");
    fs::create_dir(&own)?;
    fs::write(own.join("cgroup.procs"), "0")?;
    for name in fs::read_to_string(root.join("cgroup.controllers"))?.split_whitespace() {
        fs::write(root.join("cgroup.subtree_control"), format!("+{name}"))
            .with_context(|| format!("cannot hand down {name}"))?;
    }
    Ok(own)
}
