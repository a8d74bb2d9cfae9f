//! Step 09: an overlay filesystem.

use std::path::Path;

use anyhow::Result;

use super::super::mount::{has_own, shared_with_host};
use super::super::{LAST, Stage::Step};
use super::{Lab, Mistake};
use crate::container::{Held, token};
use crate::kernel::identity;
use crate::mountinfo::{self, Mount};

/// What is red if the command's root is the root filesystem itself.
const ALL: &[&str] = &["overlay-root", "writes-above", "fresh-start", "lower-kept", "apart"];

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "overlay-invalid",
        since: Step(9),
        until: LAST,
        explains: &[
            "command-runs",
            "working-directory",
            "only-inside",
            "overlay-root",
            "writes-above",
            "fresh-start",
            "lower-kept",
            "apart",
        ],
        says: "The kernel refused the overlay's options. With an upperdir it also needs a workdir: an empty folder \
               on the same filesystem, beside upper and not in it, and that filesystem must be no overlay itself. \
               `sudo dmesg | tail` tells which it was.",
        made: overlay_invalid,
    },
    Mistake {
        name: "chroot-into-lower",
        since: Step(9),
        until: LAST,
        explains: ALL,
        says: "The overlay is mounted, but nobody looks at it: the command's root is the root filesystem itself, \
               the lower layer. Call chroot(2) with the merged folder.",
        made: chroot_into_lower,
    },
    Mistake {
        name: "bind-mount",
        since: Step(9),
        until: LAST,
        explains: ALL,
        says: "The command's root is a bind mount of the root filesystem: the same files in a second place, so \
               writes reach them. Mount an overlay there, with the root filesystem as its lowerdir.",
        made: bind_mount,
    },
    Mistake {
        name: "no-upper",
        since: Step(9),
        until: LAST,
        explains: &["overlay-root", "writes-above", "fresh-start", "lower-kept", "apart"],
        says: "The command's root is an overlay without an upperdir, with lower layers only: it cannot be written \
               to. Give it an empty folder as upperdir, and a workdir.",
        made: no_upper,
    },
    Mistake {
        name: "upper-kept",
        since: Step(9),
        until: LAST,
        explains: &["fresh-start", "apart"],
        says: "What one run writes is not in the root filesystem, but the next run sees it: both use the same upper \
               folder, which outlives them. Give each run its own, best on a tmpfs in its mount namespace.",
        made: upper_kept,
    },
    Mistake {
        name: "mounted-before-unshare",
        since: Step(9),
        until: LAST,
        explains: &["host-mounts", "nothing-left"],
        says: "The overlay appeared among the host's mounts, though the container's are private: it was mounted \
               before unshare(2) with CLONE_NEWNS. Mount it after the mounts have been made private.",
        made: mounted_before_unshare,
    },
];

/// A refused mount leaves nothing to look at: what is said of it is all the evidence.
fn overlay_invalid(lab: &Lab) -> Result<bool> {
    let said = lab.run(&["true"])?.stderr.to_lowercase();
    let invalid = ["invalid argument", "einval", "os error 22"];
    Ok(said.contains("overlay") && invalid.iter().any(|word| said.contains(word)))
}

fn overlays(mounts: &[Mount]) -> usize {
    mounts.iter().filter(|mount| mount.kind == "overlay").count()
}

/// Is the command's root the root filesystem itself, by whatever way?
fn is_lower(lab: &Lab, held: &Held) -> Result<bool> {
    Ok(identity(format!("/proc/{}/root/.", held.command))? == identity(lab.rootfs)?)
}

fn chroot_into_lower(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let more = overlays(&mountinfo::of(held.run())?) > overlays(&lab.cage.mounts()?);
    Ok(is_lower(lab, &held)? && more)
}

fn bind_mount(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    Ok(is_lower(lab, &held)? && root(&held)?.is_some())
}

fn no_upper(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let read_only = |mount: Mount| mount.kind == "overlay" && !mount.options.contains("upperdir=");
    Ok(root(&held)?.is_some_and(read_only))
}

/// What is mounted on the command's /, if anything is.
fn root(held: &Held) -> Result<Option<Mount>> {
    let mounts = mountinfo::of(held.command)?;
    Ok(mounts.into_iter().rfind(|mount| mount.point == Path::new("/")))
}

fn upper_kept(lab: &Lab) -> Result<bool> {
    let file = token();
    lab.hold(&format!("echo foobar > /{file}"))?.end()?;
    let next = lab.hold(":")?;
    let seen = Path::new(&format!("/proc/{}/root/{file}", next.command)).exists();
    Ok(seen && !lab.rootfs.join(file).exists())
}

fn mounted_before_unshare(lab: &Lab) -> Result<bool> {
    let before = overlays(&lab.cage.mounts()?);
    let held = lab.hold(":")?;
    let leaked = overlays(&lab.cage.mounts()?) > before;
    Ok(leaked && has_own(lab, &held)? && shared_with_host(lab, &held)?.is_empty())
}
