//! Step 05: a PID namespace.

use anyhow::Result;

use super::super::Stage::{Final, Step};
use super::{Lab, Mistake};
use crate::kernel;

pub(super) const MISTAKES: &[Mistake] = &[Mistake {
    name: "unshared-not-forked",
    since: Step(5),
    until: Final,
    explains: &["pid-namespace", "process-1", "says-pids"],
    says: "`run` called unshare(2) with CLONE_NEWPID, but the child had been started before: only the \
           *next* child is born in the new namespace. Move the call above the spawn.",
    made: unshared_not_forked,
}];

fn unshared_not_forked(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let outside = kernel::namespace(lab.cage.thread, "pid")?;
    // A namespace without process 1 has no name yet.
    let for_children = kernel::namespace(held.run(), "pid_for_children").ok();
    Ok(kernel::namespace(held.command, "pid")? == outside && for_children != Some(outside))
}
