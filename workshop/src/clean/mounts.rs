//! Mounts that a step without a mount namespace of its own left on the host.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use crate::mountinfo::{self, Mount};

use super::{Leftover, processes};

/// The steps name their tmpfs and overlay `mydocker`; a proc in the root filesystem is theirs too.
pub(super) fn find(project: &Path) -> Result<Vec<Leftover>> {
    let rootfs = project.join("rootfs").canonicalize().ok();
    let ours = |mount: &Mount| {
        let marked = mount.source == "mydocker" && ["tmpfs", "overlay"].contains(&&*mount.kind);
        let inside = rootfs.as_ref().is_some_and(|rootfs| mount.point.starts_with(rootfs));
        marked || mount.kind == "proc" && inside
    };
    let mut mounts = mountinfo::own()?;
    mounts.retain(ours);
    if mounts.is_empty() {
        return Ok(Vec::new());
    }
    // No namespace tells whose a mount is: it may have spread from a container's.
    let in_use = processes::live()?;
    // The last one first: it may lie in, or on, those before.
    let leftovers = mounts.into_iter().rev().map(|mount| {
        let what = format!("mount {} ({})", mount.point.display(), mount.kind);
        Leftover { in_use: in_use.clone(), ..Leftover::new(what, move || unmount(&mount)) }
    });
    Ok(leftovers.collect())
}

fn unmount(ours: &Mount) -> Result<()> {
    let mounts = mountinfo::own()?;
    if !mounts.iter().any(|mount| mount.id == ours.id) {
        return Ok(());
    }
    // The call takes a path and unmounts what is on top there.
    if let Some(other) = mounts.iter().rfind(|mount| mount.point == ours.point)
        && other.id != ours.id
    {
        bail!("another mount ({}) covers it. Unmount that first", other.kind);
    }
    match umount2(&ours.point, MntFlags::UMOUNT_NOFOLLOW) {
        Err(Errno::EBUSY) => detach(ours, &mounts),
        result => result.map_err(|errno| anyhow!("{}", errno.desc())),
    }
}

/// Takes a mount that is still in use out of sight; it goes when its last user does.
fn detach(ours: &Mount, mounts: &[Mount]) -> Result<()> {
    if let Some(inner) = mounts.iter().find(|mount| mount.parent == ours.id) {
        bail!("{} is mounted in it. Unmount that first", inner.point.display());
    }
    umount2(&ours.point, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH)
        .map_err(|errno| anyhow!("{}", errno.desc()))
}
