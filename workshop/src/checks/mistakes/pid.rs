//! Step 05: a PID namespace.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal::SIGTTOU;

use super::super::LAST;
use super::super::Stage::Step;
use super::super::exec::tty;
use super::{Lab, Mistake, SOON, look, look_on_terminal};
use crate::kernel;
use crate::pty::Terminal;
use crate::wait::until;

/// Who has not come to its end by then is stuck.
const STUCK: Duration = Duration::from_secs(10);

/// The checks that a shared namespace turns red.
const SHARED: &[&str] = &["pid-namespace", "process-1", "says-pids", "orphans", "dies-with-run"];

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "unshared-not-forked",
        since: Step(5),
        until: LAST,
        explains: SHARED,
        says: "`run` called unshare(2) with CLONE_NEWPID, but the child had been started before: only \
               the *next* child is born in the new namespace. Move the call above the spawn.",
        made: unshared_not_forked,
    },
    Mistake {
        name: "pid-not-unshared",
        since: Step(5),
        until: LAST,
        explains: SHARED,
        says: "Neither the command nor the next child of `run` has a PID namespace of its own: \
               unshare(2) was not called with CLONE_NEWPID. Call it in `run`, as the last thing \
               before the spawn.",
        made: pid_not_unshared,
    },
    Mistake {
        name: "process-1-has-ended",
        since: Step(5),
        until: LAST,
        explains: &[],
        says: "fork(2) failed with ENOMEM, and no memory is missing: after unshare(2) another process \
               was started first. It was process 1, it has ended, and the namespace with it: no \
               other process can be born there. Start whatever else you start before the unshare(2).",
        made: process_1_has_ended,
    },
    Mistake {
        name: "unshared-in-child",
        since: Step(5),
        until: LAST,
        explains: &[
            "killed",
            "terminal",
            "says-pids",
            "process-1",
            "orphans",
            "job-control",
            "dies-with-run",
        ],
        says: "The command itself is process 1: its parent, the child of `run`, called unshare(2) with \
               CLONE_NEWPID, which is for the next process that it starts. Call it in `run`, before the \
               spawn: then the child is process 1, and waits for orphans.",
        made: unshared_in_child,
    },
    Mistake {
        name: "command-is-process-1",
        since: Step(5),
        until: LAST,
        explains: &[
            "killed",
            "terminal",
            "child-between",
            "child-inside",
            "process-1",
            "orphans",
            "job-control",
        ],
        says: "The command itself is process 1: the child became it with exec(3), or there is no \
               child. Process 1 ignores every signal that it has no handler for, Ctrl-C too, and \
               should wait for orphans, which no usual command does. Let the child spawn the command.",
        made: command_is_process_1,
    },
    Mistake {
        name: "orphans-not-waited-for",
        since: Step(5),
        until: LAST,
        explains: &["orphans"],
        says: "Process 1 inherits every orphan of its namespace, and yours waits for the command \
               alone: the others stay as zombies. Wait for any child, waitpid(2) with -1, until the \
               one that ended is the command.",
        made: orphans_not_waited_for,
    },
    Mistake {
        name: "outlives-run",
        since: Step(5),
        until: LAST,
        explains: &["dies-with-run"],
        says: "`run` was killed, and process 1 lives on without it. The kernel ends a child with its \
               parent only if the child itself asks for it: prctl(2) with PR_SET_PDEATHSIG and \
               SIGKILL, in the child. When process 1 goes, its namespace goes with it.",
        made: outlives_run,
    },
    Mistake {
        name: "sigttou-not-blocked",
        since: Step(5),
        until: LAST,
        explains: &["terminal", "job-control"],
        says: "Somebody calls tcsetpgrp(3) from the background and does not come back: the call brings \
               SIGTTOU. That stops `run`; process 1 cannot be stopped, and calls again for ever. \
               Block SIGTTOU around the call, or ignore it.",
        made: sigttou_not_blocked,
    },
    Mistake {
        name: "process-group-unknown",
        since: Step(5),
        until: LAST,
        explains: &["job-control"],
        says: "The command's process group is one from outside of the PID namespace: getpgrp(2) says \
               0 inside, and a shell cannot tell who has the terminal. Start the child in a process \
               group of its own, with process_group(0), and give that one the terminal.",
        made: process_group_unknown,
    },
    Mistake {
        name: "terminal-not-taken",
        since: Step(5),
        until: LAST,
        explains: &["terminal", "job-control"],
        says: "The child has a process group of its own, but the terminal belongs to another one: who \
               reads from it in the background is stopped by SIGTTIN. The child makes its group the \
               foreground with tcsetpgrp(3), with SIGTTOU blocked meanwhile.",
        made: terminal_not_taken,
    },
];

