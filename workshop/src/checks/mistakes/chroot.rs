//! Step 06: another root directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::unistd::Pid;

use super::super::{LAST, Stage::Step};
use super::{Lab, Mistake};
use crate::container::token;
use crate::kernel::identity;

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "chroot-in-run",
        since: Step(6),
        until: Step(8),
        explains: &[
            "command-runs",
            "child-between",
            "says-child",
            "pid-namespace",
            "process-1",
            "root",
            "working-directory",
            "only-inside",
            "default-command",
            "no-proc",
            "writes-stay",
        ],
        says: "`run` changed its own root, and in the new one there is no /proc/self/exe to start the child \
               from. Call chroot(2) in the child, right before the command is started.",
        made: chroot_in_run,
    },
    Mistake {
        name: "no-chroot",
        since: Step(6),
        until: LAST,
        explains: &[
            "root",
            "working-directory",
            "only-inside",
            "rootfs-option",
            "no-proc",
            "overlay-root",
        ],
        says: "The command's / is still the host's: nobody called chroot(2). Changing into a folder only moves \
               the working directory. Call chroot(2) in the child, then chdir(\"/\").",
        made: no_chroot,
    },
    Mistake {
        name: "chdir-before-chroot",
        since: Step(6),
        until: LAST,
        explains: &["working-directory"],
        says: "The working directory is the host's /, outside of the new root: chdir(\"/\") was called while / \
               was still the host's. Call it after chroot(2).",
        made: chdir_before_chroot,
    },
    Mistake {
        name: "no-chdir",
        since: Step(6),
        until: LAST,
        explains: &["working-directory"],
        says: "The working directory is still the one of `run`, outside of the new root, and \"..\" leads from \
               there all over the host. chroot(2) leaves it alone: call chdir(\"/\") right after it.",
        made: no_chdir,
    },
    Mistake {
        name: "rootfs-ignored",
        since: Step(6),
        until: LAST,
        explains: &["rootfs-option"],
        says: "With --rootfs and a folder that does not exist the command ran all the same, in the default root \
               filesystem. What the user asks for comes first; look for a default only without it.",
        made: rootfs_ignored,
    },
];

/// The folder that a link of a process, as `root` or `cwd`, leads to.
fn folder(pid: Pid, link: &str) -> Result<(u64, u64)> {
    identity(format!("/proc/{pid}/{link}/."))
}

/// Lays a /proc/self/exe into the root filesystem: who starts that one is in there already.
fn chroot_in_run(lab: &Lab) -> Result<bool> {
    let (proc, mark) = (lab.rootfs.join("proc"), token());
    let script = format!("#!/bin/sh\necho {mark}\n");
    let lay = move || -> Result<()> {
        let none: Option<&str> = None;
        mount(Some("tmpfs"), &proc, Some("tmpfs"), MsFlags::empty(), none)?;
        fs::create_dir(proc.join("self"))?;
        let exe = proc.join("self/exe");
        fs::write(&exe, script)?;
        Ok(fs::set_permissions(&exe, fs::Permissions::from_mode(0o755))?)
    };
    lab.cage.inside(lay)?.context("cannot lay a program into the root filesystem")?;
    Ok(lab.run(&["true"])?.stdout.contains(&mark))
}

fn no_chroot(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    Ok(folder(held.command, "root")? == identity("/")?)
}

fn chdir_before_chroot(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let host = identity("/")?;
    Ok(folder(held.command, "cwd")? == host && folder(held.command, "root")? != host)
}

fn no_chdir(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let (root, cwd) = (folder(held.command, "root")?, folder(held.command, "cwd")?);
    Ok(root != identity("/")? && cwd != root && cwd == folder(held.run(), "cwd")?)
}

fn rootfs_ignored(lab: &Lab) -> Result<bool> {
    Ok(lab.hold_with(&["--rootfs", "/no/such/folder"], ":").is_ok())
}
