//! What every machine has mounted.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::unistd;

const NONE: Option<&str> = None;

/// Where, what, and with which options.
const MOUNTS: [(&str, &str, &str); 7] = [
    ("/dev", "devtmpfs", "mode=755"),
    ("/dev/pts", "devpts", "mode=620,gid=5,ptmxmode=666"),
    ("/dev/shm", "tmpfs", "mode=1777"),
    ("/proc", "proc", ""),
    ("/sys", "sysfs", ""),
    ("/run", "tmpfs", "mode=755"),
    ("/tmp", "tmpfs", "mode=1777"),
];

const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

pub(super) fn mount_all() -> Result<()> {
    leave_initial_root().context("cannot mount the root anew")?;
    for (folder, kind, options) in MOUNTS {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {folder}"))?;
        mount(Some(kind), folder, Some(kind), MsFlags::MS_NOSUID, Some(options))
            .with_context(|| format!("cannot mount {kind} on {folder}"))?;
    }
    for (target, link) in LINKS {
        symlink(target, link).with_context(|| format!("cannot create the link {link}"))?;
    }
    // Shared, as systemd does: whoever forgets to make mounts private must be seen to leak them.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SHARED, NONE)
        .context("cannot make all mounts shared")
}

/// The kernel's first mount cannot be pivoted (pivot_root(2)): the same files are mounted once more
/// on top of it.
fn leave_initial_root() -> Result<()> {
    mount(Some("/"), "/mnt", NONE, MsFlags::MS_BIND, NONE)?;
    unistd::chdir("/mnt")?;
    mount(Some("."), "/", NONE, MsFlags::MS_MOVE, NONE)?;
    unistd::chroot(".")?;
    unistd::chdir("/")?;
    Ok(())
}