fn unshared_not_forked(lab: &Lab) -> Result<bool> {
    let outside = kernel::namespace(lab.cage.thread, "pid")?;
    look(lab, |run, command| {
        // A namespace without process 1 has no name yet.
        let moved = || kernel::namespace(run, "pid_for_children").ok() != Some(outside.clone());
        Ok(kernel::namespace(command, "pid")? == outside && until(SOON, moved))
    })
}

fn pid_not_unshared(lab: &Lab) -> Result<bool> {
    let outside = kernel::namespace(lab.cage.thread, "pid")?;
    look(lab, |run, command| {
        let for_children = kernel::namespace(run, "pid_for_children")?;
        Ok(for_children == outside && kernel::namespace(command, "pid")? == outside)
    })
}

fn process_1_has_ended(lab: &Lab) -> Result<bool> {
    let ended = lab.run(&["true"])?;
    // As the C library says it, and as the crate nix does.
    let says = ["Cannot allocate memory", "Out of memory", "ENOMEM"];
    Ok(ended.status != 0 && says.iter().any(|text| ended.stderr.contains(text)))
}

fn unshared_in_child(lab: &Lab) -> Result<bool> {
    look(lab, |run, command| {
        Ok(kernel::ids(command)?.get(1) == Some(&1) && kernel::parent(command)? != run)
    })
}

fn command_is_process_1(lab: &Lab) -> Result<bool> {
    look(lab, |_, command| Ok(kernel::ids(command)?.get(1) == Some(&1)))
}

fn orphans_not_waited_for(lab: &Lab) -> Result<bool> {
    let held = lab.hold("(sleep 0.05 &)")?;
    let child = kernel::parent(held.command)?;
    let zombie = || !kernel::zombies_of(child).is_empty();
    let is_first = kernel::ids(child)?.get(1) == Some(&1);
    // The orphan ends, and is seen as a zombie for a moment even if it is waited for.
    until(SOON, || zombie() || lab.cage.processes().len() <= 3);
    Ok(is_first && !until(Duration::from_millis(500), || !zombie()))
}

fn outlives_run(lab: &Lab) -> Result<bool> {
    let mut held = lab.hold(":")?;
    let child = kernel::parent(held.command)?;
    let is_first = kernel::ids(child)?.get(1) == Some(&1);
    held.kill_run()?;
    Ok(is_first && !until(SOON, || !kernel::is_alive(child)))
}

fn sigttou_not_blocked(lab: &Lab) -> Result<bool> {
    let terminal = Terminal::start(lab.cage, &lab.subject.command_line(&["true"]), |_| {})?;
    if until(STUCK, || terminal.is_over()) {
        return Ok(false);
    }
    let is_behind = |pid| tty(pid).is_ok_and(|it| it.foreground > 0 && it.group != it.foreground);
    let is_deaf = |pid| {
        ["SigBlk", "SigIgn"]
            .iter()
            .any(|set| kernel::has_signal(pid, set, SIGTTOU).unwrap_or(false))
    };
    // Stopped, or at it again and again; who waits for a child sleeps.
    let tries = |pid| kernel::status(pid, "State").is_ok_and(|it| it.starts_with(['T', 'R']));
    Ok(lab.cage.processes().into_iter().any(|pid| is_behind(pid) && !is_deaf(pid) && tries(pid)))
}

fn process_group_unknown(lab: &Lab) -> Result<bool> {
    look_on_terminal(lab, |command| {
        let groups = kernel::status(command, "NSpgid")?;
        Ok(groups.split_whitespace().nth(1) == Some("0"))
    })
}

fn terminal_not_taken(lab: &Lab) -> Result<bool> {
    look_on_terminal(lab, |command| {
        let has_it = || tty(command).is_ok_and(|tty| tty.group == tty.foreground);
        Ok(!until(SOON, has_it))
    })
}
