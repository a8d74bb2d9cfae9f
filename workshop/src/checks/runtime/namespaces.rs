//! The namespaces that the steps leave out, and the hostname that one asks for.

use anyhow::Result;

use crate::cage::HOSTNAME;
use crate::checks::Stage::Final;
use crate::checks::uts::{hostname_of, own_namespace};
use crate::checks::{Check, Kind, Lab, Verdict};
use crate::container::token;
use crate::kernel;
use crate::mountinfo;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "hostname-option",
        title: "--hostname sets the name inside, and outside nothing changes",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p final -- run --rm --hostname web host hostname; hostname",
        probe: hostname_option,
    },
    Check {
        name: "ipc-namespace",
        title: "the command has an IPC namespace, message queues and shared memory of its own",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "readlink /proc/$$/ns/ipc; grep -e shm -e mqueue /proc/mounts; inside and outside",
        probe: ipc_namespace,
    },
    Check {
        name: "cgroup-namespace",
        title: "inside, the container's cgroup is the root, and cannot be changed",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cat /proc/self/cgroup; grep cgroup /proc/mounts; inside",
        probe: cgroup_namespace,
    },
];

fn hostname_option(lab: &Lab) -> Result<Verdict> {
    let name = token();
    let held = lab.hold_with(&["--hostname", &name], ":")?;
    let (inside, outside) = (hostname_of(held.command)?, lab.cage.hostname()?);
    let expected = format!("the hostname is {name} inside, {HOSTNAME} outside");
    let found = format!("the hostname is {inside} inside, {outside} outside");
    let meaning = "sethostname(2) belongs into the new UTS namespace, before the command starts.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

fn ipc_namespace(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let meaning = "unshare(2) with CLONE_NEWIPC must come before the command is started, and what \
                   lies in /dev/mqueue and /dev/shm must be mounted anew after it.";
    let mut verdict = own_namespace(lab, held.command, "ipc", meaning)?;
    let mounts = mountinfo::of(held.command)?;
    for (folder, kind) in [("/dev/mqueue", "mqueue"), ("/dev/shm", "tmpfs")] {
        let there = mounts.iter().any(|it| it.point.as_os_str() == folder && it.kind == kind);
        verdict.holds &= there;
        verdict.expected += &format!(", {kind} on {folder}");
        verdict.found += &format!(", {} on {folder}", if there { kind } else { "nothing" });
    }
    Ok(verdict)
}

fn cgroup_namespace(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold("cat /proc/self/cgroup")?;
    let (inside, outside) =
        (kernel::namespace(held.command, "cgroup")?, kernel::namespace(lab.cage.thread, "cgroup")?);
    let output = held.output();
    let lines: Vec<&str> = output
        .iter()
        .filter_map(|line| line.splitn(3, ':').nth(2).filter(|path| path.starts_with('/')))
        .collect();
    let seen = lines.iter().find(|path| **path != "/").or(lines.first()).copied();
    let writable = writable_cgroups(&held)?;
    let holds = inside != outside && seen == Some("/") && writable.is_empty();
    let found = format!(
        "{inside} inside, {outside} outside; /proc/self/cgroup shows {}; writable: {}",
        seen.unwrap_or("nothing"),
        if writable.is_empty() { "nothing" } else { &writable },
    );
    let expected = "two different inodes; /proc/self/cgroup shows /; writable: nothing";
    let meaning = "Without a cgroup namespace the container learns how the host is arranged; with \
                   writable cgroups it sets its own limits.";
    Ok(Verdict::new(holds, expected, found, meaning))
}

/// The cgroup trees that the container can write to.
fn writable_cgroups(held: &crate::container::Held) -> Result<String> {
    let mounts = mountinfo::of(held.command)?;
    let cgroups = mounts.iter().filter(|mount| mount.kind.starts_with("cgroup"));
    let points = cgroups.map(|mount| mount.point.to_string_lossy().into_owned());
    let writable = points.filter(|point| !super::filesystems::is_read_only(held.command, point));
    Ok(writable.collect::<Vec<_>>().join(" "))
}
