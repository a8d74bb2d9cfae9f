//! /dev: a few harmless devices, and no other can be used.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::stat::{major, minor};

use crate::checks::Stage::Final;
use crate::checks::{Check, Kind, Lab, Verdict};
use crate::container::{Held, token};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "devices",
        title: "/dev has null, zero, full, random, urandom and tty, for everyone, and no other device",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p final -- run --rm host ls -l /dev",
        probe: devices,
    },
    Check {
        name: "device-links",
        title: "/dev has fd, stdin, stdout, stderr and ptmx, and each leads where it should",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p final -- run --rm host ls -l /dev",
        probe: device_links,
    },
    Check {
        name: "mknod",
        title: "a device that is made inside cannot be opened",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "mknod /x c 1 11 && head -n 1 /x, inside",
        probe: mknod,
    },
];

/// Name, major and minor number (Documentation/admin-guide/devices.txt of the kernel).
const DEVICES: [(&str, u64, u64); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

fn dev(held: &Held) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root/dev", held.command))
}

fn devices(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let mut found: Vec<String> = DEVICES.iter().map(|(name, ..)| tell(&dev(&held), name)).collect();
    let mut others = Vec::new();
    gather_others(&dev(&held), &mut others)?;
    if let Some(first) = others.first() {
        found.push(format!("and {} others, such as {first}", others.len()));
    }
    let device = |(name, major, minor)| format!("{name} is {major}:{minor} mode 666");
    let expected = DEVICES.map(device).join(", ");
    let found = found.join(", ");
    let meaning = "Programs expect these, for every user: mknod(2) heeds the umask. Any other \
                   device is a way to the host.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

/// A device, or what is there in its place.
fn tell(dev: &Path, name: &str) -> String {
    match fs::symlink_metadata(dev.join(name)) {
        Ok(data) if data.file_type().is_char_device() => {
            let (number, mode) = (data.rdev(), data.mode() & 0o7777);
            format!("{name} is {}:{} mode {mode:o}", major(number), minor(number))
        }
        Ok(_) => format!("{name} is no device"),
        Err(_) => format!("{name} is missing"),
    }
}

/// Devices that nobody asked for. The terminals in /dev/pts are the container's own.
fn gather_others(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let (kind, name) = (entry.file_type()?, entry.file_name().to_string_lossy().into_owned());
        let known = DEVICES.iter().any(|(it, ..)| *it == name);
        if kind.is_block_device() || kind.is_char_device() && !known {
            found.push(name);
        } else if kind.is_dir() && name != "pts" {
            gather_others(&entry.path(), found)?;
        }
    }
    Ok(())
}

fn device_links(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let link = |name| match fs::read_link(dev(&held).join(name)) {
        Ok(target) => format!("{name} -> {}", target.display()),
        Err(_) => format!("no link {name}"),
    };
    let found = LINKS.map(|(name, _)| link(name)).join(", ");
    let expected = LINKS.map(|(name, target)| format!("{name} -> {target}")).join(", ");
    let meaning = "Shells and scripts use /dev/stdin and /dev/fd/N as names for what is open.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

fn mknod(lab: &Lab) -> Result<Verdict> {
    let name = token();
    // The kernel's log: reading it does no harm, and is not for containers.
    let script = format!(
        "for folder in / /dev /dev/shm /tmp; do mknod $folder/{name} c 1 11 2>/dev/null; \
         (: < $folder/{name}) 2>/dev/null && echo opened in $folder; done; echo {name}"
    );
    let held = lab.hold(&script)?;
    let lines = held.output();
    let opened: Vec<&str> =
        lines.iter().filter(|line| line.starts_with("opened in ")).map(String::as_str).collect();
    let found = if opened.is_empty() { "opened nowhere".to_string() } else { opened.join(", ") };
    let holds = opened.is_empty() && lines.last() == Some(&name);
    let meaning =
        "Mounts without nodev let root make, and open, any device of the host: its disks, too.";
    Ok(Verdict::new(holds, "opened nowhere", found, meaning))
}
