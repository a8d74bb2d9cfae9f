//! Step 02: the command is started, with the streams and the terminal of `run`.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::Stage::{Final, Step};
use super::{Check, Kind, LAST, Lab, Verdict};
use crate::container::token;
use crate::kernel;
use crate::mountinfo::Mount;
use crate::pty::Terminal;
use crate::wait::until;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "command-runs",
        title: "the command is a process, and descends from `run`",
        since: Step(2),
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run sleep 100 & sleep 1; ps fax",
        probe: command_runs,
    },
    Check {
        name: "streams",
        title: "stdin, stdout and stderr of the command are those of `run`",
        since: Step(2),
        until: Final,
        kind: Kind::New,
        by_hand: "echo hello | cargo run -p stepNN run cat",
        probe: streams,
    },
    Check {
        name: "exit-status",
        title: "the command's exit status is that of `run`",
        since: Step(2),
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run sh -c 'exit 42'; echo $?",
        probe: exit_status,
    },
    Check {
        name: "cannot-run",
        title: "no such command: status 127; not executable: status 126",
        since: Step(2),
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run /no/such/command; echo $?",
        probe: cannot_run,
    },
    Check {
        name: "killed",
        title: "a command killed by signal n: status 128+n",
        since: Step(2),
        until: LAST,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run sh -c 'kill -9 $$'; echo $?",
        probe: killed,
    },
    Check {
        name: "terminal",
        title: "the terminal is the command's, and Ctrl-C ends the command, not `run`",
        since: Step(2),
        until: LAST,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run sh -c 'trap \"exit 7\" INT; sleep 20', press Ctrl-C, then echo $? (7)",
        probe: terminal,
    },
    Check {
        name: "nothing-left",
        title: "afterwards the machine is as it was",
        since: Step(2),
        until: Final,
        kind: Kind::Duty,
        by_hand: "mount | wc -l; ip link; hostname; before and after",
        probe: nothing_left,
    },
];

fn command_runs(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let mut line = vec![held.command];
    while let Some(pid) = line.last().filter(|pid| **pid != held.run() && pid.as_raw() > 1) {
        line.push(kernel::parent(*pid)?);
    }
    let holds = line.last() == Some(&held.run()) && line.len() > 1;
    let shown: Vec<String> = line.iter().map(Pid::to_string).collect();
    let found = format!("the command's process and its ancestors: {}", shown.join(" < "));
    let meaning = "The command must be started by `run` or by a process that `run` started.";
    let expected = format!("a process with the command's words, below process {}", held.run());
    Ok(Verdict::new(holds, expected, found, meaning))
}

fn streams(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let mut differing = Vec::new();
    let mut shown = Vec::new();
    for fd in 0..3 {
        let ours = kernel::link(held.run(), &format!("fd/{fd}"))?;
        let theirs = kernel::link(held.command, &format!("fd/{fd}"))?;
        if ours != theirs {
            differing.push(fd);
        }
        shown.push(format!("fd {fd} is {theirs}"));
    }
    let meaning = "A stream that is not handed on is one that the command cannot read or write.";
    let expected = "the same open files as those of `run`";
    Ok(Verdict::new(differing.is_empty(), expected, shown.join(", "), meaning))
}

fn exit_status(lab: &Lab) -> Result<Verdict> {
    // Some status that nobody would guess.
    let status = 3 + i32::from(token().bytes().fold(0u8, u8::wrapping_add) % 100);
    let ended = lab.run(&["/bin/sh", "-c", &format!("exit {status}")])?;
    expect_status(status, ended.status, "Its exit status is all that a script learns of a command.")
}

fn cannot_run(lab: &Lab) -> Result<Verdict> {
    let missing = lab.run(&[&format!("/no/{}", token())])?;
    if missing.status != 127 {
        return expect_status(127, missing.status, "127 tells that there is no such command.");
    }
    let folder = lab.run(&["/bin"])?;
    expect_status(126, folder.status, "126 tells that the command is there and cannot be run.")
}

fn killed(lab: &Lab) -> Result<Verdict> {
    let ended = lab.run(&["/bin/sh", "-c", "kill -TERM $$"])?;
    expect_status(128 + 15, ended.status, "SIGTERM is signal 15; 128 is added as shells do.")
}

pub(super) fn expect_status(expected: i32, found: i32, meaning: &str) -> Result<Verdict> {
    let tell = |status| format!("exit status {status}");
    Ok(Verdict::new(expected == found, tell(expected), tell(found), meaning))
}

