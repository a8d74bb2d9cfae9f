//! Step 04: the program starts itself inside the namespace.

use anyhow::Result;

use super::Stage::Step;
use super::uts::hostname_of;
use super::{Check, Kind, LAST, Lab, Verdict};
use crate::cage::HOSTNAME;
use crate::container::{shorten, token};
use crate::kernel;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "hostname-container",
        title: "the hostname inside is `container` before the command starts, and outside it is not",
        since: Step(4),
        until: LAST,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run hostname; hostname",
        probe: hostname_container,
    },
    Check {
        name: "child-between",
        title: "between `run` and the command stands the same program once more",
        since: Step(4),
        until: LAST,
        kind: Kind::New,
        by_hand: "ps fax, while cargo run -p stepNN run sleep 100 runs",
        probe: child_between,
    },
    Check {
        name: "says-child",
        title: "the child says what it runs, after `run` did",
        since: Step(4),
        until: LAST,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run true",
        probe: says_child,
    },
    Check {
        name: "child-inside",
        title: "the child is in the command's UTS namespace, and it is not the host's",
        since: Step(4),
        until: LAST,
        kind: Kind::New,
        by_hand: "readlink /proc/PID/ns/uts for both, and for your shell",
        probe: child_inside,
    },
];

fn hostname_container(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold("echo \"it is $(hostname)\"")?;
    let (inside, outside) = (hostname_of(held.command)?, lab.cage.hostname()?);
    // `run` may still have something to say, too.
    let output = held.output();
    let said = output.iter().find_map(|line| line.strip_prefix("it is ")).unwrap_or_default();
    let found =
        format!("the hostname is {inside} inside, {outside} outside; the command saw {said}");
    let holds = inside == "container" && said == inside && outside == HOSTNAME;
    let expected = format!("the hostname is container inside, {HOSTNAME} outside");
    let meaning = if outside == inside {
        "The hostname was set in the host's UTS namespace."
    } else {
        "sethostname(2) belongs into the child: after the namespace is there, before the command."
    };
    Ok(Verdict::new(holds, expected, found, meaning))
}

fn child_between(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let child = kernel::parent(held.command)?;
    let exe = |pid| kernel::identity(format!("/proc/{pid}/exe"));
    let holds = child != held.run() && exe(child)? == exe(held.run())?;
    let found = if child == held.run() {
        format!("process {} was started by `run` itself, process {child}", held.command)
    } else {
        format!(
            "process {} was started by {child}, which runs {}",
            held.command,
            kernel::link(child, "exe")?
        )
    };
    let expected = "a child of `run` with the same executable, and the command is its child";
    let meaning = "Only a process that is already inside can prepare the inside: `run` starts /proc/self/exe.";
    Ok(Verdict::new(holds, expected, found, meaning))
}

fn says_child(lab: &Lab) -> Result<Verdict> {
    let word = token();
    let ended = lab.run(&["/bin/sh", "-c", ":", &word])?;
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let says = |what: &str| {
        lines.iter().position(|line| line.starts_with(&format!("{what} [/bin/sh -c : {word}]")))
    };
    let holds = matches!((says("Running"), says("Running in child")), (Some(run), Some(child)) if run < child);
    let expected = format!("Running [...], then Running in child [/bin/sh -c : {word}]");
    let meaning = "The child gets the command and all its arguments from `run`.";
    Ok(Verdict::new(holds, expected, shorten(&lines.join("\n")), meaning))
}

fn child_inside(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let child = kernel::parent(held.command)?;
    let outside = kernel::namespace(lab.cage.thread, "uts")?;
    let (parent, command) =
        (kernel::namespace(child, "uts")?, kernel::namespace(held.command, "uts")?);
    let holds = child != held.run() && parent == command && parent != outside;
    let found = format!(
        "{command} for the command, {parent} for its parent {child} (run is {}), {outside} outside",
        held.run()
    );
    let meaning =
        "The child inherits the namespaces that `run` created before it started the child.";
    Ok(Verdict::new(holds, "a child with the command's namespace", found, meaning))
}
