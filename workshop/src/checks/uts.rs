//! Step 03: a UTS namespace (uts_namespaces(7)).

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use nix::unistd::{self, Pid};
use std::fs::File;
use std::thread;

use super::Stage::{Final, Step};
use super::{Check, Kind, LAST, Lab, Verdict};
use crate::cage::HOSTNAME;
use crate::container::token;
use crate::kernel;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "uts-namespace",
        title: "the command has a UTS namespace of its own",
        since: Step(3),
        until: Final,
        kind: Kind::New,
        by_hand: "readlink /proc/$$/ns/uts, inside and outside",
        probe: uts_namespace,
    },
    Check {
        name: "host-keeps-its-name",
        title: "a new hostname inside is not seen outside",
        since: Step(3),
        until: LAST,
        kind: Kind::New,
        by_hand: "hostname container inside, then hostname outside; while this is red, it renames your machine",
        probe: host_keeps_its_name,
    },
    Check {
        name: "one-each",
        title: "two containers have two UTS namespaces",
        since: Step(3),
        until: Final,
        kind: Kind::New,
        by_hand: "readlink /proc/$$/ns/uts in two containers",
        probe: one_each,
    },
];

fn uts_namespace(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    own_namespace(
        lab,
        held.command,
        "uts",
        "unshare(2) with CLONE_NEWUTS must come before the command is started.",
    )
}

/// Compares a namespace of a process with the cage's own.
pub(super) fn own_namespace(lab: &Lab, pid: Pid, kind: &str, meaning: &str) -> Result<Verdict> {
    let outside = kernel::namespace(lab.cage.thread, kind)?;
    let inside = kernel::namespace(pid, kind)?;
    let found = format!("{inside} inside, {outside} outside");
    Ok(Verdict::new(inside != outside, "two different inodes", found, meaning))
}

fn host_keeps_its_name(lab: &Lab) -> Result<Verdict> {
    let name = token();
    let held = lab.hold(&format!("hostname {name}"))?;
    let inside = hostname_of(held.command)?;
    let outside = lab.cage.hostname()?;
    let expected = format!("the hostname is {name} inside, {HOSTNAME} outside");
    let found = format!("the hostname is {inside} inside, {outside} outside");
    let meaning = if inside == outside {
        "Inside and outside share a UTS namespace."
    } else {
        "The hostname cannot be changed inside."
    };
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

/// The hostname in the UTS namespace of a process.
pub(super) fn hostname_of(pid: Pid) -> Result<String> {
    let namespace = File::open(format!("/proc/{pid}/ns/uts")).context("cannot open ns/uts")?;
    let thread = thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWUTS).context("cannot enter the UTS namespace")?;
        unistd::gethostname().context("cannot read the hostname")
    });
    let name = thread.join().ok().context("the thread in the UTS namespace died")??;
    Ok(name.to_string_lossy().into_owned())
}

fn one_each(lab: &Lab) -> Result<Verdict> {
    let (one, other) = (lab.hold(":")?, lab.hold(":")?);
    let (one, other) =
        (kernel::namespace(one.command, "uts")?, kernel::namespace(other.command, "uts")?);
    let found = format!("{one} and {other}");
    let meaning = "Every run makes a namespace of its own.";
    Ok(Verdict::new(one != other, "two different inodes", found, meaning))
}
