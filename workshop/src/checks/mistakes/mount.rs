//! Step 07: a mount namespace, and /proc.

use std::path::Path;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use super::super::mount::{has_own, shared_with_host};
use super::super::{LAST, Stage::Step};
use super::{Lab, Mistake};
use crate::kernel::{self, identity};
use crate::mountinfo::{self, Mount};

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "no-mount-namespace",
        since: Step(7),
        until: LAST,
        explains: &["mount-namespace", "mounts-private", "host-mounts", "nothing-left"],
        says: "The command is in the host's mount namespace, so whatever is mounted or made private happens to \
               the host. Call unshare(2) with CLONE_NEWNS first, before any mount(2).",
        made: no_mount_namespace,
    },
    Mistake {
        name: "private-before-unshare",
        since: Step(7),
        until: LAST,
        explains: &["host-mounts", "nothing-left"],
        says: "The host's own mounts were made private: mount(2) with MS_PRIVATE was called while `run` was \
               still in the host's mount namespace. First unshare(2) with CLONE_NEWNS, then make the copy private.",
        made: private_before_unshare,
    },
    Mistake {
        name: "only-root-private",
        since: Step(7),
        until: LAST,
        explains: &["mounts-private", "host-mounts", "nothing-left"],
        says: "/ is private, the mounts below it are still shared with the host: MS_PRIVATE alone changes a \
               single mount. Add MS_REC, which takes all below it along.",
        made: only_root_private,
    },
    Mistake {
        name: "still-shared",
        since: Step(7),
        until: LAST,
        explains: &["mounts-private", "host-mounts", "nothing-left"],
        says: "The mount namespace is a copy of the host's, but its mounts are still shared: what is mounted in \
               the one appears in the other, and stays. After unshare(2) make them private: mount(2) on / with \
               MS_REC | MS_PRIVATE.",
        made: still_shared,
    },
    Mistake {
        name: "proc-before-chroot",
        since: Step(7),
        until: LAST,
        explains: &["proc-mounted"],
        says: "A second proc lies on the /proc of the old root, and the one in the new root is empty: /proc was \
               mounted before chroot(2), when / still meant the host's. Mount it after chroot(2).",
        made: proc_before_chroot,
    },
    Mistake {
        name: "proc-of-the-host",
        since: Step(7),
        until: LAST,
        explains: &["proc-mounted"],
        says: "/proc inside is the very filesystem that is the host's /proc, shown in a second place by a bind \
               mount, so it shows the host's processes. Mount a new one in the child: mount(2) with the type proc.",
        made: proc_of_the_host,
    },
    Mistake {
        name: "proc-by-run",
        since: Step(7),
        until: LAST,
        explains: &["proc-mounted"],
        says: "/proc inside is a new proc, but it shows the host's processes: a proc belongs to the PID namespace \
               of the process that mounts it, and `run` is in the host's. Let the child mount it.",
        made: proc_by_run,
    },
];

fn no_mount_namespace(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    Ok(!has_own(lab, &held)?)
}

fn private_before_unshare(lab: &Lab) -> Result<bool> {
    let before = root_mount(lab.cage.mounts()?)?;
    let held = lab.hold(":")?;
    let during = root_mount(lab.cage.mounts()?)?;
    let was_private = before.id == during.id && before.propagation != during.propagation;
    Ok(was_private && has_own(lab, &held)?)
}

fn only_root_private(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let root = root_mount(mountinfo::of(held.run())?)?;
    let shared = shared_with_host(lab, &held)?;
    Ok(has_own(lab, &held)? && !shared.is_empty() && !shared.contains(&root))
}

fn still_shared(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    Ok(has_own(lab, &held)? && !shared_with_host(lab, &held)?.is_empty())
}

fn root_mount(mounts: Vec<Mount>) -> Result<Mount> {
    let mut mounts = mounts.into_iter();
    mounts.find(|mount| mount.point == Path::new("/")).context("nothing is mounted on /")
}

fn proc_before_chroot(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let on_proc = |mounts: Vec<Mount>| {
        mounts.iter().filter(|mount| mount.point == Path::new("/proc")).count()
    };
    let more = on_proc(mountinfo::of(held.run())?) > on_proc(lab.cage.mounts()?);
    Ok(has_own(lab, &held)? && more)
}

fn proc_of_the_host(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let other_root = device(held.command, "root")? != device(held.command, "root/proc")?;
    Ok(other_root && device(held.command, "root/proc")? == identity("/proc")?.0)
}

fn proc_by_run(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let shows_run = Path::new(&format!("/proc/{}/root/proc/{}", held.command, held.run())).exists();
    let own_pids =
        kernel::namespace(held.command, "pid")? != kernel::namespace(lab.cage.thread, "pid")?;
    let new = device(held.command, "root/proc")? != identity("/proc")?.0;
    Ok(shows_run && own_pids && new)
}

/// The filesystem of a folder that a process sees.
fn device(pid: Pid, folder: &str) -> Result<u64> {
    Ok(identity(format!("/proc/{pid}/{folder}/."))?.0)
}
