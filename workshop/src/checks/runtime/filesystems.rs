//! /proc and /sys: what would show or change the host is hidden or read-only.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use anyhow::Result;
use nix::sys::stat::makedev;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::Pid;

use crate::checks::Stage::Final;
use crate::checks::{Check, Kind, Lab, Verdict};
use crate::mountinfo;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "sysfs",
        title: "/sys is the container's own, and read-only",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "grep sysfs /proc/mounts, inside",
        probe: sysfs,
    },
    Check {
        name: "masked-paths",
        title: "what of /proc and /sys would show the host is hidden",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cat /proc/keys /proc/timer_list; ls /sys/firmware; inside",
        probe: masked_paths,
    },
    Check {
        name: "read-only-paths",
        title: "the kernel's settings in /proc are read-only",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "echo 1 > /proc/sys/kernel/sysrq, inside",
        probe: read_only_paths,
    },
];

/// What Docker hides. Not every kernel has all of them.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Whether nothing can be written below a path that a process sees, whoever tries.
pub(super) fn is_read_only(pid: Pid, path: &str) -> bool {
    let flags = statvfs(format!("/proc/{pid}/root{path}").as_str()).map(|it| it.flags());
    flags.is_ok_and(|flags| flags.contains(FsFlags::ST_RDONLY))
}

fn sysfs(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let mounts = mountinfo::of(held.command)?;
    let kind = mounts.iter().rfind(|mount| mount.point == Path::new("/sys")).map(|it| &it.kind);
    let found = match kind {
        Some(kind) if is_read_only(held.command, "/sys") => format!("{kind} on /sys, read-only"),
        Some(kind) => format!("{kind} on /sys, writable"),
        None => "nothing on /sys".to_string(),
    };
    let expected = "sysfs on /sys, read-only";
    let meaning =
        "Programs look there for processors and links. What is written there changes the host.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

fn masked_paths(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let there = MASKED.into_iter().filter(|path| Path::new(path).exists()).collect::<Vec<_>>();
    let shows = |path: &&str| !is_hidden(&format!("/proc/{}/root{path}", held.command));
    let shown: Vec<&str> = there.iter().copied().filter(|path| shows(path)).collect();
    let found = match shown.len() {
        0 => format!("all {} that this kernel has are hidden", there.len()),
        _ => format!("to be seen: {}", shown.join(" ")),
    };
    let meaning = "These tell of the whole machine, and some of them, such as its memory, of everything in it.";
    let holds = shown.is_empty() && !there.is_empty();
    Ok(Verdict::new(holds, "all that this kernel has are hidden", found, meaning))
}

/// Not there, /dev/null, or an empty folder.
fn is_hidden(path: &str) -> bool {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => {
            fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
        }
        Ok(data) => data.file_type().is_char_device() && data.rdev() == makedev(1, 3),
        Err(_) => true,
    }
}

fn read_only_paths(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let there = READ_ONLY.into_iter().filter(|path| Path::new(path).exists()).collect::<Vec<_>>();
    let writable: Vec<&str> =
        there.iter().copied().filter(|path| !is_read_only(held.command, path)).collect();
    let found = match writable.len() {
        0 => format!("all {} that this kernel has are read-only", there.len()),
        _ => format!("writable: {}", writable.join(" ")),
    };
    let meaning = "What root writes there holds for the whole machine.";
    let holds = writable.is_empty() && !there.is_empty();
    Ok(Verdict::new(holds, "all that this kernel has are read-only", found, meaning))
}
