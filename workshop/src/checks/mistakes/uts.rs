//! Step 03: a UTS namespace.

use anyhow::Result;

use super::super::LAST;
use super::super::Stage::Step;
use super::{Lab, Mistake, SOON, look};
use crate::cage::HOSTNAME;
use crate::kernel;
use crate::wait::until;

/// The checks that a shared namespace turns red.
const SHARED: &[&str] = &[
    "uts-namespace",
    "host-keeps-its-name",
    "one-each",
    "hostname-container",
    "child-inside",
    "nothing-left",
];

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "uts-unshared-too-late",
        since: Step(3),
        until: LAST,
        explains: SHARED,
        says: "`run` moved into a new UTS namespace when the command was already running: a child \
               inherits the namespaces that its parent has at that moment. Call unshare(2) before \
               the spawn.",
        made: uts_unshared_too_late,
    },
    Mistake {
        name: "other-namespace",
        since: Step(3),
        // From step 05 on there have to be others.
        until: Step(4),
        explains: SHARED,
        says: "The command has a namespace of its own, but not the one for the hostname: unshare(2) \
               was called with another flag. CLONE_NEWNS is about mounts, since they came first. \
               The hostname is in the UTS namespace: CLONE_NEWUTS.",
        made: other_namespace,
    },
    Mistake {
        name: "uts-not-unshared",
        since: Step(3),
        until: LAST,
        explains: SHARED,
        says: "Neither `run` nor the command ever got a UTS namespace of its own: all share the \
               host's. Call unshare(2) with CLONE_NEWUTS in `run`, and look at what it returns.",
        made: uts_not_unshared,
    },
    Mistake {
        name: "host-renamed",
        since: Step(3),
        until: LAST,
        explains: &["host-keeps-its-name", "hostname-container", "nothing-left"],
        says: "The hostname of the machine itself was changed. sethostname(2) changes the UTS \
               namespace that the caller is in at that moment, and that was the host's. Call it only \
               inside of the new namespace.",
        made: host_renamed,
    },
];

fn uts_unshared_too_late(lab: &Lab) -> Result<bool> {
    let outside = kernel::namespace(lab.cage.thread, "uts")?;
    look(lab, |run, command| {
        let moved = || kernel::namespace(run, "uts").is_ok_and(|uts| uts != outside);
        Ok(kernel::namespace(command, "uts")? == outside && until(SOON, moved))
    })
}

fn other_namespace(lab: &Lab) -> Result<bool> {
    look(lab, |_, command| {
        let is_own = |kind: &&str| {
            let outside = kernel::namespace(lab.cage.thread, kind);
            outside
                .is_ok_and(|it| kernel::namespace(command, kind).is_ok_and(|inside| inside != it))
        };
        let others = ["mnt", "ipc", "net", "pid", "user", "cgroup"];
        Ok(!is_own(&"uts") && others.iter().any(is_own))
    })
}

fn uts_not_unshared(lab: &Lab) -> Result<bool> {
    let outside = kernel::namespace(lab.cage.thread, "uts")?;
    look(lab, |run, command| {
        Ok([run, command]
            .iter()
            .all(|pid| kernel::namespace(*pid, "uts").is_ok_and(|uts| uts == outside)))
    })
}

fn host_renamed(lab: &Lab) -> Result<bool> {
    lab.run(&["true"])?;
    Ok(lab.cage.hostname()? != HOSTNAME)
}
