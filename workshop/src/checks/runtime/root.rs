//! The root: no way leads out of it.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, chdir, chroot, fchdir, gettid};

use crate::checks::Stage::Final;
use crate::checks::{Check, Kind, Lab, Verdict};
use crate::container::token;
use crate::kernel::{self, identity, within_mounts};
use crate::mountinfo::{self, Mount};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "pivot-root",
        title: "the host's root is mounted nowhere in the container's mount namespace",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "nsenter --target PID --mount ls /, outside",
        probe: pivot_root,
    },
    Check {
        name: "no-way-out",
        title: "mkdir, chroot and cd .. do not lead out, and neither does /proc/1/root",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "inside, as root: python3 -c 'import os; os.mkdir(\"/x\"); os.chroot(\"/x\"); \
                  [os.chdir(\"..\") for _ in range(64)]; os.chroot(\".\"); print(os.listdir(\"/\"))'",
        probe: no_way_out,
    },
    Check {
        name: "rootfs-folder",
        title: "with --rootfs, IMAGE is a folder, and it is left untouched",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p final -- run --rm --rootfs rootfs touch /x; ls rootfs",
        probe: rootfs_folder,
    },
];

fn pivot_root(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let host = lab.cage.mounts()?;
    let host = host.iter().rfind(|it| it.point == Path::new("/")).context("the host has no /")?;
    let all = mounts_of_namespace(held.command)?;
    let seen = mountinfo::of(held.command)?.len();
    let is_host =
        |it: &&Mount| (&it.source, &it.root, &it.kind) == (&host.source, &host.root, &host.kind);
    let leaks = all.iter().find(is_host);
    let found = match leaks {
        Some(mount) => format!(
            "of {} mounts in the namespace the command sees {seen}; on {} there is the host's {}",
            all.len(),
            mount.point.display(),
            mount.kind
        ),
        None => format!("of {} mounts in the namespace the command sees {seen}", all.len()),
    };
    let expected = "the command sees all mounts of its namespace, and none is the host's root";
    let meaning = "chroot(2) only changes where / is looked up: the old root is still there. \
                   pivot_root(2) swaps the two, and then the old one can be unmounted.";
    let holds = leaks.is_none() && seen == all.len();
    Ok(Verdict::new(holds, expected, found, meaning))
}

/// All mounts of a process's namespace, whatever root the process has.
fn mounts_of_namespace(pid: Pid) -> Result<Vec<Mount>> {
    // The container's own /proc does not know our threads.
    let proc = File::open("/proc").context("cannot open /proc")?;
    within_mounts(pid, move || {
        let file = format!("{}/task/{}/mountinfo", Pid::this(), gettid());
        let list = openat(&proc, file.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
        let list = File::from(list.context("cannot open our own mountinfo")?);
        let list = std::io::read_to_string(list).context("cannot read our own mountinfo")?;
        Ok(list.lines().filter_map(mountinfo::parse).collect())
    })
}

fn no_way_out(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let root = identity(format!("/proc/{}/root/.", held.command))?;
    let escaped = escape(held.command)?;
    let namespace = kernel::namespace(held.command, "pid")?;
    let first = |pid: &Pid| {
        kernel::namespace(*pid, "pid").is_ok_and(|it| it == namespace)
            && kernel::ids(*pid).is_ok_and(|ids| ids.last() == Some(&1))
    };
    let first = lab.cage.processes().into_iter().find(first).context("there is no process 1")?;
    let by_proc = identity(format!("/proc/{first}/root/."))?;
    let host = identity("/")?;
    let tell = |place| match place {
        place if place == root => "the container's root",
        place if place == host => "the host's root",
        _ => "another folder",
    };
    let found =
        format!("chroot and cd .. lead to {}, /proc/1/root to {}", tell(escaped), tell(by_proc));
    let expected =
        "chroot and cd .. lead to the container's root, /proc/1/root to the container's root";
    let meaning = "cd .. stops at the root only. Who sets another one, below, is outside of it, and \
                   climbs up to the root of the mount namespace: that must be the container's.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

/// Where the best known way out of a chroot leads a process with the command's root.
fn escape(pid: Pid) -> Result<(u64, u64)> {
    let path = format!("/proc/{pid}/root");
    let root = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    let jail = format!("/{}", token());
    within_mounts(pid, move || {
        fchdir(&root).and_then(|()| chroot(".")).context("cannot enter the container's root")?;
        let made = std::fs::DirBuilder::new().mode(0o700).create(&jail);
        made.context("cannot create a folder in the container")?;
        chroot(jail.as_str()).context("cannot chroot in the container")?;
        for _ in 0..64 {
            chdir("..").context("cannot go up")?;
        }
        chroot(".").context("cannot chroot a second time")?;
        identity("/")
    })
}

fn rootfs_folder(lab: &Lab) -> Result<Verdict> {
    // The same files under a name that means something to an overlay.
    let folder = lab.rootfs.with_file_name("another: root, filesystem");
    symlink(lab.rootfs, &folder).ok();
    let (there, new) = (token(), token());
    std::fs::write(lab.rootfs.join(&there), &there).context("cannot write a file for the check")?;
    let mut subject = lab.subject.with(&["--rootfs"]);
    subject.words.pop();
    subject.words.push(folder.into());
    let script = format!("cat /{there}; echo; echo above > /{new}; cat /{new}");
    let ended = subject.run(lab.cage, &["/bin/sh", "-c", &script])?;
    let works = ended.stdout.lines().eq([there.as_str(), "above"]);
    let kept = !lab.rootfs.join(&new).exists();
    let found = match (works, kept) {
        (true, true) => "a file of the folder was read, a new one is not in it".to_string(),
        (true, false) => "a file of the folder was read, a new one is in it".to_string(),
        _ => ended.describe(),
    };
    let expected = "a file of the folder was read, a new one is not in it";
    let meaning = "The folder is the lower layer of the overlay, and no other is.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}
