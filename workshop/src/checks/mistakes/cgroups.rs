//! Step 08: a limit on the number of processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use super::super::{LAST, Stage::Step};
use super::{Lab, Mistake};
use crate::container::Held;
use crate::kernel::PidsCgroup;
use crate::wait::until;

/// What is red if the command is in no cgroup of its own.
const ALL: &[&str] = &["cgroup", "cgroup-members", "limit-holds", "says-cgroup", "cgroup-removed"];

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "joined-after-fork",
        since: Step(8),
        until: LAST,
        explains: ALL,
        says: "`run` is in the new cgroup, the child and the command are not: they had been started before \
               `run` joined. A process is born into its parent's cgroup. Join before the child is started.",
        made: joined_after_fork,
    },
    Mistake {
        name: "nobody-joined",
        since: Step(8),
        until: LAST,
        explains: ALL,
        says: "There is a new cgroup, but nobody is in it: `run` never joined it, or left again before the child \
               was started. Write 0 to its cgroup.procs, start the child, and leave only then.",
        made: nobody_joined,
    },
    Mistake {
        name: "no-cgroup",
        since: Step(8),
        until: LAST,
        explains: ALL,
        says: "While the command runs there is no new cgroup: none was made, or it has been removed already. A \
               value that is bound to _ is dropped at once, and so is one that no variable keeps: give it a name.",
        made: no_cgroup,
    },
    Mistake {
        name: "no-limit",
        since: Step(8),
        until: LAST,
        explains: &["cgroup", "limit-holds"],
        says: "The command is in a cgroup of its own, but pids.max in there says max, so it only counts. Write \
               20 to pids.max.",
        made: no_limit,
    },
    Mistake {
        name: "another-limit",
        since: Step(8),
        until: LAST,
        explains: &["cgroup", "limit-holds"],
        says: "The command is in a cgroup of its own, and pids.max holds a number, but another one than 20. Write \
               20, as text, to pids.max.",
        made: another_limit,
    },
    Mistake {
        name: "removed-while-inside",
        since: Step(8),
        until: LAST,
        explains: &["cgroup-removed", "nothing-left"],
        says: "`run` itself was in the cgroup to the end, and with a process in it rmdir(2) fails with EBUSY. \
               Leave it first: write 0 to the cgroup.procs of the cgroup that `run` came from.",
        made: removed_while_inside,
    },
    Mistake {
        name: "cgroup-left-behind",
        since: Step(8),
        until: LAST,
        explains: &["cgroup-removed", "nothing-left"],
        says: "The cgroup is empty, and still there after the run: nobody called rmdir(2). If that is in a Drop: \
               std::process::exit ends the program without dropping anything. Return the status from main.",
        made: cgroup_left_behind,
    },
];

fn is_outside(lab: &Lab, pid: Pid) -> Result<bool> {
    Ok(PidsCgroup::of(pid)?.folder == lab.cage.leaf())
}

/// The pids cgroups that were made in the cage.
fn made(lab: &Lab) -> Vec<PathBuf> {
    let leaf = lab.cage.leaf();
    let mut all = lab.cage.cgroups();
    // On v1 there may be others in the trees of other controllers.
    all.retain(|cgroup| leaf.parent().is_some_and(|cage| cgroup.starts_with(cage)));
    all
}

fn joined_after_fork(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    Ok(is_outside(lab, held.command)? && joins(lab, &held))
}

fn nobody_joined(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    Ok(is_outside(lab, held.command)? && !joins(lab, &held) && !made(lab).is_empty())
}

fn no_cgroup(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    Ok(is_outside(lab, held.command)? && !joins(lab, &held) && made(lab).is_empty())
}

/// Does `run` join a cgroup, be it while the command runs already?
fn joins(lab: &Lab, held: &Held) -> bool {
    until(Duration::from_secs(1), || is_outside(lab, held.run()).is_ok_and(|outside| !outside))
}

fn no_limit(lab: &Lab) -> Result<bool> {
    Ok(limit(lab)? == "max")
}

fn another_limit(lab: &Lab) -> Result<bool> {
    Ok(limit(lab)?.parse::<u32>().is_ok_and(|limit| limit != 20))
}

/// What pids.max of the command's own cgroup says.
fn limit(lab: &Lab) -> Result<String> {
    let held = lab.hold(":")?;
    let file = PidsCgroup::of(held.command)?.folder.join("pids.max");
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    // The cage's own limit is none that the container set.
    Ok(if is_outside(lab, held.command)? { String::new() } else { text.trim().to_string() })
}

fn removed_while_inside(lab: &Lab) -> Result<bool> {
    is_left(lab, |run, command| run == command)
}

fn cgroup_left_behind(lab: &Lab) -> Result<bool> {
    is_left(lab, |run, command| run != command)
}

/// Is the command's own cgroup still there after a run in which the cgroups of `run` and of the
/// command were like this?
fn is_left(lab: &Lab, like_this: impl Fn(&Path, &Path) -> bool) -> Result<bool> {
    let held = lab.hold(":")?;
    let run = PidsCgroup::of(held.run())?.folder;
    let command = PidsCgroup::of(held.command)?.folder;
    held.end()?;
    Ok(command != lab.cage.leaf() && like_this(&run, &command) && command.exists())
}
