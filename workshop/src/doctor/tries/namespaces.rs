//! A namespace of each kind is created, and used.

use std::fs;
use std::io;
use std::process::Command;

use anyhow::Context;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount as mount_on};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, getegid, geteuid, sethostname};

use super::super::cures::Cures;
use super::{Finding, Tried, refused};
use crate::kernel;

/// Every machine has this folder. In a mount namespace of our own we may cover it.
pub(super) const PLACE: &str = "/tmp";

const NONE: Option<&str> = None;
const NAME: &str = "doctor";

pub(in super::super) fn uts() -> Tried {
    enter("uts", CloneFlags::CLONE_NEWUTS)?;
    sethostname(NAME).map_err(|error| refused("set the hostname in it", error))?;
    Ok("created, with a hostname of its own".into())
}

pub(in super::super) fn ipc() -> Tried {
    enter("ipc", CloneFlags::CLONE_NEWIPC)?;
    Ok("created".into())
}

pub(in super::super) fn pid() -> Tried {
    enter("pid", CloneFlags::CLONE_NEWPID)?;
    let child = Command::new("/bin/sh").args(["-c", "echo $$"]).output();
    let child = child.context("cannot start a process in it")?;
    match String::from_utf8_lossy(&child.stdout).trim() {
        "1" => Ok("created, with a process 1".into()),
        other => Err(Finding::cannot(format!("the first process in it says it is {other:?}"))),
    }
}

pub(in super::super) fn mount() -> Tried {
    enter_mounts()?;
    for kind in ["tmpfs", "proc"] {
        let mounted = mount_on(Some(kind), PLACE, Some(kind), MsFlags::empty(), NONE);
        mounted.map_err(|error| refused(&format!("mount {kind} in it"), error))?;
    }
    Ok("created, with mounts of its own".into())
}

pub(in super::super) fn net() -> Tried {
    enter("net", CloneFlags::CLONE_NEWNET)?;
    Ok("created".into())
}

pub(in super::super) fn cgroup() -> Tried {
    enter("cgroup", CloneFlags::CLONE_NEWCGROUP)?;
    Ok("created".into())
}

/// As a normal user, for whom it is meant. At worst this degrades: root does without.
pub(in super::super) fn user() -> Tried {
    let read = |path: &str| fs::read_to_string(path).ok();
    let made = own_user().map_err(|error| explain(&error, read))?;
    Ok(made.into())
}

/// A namespace for users, in which one is root, and in it another that takes root.
fn own_user() -> io::Result<&'static str> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    unshare(CloneFlags::CLONE_NEWUTS)?;
    sethostname(NAME)?;
    Ok("created without root, and root in it")
}

/// Why a normal user gets none, by the switches that the distributions have.
fn explain(error: &io::Error, read: impl Fn(&str) -> Option<String>) -> Finding {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let is = |switch: &str, value: &str| {
        let path = format!("/proc/sys/{}", switch.replace('.', "/"));
        read(&path).is_some_and(|text| text.trim() == value)
    };
    let switches = [
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("user.max_user_namespaces", "0", "15000"),
    ];
    let seen = format!("a normal user gets none: {}", errno.desc());
    match switches.iter().find(|(switch, bad, _)| is(switch, bad)) {
        Some((switch, bad, good)) => Finding::degraded(format!("{seen}, for {switch} is {bad}"))
            .cured_by(Cures::same(&format!("sudo sysctl {switch}={good}"))),
        None if errno == Errno::ENOSPC => Finding::degraded(seen)
            .cured_by(Cures::all("sudo sysctl user.max_user_namespaces=15000")),
        None if errno == Errno::EPERM => Finding::degraded(seen).cured_by(super::cures::CONTAINER),
        None => Finding::degraded(seen),
    }
}

/// A mount namespace from which nothing reaches the machine's.
pub(super) fn enter_mounts() -> Result<(), Finding> {
    enter("mnt", CloneFlags::CLONE_NEWNS)?;
    mount_on(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(|error| refused("make the mounts in it private", error))
}

/// Moves this process, or for `pid` its children, into a new namespace.
pub(super) fn enter(kind: &str, flag: CloneFlags) -> Result<(), Finding> {
    let link = if kind == "pid" { "pid_for_children" } else { kind };
    let before = kernel::namespace(Pid::this(), link)?;
    unshare(flag).map_err(|error| match error {
        Errno::ENOSPC => {
            let switch = format!("user.max_{kind}_namespaces");
            refused("create one", error)
                .cured_by(Cures::same(&format!("sudo sysctl {switch}=15000")))
        }
        _ => refused("create one", error),
    })?;
    // Else what follows would change the machine. The link of the children's is empty until the first.
    let same = kernel::namespace(Pid::this(), link).is_ok_and(|after| after == before);
    if same { Err(Finding::cannot("the kernel says yes, and creates none")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(errno: Errno, switches: &[(&str, &str)]) -> (String, Option<String>) {
        let read = |path: &str| {
            let found = switches.iter().find(|(name, _)| format!("/proc/sys/{name}") == path);
            found.map(|(_, value)| format!("{value}\n"))
        };
        let finding = explain(&io::Error::from_raw_os_error(errno as i32), read);
        assert_eq!(finding.status, super::super::Status::Degraded);
        (finding.seen, finding.cures.map(|cures| cures.debian.into_owned()))
    }

    #[test]
    fn the_reason_for_no_user_namespace_is_told_apart() {
        let apparmor = [("kernel/apparmor_restrict_unprivileged_userns", "1")];
        let (seen, cure) = explained(Errno::EPERM, &apparmor);
        assert!(seen.ends_with("for kernel.apparmor_restrict_unprivileged_userns is 1"), "{seen}");
        let command = "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0";
        assert_eq!(cure.as_deref(), Some(command));

        let off = [("kernel/apparmor_restrict_unprivileged_userns", "0")];
        let (_, cure) = explained(Errno::EPERM, &off);
        assert!(cure.unwrap().contains("--privileged"));

        let debian = [("kernel/unprivileged_userns_clone", "0")];
        let (_, cure) = explained(Errno::EPERM, &debian);
        assert_eq!(cure.as_deref(), Some("sudo sysctl kernel.unprivileged_userns_clone=1"));

        let (_, cure) = explained(Errno::ENOSPC, &[("user/max_user_namespaces", "0")]);
        assert_eq!(cure.as_deref(), Some("sudo sysctl user.max_user_namespaces=15000"));

        let (seen, cure) = explained(Errno::EINVAL, &[]);
        assert_eq!((seen.as_str(), cure), ("a normal user gets none: Invalid argument", None));
    }
}
