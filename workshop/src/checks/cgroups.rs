//! Step 08: a limit on the number of processes (cgroups(7), "pids" controller).

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Stage::{Final, Step};
use super::{Check, Kind, LAST, Lab, Verdict};
use crate::container::Held;
use crate::kernel::{self, PidsCgroup};
use crate::wait::until;

/// The limit that step 08 sets.
const PIDS_MAX: usize = 20;
/// Enough to see that a limit is missing, too few to hurt the machine.
const SLEEPERS: usize = 60;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "cgroup",
        title: "the container has a pids cgroup of its own, limited to 20",
        since: Step(8),
        until: Final,
        kind: Kind::New,
        by_hand: "cat /proc/PID/cgroup, then pids.max in that folder",
        probe: cgroup,
    },
    Check {
        name: "cgroup-members",
        title: "all of the container's processes are in it, the first one too",
        since: Step(8),
        until: Final,
        kind: Kind::New,
        by_hand: "cat cgroup.procs in the container's cgroup",
        probe: cgroup_members,
    },
    Check {
        name: "limit-holds",
        title: "60 processes are too many: at 20 the kernel says no",
        since: Step(8),
        until: Final,
        kind: Kind::New,
        by_hand: "start sleepers inside, cat pids.current and pids.events outside",
        probe: limit_holds,
    },
    Check {
        name: "says-cgroup",
        title: "`run` says which cgroup it made, and which version it is of",
        since: Step(8),
        until: LAST,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run true",
        probe: says_cgroup,
    },
    Check {
        name: "cgroup-removed",
        title: "afterwards the cgroup is gone",
        since: Step(8),
        until: Final,
        kind: Kind::New,
        by_hand: "ls the cgroup's folder before and after",
        probe: cgroup_removed,
    },
];

/// The container's pids cgroup, if it is one of its own.
fn own(lab: &Lab, held: &Held) -> Result<PidsCgroup> {
    let cgroup = PidsCgroup::of(held.command)?;
    if cgroup.folder == lab.cage.leaf() {
        anyhow::bail!(
            "the command is in the cgroup that `run` was started in, {}",
            cgroup.folder.display()
        );
    }
    Ok(cgroup)
}

fn read(cgroup: &Path, file: &str) -> Result<String> {
    let file = cgroup.join(file);
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim().to_string())
}

fn cgroup(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let folder = own(lab, &held)?.folder;
    let max = read(&folder, "pids.max")?;
    let found = format!("pids.max is {max} in {}", folder.display());
    let meaning = "Without a number in pids.max a cgroup only counts.";
    Ok(Verdict::new(max == PIDS_MAX.to_string(), "a new cgroup with pids.max 20", found, meaning))
}

fn cgroup_members(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold("sleep 30 &")?;
    let folder = own(lab, &held)?.folder;
    let members = kernel::processes_below(&folder);
    let outside: Vec<String> = lab
        .cage
        .processes()
        .into_iter()
        .filter(|pid| *pid != held.run() && !members.contains(pid))
        .map(|pid| pid.to_string())
        .collect();
    let found = match outside.len() {
        0 => format!("{} processes in cgroup.procs, none elsewhere", members.len()),
        _ => format!("not in the cgroup: {}", outside.join(" ")),
    };
    let meaning = "A process is born into its parent's cgroup. One that was started before the move stays where \
                   it was, and its children too.";
    let holds = outside.is_empty() && members.len() >= 2;
    Ok(Verdict::new(holds, "every process but `run` is in the cgroup", found, meaning))
}

fn limit_holds(lab: &Lab) -> Result<Verdict> {
    let script =
        format!("(i=0; while [ $i -lt {SLEEPERS} ]; do sleep 30 & i=$((i + 1)); done) 2>&- &");
    let held = lab.hold(&script)?;
    let folder = PidsCgroup::of(held.command)?.folder;
    let mut most = 0;
    let mut refused = 0;
    until(Duration::from_secs(5), || {
        most = most.max(kernel::processes_below(&folder).len());
        refused = refusals(&folder);
        refused > 0 || most > SLEEPERS
    });
    let holds = refused > 0 && most <= PIDS_MAX;
    let found = match most {
        0..=PIDS_MAX => {
            format!("never more than 20 processes at once, fork failed {refused} times")
        }
        _ => format!("{most} processes at once, fork failed {refused} times"),
    };
    let expected = "20 processes at most, and at least one refusal in pids.events";
    let meaning = "Nothing stops the container from starting more processes.";
    Ok(Verdict::new(holds, expected, found, meaning))
}

/// How often the limit has kept a process from being created.
fn refusals(cgroup: &Path) -> u64 {
    let events = read(cgroup, "pids.events").unwrap_or_default();
    let max = events.lines().find_map(|line| line.strip_prefix("max "));
    max.and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn says_cgroup(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let cgroup = own(lab, &held)?;
    let expected = format!("{} (cgroup v{})", cgroup.folder.display(), cgroup.version);
    let said = held.output().into_iter().find(|line| line.contains(&expected));
    let found = said.clone().unwrap_or_else(|| held.output().join(" / "));
    let meaning = "Whoever wants to look at the limit from outside needs to know where it is.";
    Ok(Verdict::new(said.is_some(), format!("a line with {expected}"), found, meaning))
}

fn cgroup_removed(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold("sleep 30 &")?;
    let folder = own(lab, &held)?.folder;
    held.end()?;
    let found = format!(
        "{} {}",
        folder.display(),
        if folder.exists() { "is still there" } else { "is gone" }
    );
    let meaning = "A cgroup stays until somebody removes its folder, which works once it is empty.";
    Ok(Verdict::new(!folder.exists(), "no such folder after the run", found, meaning))
}
