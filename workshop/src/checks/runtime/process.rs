//! The command is process 1, or a child of an init; signals, exit statuses.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};

use crate::checks::Stage::Final;
use crate::checks::exec::expect_status;
use crate::checks::pid::orphans;
use crate::checks::{Check, Kind, Lab, Verdict};
use crate::container::{PATIENCE, token};
use crate::kernel;
use crate::wait::until;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "arguments-arrive",
        title: "what looks like an option after COMMAND is the command's",
        since: Final,
        until: Final,
        kind: Kind::Duty,
        by_hand: "cargo run -p final -- run --rm host echo --rm -it 'two  words'",
        probe: arguments_arrive,
    },
    Check {
        name: "command-is-1",
        title: "the command itself is process 1 inside: nothing of the runtime stays in there",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p final -- run --rm host ps ax",
        probe: command_is_1,
    },
    Check {
        name: "signals-forwarded",
        title: "a signal for `run` reaches the command",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "kill -TERM the process of `run`, while the command has a trap for it",
        probe: signals_forwarded,
    },
    Check {
        name: "killed-from-outside",
        title: "a command killed by signal n: status 128+n",
        since: Final,
        until: Final,
        kind: Kind::Duty,
        by_hand: "kill -9 the command's process, then echo $?",
        probe: killed_from_outside,
    },
    Check {
        name: "own-failure",
        title: "a failure of the runtime's own: status 125 and one line that says why",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p final -- run --rm --workdir /etc/passwd host true; echo $?",
        probe: own_failure,
    },
    Check {
        name: "init-reaps",
        title: "with --init, process 1 inherits orphans and waits for them",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "run --init host sh -c '(sleep 1 &) ; sleep 100', then ps -e | grep defunct outside",
        probe: |lab| lab.with(&["--init"], orphans),
    },
    Check {
        name: "init-status",
        title: "with --init, a command that kills itself by signal n: status 128+n",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p final -- run --rm --init host sh -c 'kill -TERM $$'; echo $?",
        probe: init_status,
    },
];

fn arguments_arrive(lab: &Lab) -> Result<Verdict> {
    let mark = token();
    let words =
        ["/bin/sh", "-c", "read end", "--rm", "-it", "--", "", "two  words", "'\"$x", &mark];
    let running = lab.start(&words)?;
    let mut found = None;
    // What starts the command may have the same words behind others.
    until(Duration::from_secs(5), || {
        let all = lab.cage.processes().into_iter().filter(|pid| *pid != running.pid());
        found = all.filter_map(|pid| kernel::arguments(pid).ok()).find(|it| {
            it.first().is_some_and(|word| word == "/bin/sh")
                && it.last().is_some_and(|word| *word == *mark)
        });
        found.as_ref().is_some_and(|found| *found == words)
    });
    running.end()?;
    let found = found.context("the command does not run with its last argument")?;
    let meaning = "Whatever comes after the image belongs to the command.";
    let (expected, shown) = (format!("{words:?}"), format!("{found:?}"));
    Ok(Verdict::new(found == words, expected, shown, meaning))
}

fn command_is_1(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let inside = kernel::ids(held.command)?;
    let namespace = kernel::namespace(held.command, "pid")?;
    let same = |pid: &_| kernel::namespace(*pid, "pid").is_ok_and(|it| it == namespace);
    let count = lab.cage.processes().iter().filter(|pid| same(pid)).count();
    let holds = inside.len() > 1 && inside.last() == Some(&1) && count == 1;
    let inside = inside.last().copied().unwrap_or_default();
    let found = format!("process {} outside is {inside} inside, of {count} there", held.command);
    let expected = format!("process {} outside is 1 inside, of 1 there", held.command);
    let meaning =
        "A process of the runtime in the container can be looked at, and attacked, from there.";
    Ok(Verdict::new(holds, expected, found, meaning))
}

fn signals_forwarded(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold("trap 'exit 43' TERM")?;
    kill(held.run(), Signal::SIGTERM).context("cannot send a signal to run")?;
    until(PATIENCE, || !kernel::is_alive(held.command));
    let status = held.end()?.status;
    expect_status(43, status, "Who stops a container talks to `run`: it must pass signals on.")
}

fn killed_from_outside(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    kill(held.command, Signal::SIGKILL).context("cannot kill the command")?;
    let status = held.end()?.status;
    expect_status(128 + 9, status, "SIGKILL is signal 9; 128 is added as shells do.")
}

fn own_failure(lab: &Lab) -> Result<Verdict> {
    let ended = lab.subject.with(&["--workdir", "/etc/passwd"]).run(lab.cage, &["true"])?;
    let line = ended.stderr.trim_end();
    let holds = ended.status == 125 && ended.stdout.is_empty() && line.contains("/etc/passwd");
    let meaning =
        "The statuses below 125 are the command's: scripts must be able to tell who failed.";
    let expected = "status 125 and one line that names /etc/passwd";
    Ok(Verdict::new(holds && line.lines().count() == 1, expected, ended.describe(), meaning))
}

fn init_status(lab: &Lab) -> Result<Verdict> {
    let subject = lab.subject.with(&["--init"]);
    let ended = subject.run(lab.cage, &["/bin/sh", "-c", "kill -TERM $$"])?;
    let meaning =
        "A process 1 does not notice signals without a handler; a child of it ends by them.";
    expect_status(128 + 15, ended.status, meaning)
}
