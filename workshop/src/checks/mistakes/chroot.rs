//! Step 06: another root directory.

use std::fs;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::unistd::Pid;

use super::super::{LAST, Stage::Step};
use super::{Lab, Mistake};
use crate::kernel::{self, identity};

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

/// In a root with all that the host has it gets further: to a command, so that one can look.
fn chroot_in_run(lab: &Lab) -> Result<bool> {
    let again = "/run/host";
    let made = lab.cage.inside(move || -> Result<()> {
        fs::create_dir(again)?;
        let (flags, none) = (MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>);
        Ok(mount(Some("/"), again, none, flags, none)?)
    });
    made?.with_context(|| format!("cannot mount / on {again}"))?;
    let held = lab.hold_with(&["--rootfs", again], ":")?;
    Ok(kernel::link(held.run(), "root")? != "/")
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