fn terminal(lab: &Lab) -> Result<Verdict> {
    let mark = token();
    // Not the shell itself: it may have its own ideas of Ctrl-C.
    let script = format!("echo ready-{mark}; exec sleep 60");
    let line = lab.subject.command_line(&["/bin/sh", "-c", &script]);
    let mut terminal = Terminal::start(lab.cage, &line, |_| {})?;
    let run = terminal.pid();
    let command = lab.command(&["sleep", "60"], run)?;
    // It has been printed by now, and only has to be read.
    terminal.wait_for(&format!("ready-{mark}\n"), Duration::from_secs(5))?;
    let (ours, theirs) = (tty(run)?, tty(command)?);
    if (ours.device, theirs.group) != (theirs.device, theirs.foreground) {
        let found = format!(
            "process group {}, on the terminal {} group {} is in the foreground",
            theirs.group, theirs.device, theirs.foreground
        );
        let meaning = "Only the foreground process group may read from the terminal.";
        return Ok(Verdict::new(false, "the command in the foreground", found, meaning));
    }
    // The signal is blocked only when the command has been started.
    until(Duration::from_secs(3), || outlives_sigint(run));
    terminal.press("\x03")?;
    let status = terminal.end(Duration::from_secs(3))?;
    // A shell tells both as 130, but who is killed cleans nothing up.
    let signal = terminal.process.try_wait()?.and_then(|status| status.signal());
    let found = match signal {
        Some(signal) => format!("`run` was killed by signal {signal}"),
        None => format!("status {status}"),
    };
    let meaning = "Ctrl-C sends SIGINT to the whole foreground process group: `run` must outlive it, \
                   or nobody cleans up and tells the status.";
    let holds = status == 130 && signal.is_none();
    Ok(Verdict::new(holds, "`run` ends by itself, with status 130", found, meaning))
}

/// Whether SIGINT does not end a process that waits for another one.
pub(super) fn outlives_sigint(pid: Pid) -> bool {
    // While it starts a child, the C library blocks all signals for a moment; it does not sleep then.
    let sleeps = kernel::status(pid, "State").is_ok_and(|state| state.starts_with('S'));
    let deaf = |set| kernel::has_signal(pid, set, Signal::SIGINT).unwrap_or(false);
    sleeps && ["SigBlk", "SigIgn", "SigCgt"].into_iter().any(deaf)
}

/// What the kernel says of a process and its terminal.
pub(super) struct Tty {
    pub(super) group: i32,
    device: i32,
    pub(super) foreground: i32,
}

pub(super) fn tty(pid: Pid) -> Result<Tty> {
    let stat = kernel::read(pid, "stat")?;
    // The name in parentheses may hold anything; the fields after it are numbers.
    let fields = stat.rsplit_once(") ").context("no fields in stat")?.1;
    let fields: Vec<i32> = fields.split(' ').skip(1).map_while(|it| it.parse().ok()).collect();
    let field = |n: usize| fields.get(n).copied().context("a field of stat is missing");
    Ok(Tty { group: field(1)?, device: field(3)?, foreground: field(4)? })
}

fn nothing_left(lab: &Lab) -> Result<Verdict> {
    let before = State::of(lab)?;
    let held = lab.hold(":")?;
    held.end()?;
    // A network namespace is taken down in the background.
    let mut after = State::of(lab)?;
    until(Duration::from_secs(10), || {
        after = State::of(lab).unwrap_or_default();
        after == before
    });
    let meaning = "Whoever makes something on the machine removes it. The bridge may stay.";
    Ok(Verdict::new(before == after, before.describe(), after.describe(), meaning))
}

#[derive(Default, PartialEq, Eq)]
struct State {
    hostname: String,
    processes: Vec<Pid>,
    cgroups: Vec<std::path::PathBuf>,
    mounts: Vec<Mount>,
    links: Vec<String>,
}

impl State {
    fn of(lab: &Lab) -> Result<Self> {
        let links = crate::network::ip(lab.cage.thread, "link")?;
        let links = links.iter().filter_map(|link| link["ifname"].as_str());
        Ok(Self {
            hostname: lab.cage.hostname()?,
            processes: lab.cage.processes(),
            cgroups: lab.cage.cgroups(),
            mounts: lab.cage.mounts()?,
            links: links.filter(|link| *link != "mydocker0").map(str::to_string).collect(),
        })
    }

    fn describe(&self) -> String {
        format!(
            "hostname {}, {} processes, {} cgroups, {} mounts ({} shared), links: {}",
            self.hostname,
            self.processes.len(),
            self.cgroups.len(),
            self.mounts.len(),
            self.mounts.iter().filter(|mount| !mount.propagation.is_empty()).count(),
            self.links.join(" ")
        )
    }
}
