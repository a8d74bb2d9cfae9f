//! Step 07: a mount namespace, and /proc (mount_namespaces(7)).

use std::fs;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use super::Stage::{Final, Step};
use super::uts::own_namespace;
use super::{Check, Kind, Lab, Verdict};
use crate::container::Held;
use crate::kernel;
use crate::mountinfo::{self, Mount};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "mount-namespace",
        title: "the command has a mount namespace of its own",
        since: Step(7),
        until: Final,
        kind: Kind::New,
        by_hand: "readlink /proc/$$/ns/mnt, inside and outside",
        probe: mount_namespace,
    },
    Check {
        name: "mounts-private",
        title: "no mount of the container is shared with the host",
        since: Step(7),
        until: Final,
        kind: Kind::New,
        by_hand: "cat /proc/PID/mountinfo, look for shared:",
        probe: mounts_private,
    },
    Check {
        name: "proc-mounted",
        title: "/proc inside shows the container's processes and no others",
        since: Step(7),
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run ps ax",
        probe: proc_mounted,
    },
    Check {
        name: "host-mounts",
        title: "while the container runs, the host's mounts are as before",
        since: Step(7),
        until: Final,
        kind: Kind::Duty,
        by_hand: "mount | grep proc, outside",
        probe: host_mounts,
    },
];

fn mount_namespace(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    own_namespace(
        lab,
        held.command,
        "mnt",
        "unshare(2) with CLONE_NEWNS must come before anything is mounted.",
    )
}

fn mounts_private(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let mounts = mountinfo::of(viewer(&held)?)?;
    // In the host's namespace all of them are the host's, shared or not.
    let apart = has_own(lab, &held)?;
    let shared = shared_with_host(lab, &held)?;
    let found = match shared.first() {
        Some(mount) => {
            format!(
                "{} is {} inside and outside",
                mount.point.display(),
                mount.propagation.join(" ")
            )
        }
        None if apart => format!("{} mounts, none of them shared with the host", mounts.len()),
        None => format!("{} mounts, and they are the host's own", mounts.len()),
    };
    let meaning = "A new mount namespace is a copy, and its shared mounts still pass on what is mounted below \
                   them. Make all private first: mount(2) with MS_REC | MS_PRIVATE on /.";
    Ok(Verdict::new(apart && shared.is_empty(), "no mount is shared", found, meaning))
}

/// Is the command's mount namespace another one than the host's?
pub(super) fn has_own(lab: &Lab, held: &Held) -> Result<bool> {
    Ok(kernel::namespace(held.command, "mnt")? != kernel::namespace(lab.cage.thread, "mnt")?)
}

/// Who sees most of the command's mounts: `run` sees all of the namespace, if it is in there, the
/// command only those below its root.
fn viewer(held: &Held) -> Result<Pid> {
    let same = kernel::namespace(held.run(), "mnt")? == kernel::namespace(held.command, "mnt")?;
    Ok(if same { held.run() } else { held.command })
}

/// The mounts with the same number on both sides: what is mounted below one appears below the other.
pub(super) fn shared_with_host(lab: &Lab, held: &Held) -> Result<Vec<Mount>> {
    let host = lab.cage.mounts()?;
    let host: Vec<&String> = host.iter().flat_map(|mount| &mount.propagation).collect();
    let mut mounts = mountinfo::of(viewer(held)?)?;
    let shared = |tag: &String| tag.starts_with("shared:") && host.contains(&tag);
    mounts.retain(|mount| mount.propagation.iter().any(shared));
    Ok(mounts)
}

fn proc_mounted(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold("sleep 30 &")?;
    let proc = format!("/proc/{}/root/proc", held.command);
    let mut shown: Vec<i32> = fs::read_dir(&proc)
        .with_context(|| format!("cannot read {proc}"))?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    let namespace = kernel::namespace(held.command, "pid")?;
    let inside = |pid: &Pid| kernel::namespace(*pid, "pid").is_ok_and(|it| it == namespace);
    let ids = |pid: Pid| kernel::ids(pid).ok()?.last().copied();
    let mut real: Vec<i32> =
        lab.cage.processes().into_iter().filter(inside).filter_map(ids).collect();
    shown.sort_unstable();
    real.sort_unstable();
    let meaning = if shown.is_empty() {
        "Nothing is mounted on /proc in the root filesystem."
    } else {
        "A proc shows the PID namespace of the process that mounted it: the child must, not `run`."
    };
    let expected = format!("the processes {real:?}");
    Ok(Verdict::new(shown == real, expected, format!("/proc shows {shown:?}"), meaning))
}

fn host_mounts(lab: &Lab) -> Result<Verdict> {
    let before = lab.cage.mounts()?;
    let held = lab.hold(":")?;
    let during = lab.cage.mounts()?;
    held.end()?;
    let found = match during.iter().find(|mount| !before.contains(mount)) {
        Some(mount) if before.iter().any(|old| old.id == mount.id) => {
            let now = mount.propagation.first().map_or("private", String::as_str);
            format!("the host's {} has become {now}", mount.point.display())
        }
        Some(mount) => format!("{} appeared on {}", mount.kind, mount.point.display()),
        None if during == before => format!("{} mounts before and during the run", before.len()),
        None => "a mount of the host has gone".to_string(),
    };
    let meaning = "What is mounted in the container leaks to the host if the mount above is shared. And no \
                   mount of the host is to change.";
    Ok(Verdict::new(during == before, "the same mounts", found, meaning))
}
