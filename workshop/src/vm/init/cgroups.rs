//! The two ways in which machines mount their cgroups (cgroups(7)).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};

use crate::vm::link::Hierarchy;

const ROOT: &str = "/sys/fs/cgroup";

/// On v1 these share a hierarchy on every systemd machine.
const TOGETHER: [&str; 2] = ["cpu,cpuacct", "net_cls,net_prio"];

pub(super) fn mount_as(hierarchy: Hierarchy) -> Result<()> {
    match hierarchy {
        Hierarchy::V2 => v2(),
        Hierarchy::Hybrid => hybrid(),
    }
}

/// One tree that hands all its controllers down.
fn v2() -> Result<()> {
    mount_on(ROOT, "cgroup2", "")?;
    let read = |file: &str| fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_default();
    for controller in read("cgroup.controllers").split_whitespace() {
        // Some cannot be handed down on every kernel, and are not missed.
        let _ = fs::write(Path::new(ROOT).join("cgroup.subtree_control"), format!("+{controller}"));
    }
    if !read("cgroup.subtree_control").split_whitespace().any(|name| name == "pids") {
        bail!("this kernel has no pids controller on cgroup v2");
    }
    Ok(())
}

/// A tree for each controller, and a v2 tree without any beside them.
fn hybrid() -> Result<()> {
    mount_on(ROOT, "tmpfs", "mode=755")?;
    let list = fs::read_to_string("/proc/cgroups").context("cannot read /proc/cgroups")?;
    let known: Vec<&str> = list
        .lines()
        .filter(|line| !line.starts_with('#') && line.ends_with('1'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let alone = known
        .iter()
        .copied()
        .filter(|name| !TOGETHER.iter().any(|pair| pair.split(',').any(|it| it == *name)));
    let together =
        TOGETHER.into_iter().filter(|pair| pair.split(',').all(|name| known.contains(&name)));
    for controllers in alone.chain(together) {
        mount_on(&format!("{ROOT}/{controllers}"), "cgroup", controllers)?;
    }
    mount_on(&format!("{ROOT}/systemd"), "cgroup", "none,name=systemd")?;
    mount_on(&format!("{ROOT}/unified"), "cgroup2", "")
}

fn mount_on(folder: &str, kind: &str, options: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {folder}"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(kind), folder, Some(kind), flags, Some(options))
        .with_context(|| format!("cannot mount {kind} ({options}) on {folder}"))
}
