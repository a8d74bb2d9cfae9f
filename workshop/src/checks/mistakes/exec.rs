//! Step 02: the command is started and waited for.

use anyhow::Result;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::super::LAST;
use super::super::Stage::Step;
use super::super::exec::outlives_sigint;
use super::{Lab, Mistake, SOON, look, runs};
use crate::container::token;
use crate::kernel;
use crate::wait::until;

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "replaced-itself",
        since: Step(2),
        until: LAST,
        explains: &["command-runs", "terminal"],
        says: "`run` became the command: exec(3) replaces the process that calls it, and nobody is \
               left to clean up and to tell the exit status. Start the command with spawn(), and \
               wait for it.",
        made: replaced_itself,
    },
    Mistake {
        name: "output-captured",
        since: Step(2),
        until: LAST,
        explains: &["streams", "command-runs", "terminal", "nothing-left"],
        says: "The command writes into a pipe instead of where `run` writes to, and cannot read \
               either: that is what Command::output() is for. A shell needs the terminal itself: \
               use spawn() and leave the streams alone.",
        made: output_captured,
    },
    Mistake {
        name: "stream-to-null",
        since: Step(2),
        until: LAST,
        explains: &["streams", "command-runs", "terminal", "nothing-left"],
        says: "A stream of the command is /dev/null: what it writes there is lost, and what it reads \
               is empty. Leave stdin, stdout and stderr alone: a child inherits them.",
        made: stream_to_null,
    },
    Mistake {
        name: "status-dropped",
        since: Step(2),
        until: LAST,
        explains: &["exit-status", "cannot-run", "killed", "terminal"],
        says: "The command ran, and `run` ended with 0 although the command did not: its status was \
               thrown away. Hand the value that waitpid(2) tells on to the ExitCode of main.",
        made: status_dropped,
    },
    Mistake {
        name: "signal-lost",
        since: Step(2),
        until: LAST,
        explains: &["killed", "terminal"],
        says: "A command that was killed by a signal has no exit code, and `run` made one up. \
               waitpid(2) tells the signal's number n in WaitStatus::Signaled: return 128 + n.",
        made: signal_lost,
    },
    Mistake {
        name: "one-status-for-all",
        since: Step(2),
        until: LAST,
        explains: &["cannot-run"],
        says: "A command that is not there and one that is no program end with the same status. \
               The error of spawn() tells them apart: io::ErrorKind::NotFound means 127, most others \
               mean 126.",
        made: one_status_for_all,
    },
    Mistake {
        name: "ctrl-c-blocked-too-early",
        since: Step(2),
        until: LAST,
        explains: &["terminal"],
        says: "SIGINT is blocked in the command, too: nobody can interrupt it. A child inherits the \
               mask of blocked signals, over exec(2), too. Block SIGINT and SIGQUIT after the spawn.",
        made: ctrl_c_blocked_too_early,
    },
    Mistake {
        name: "run-dies-of-ctrl-c",
        since: Step(2),
        until: LAST,
        explains: &["terminal"],
        says: "SIGINT is neither blocked nor handled in `run`. Ctrl-C reaches every process of the \
               foreground group, and `run` dies beside the command. Block SIGINT and SIGQUIT after \
               the spawn.",
        made: run_dies_of_ctrl_c,
    },
];

fn replaced_itself(lab: &Lab) -> Result<bool> {
    look(lab, |run, command| Ok(run == command))
}

fn output_captured(lab: &Lab) -> Result<bool> {
    look(lab, |run, command| {
        Ok([1, 2].into_iter().any(|fd| {
            stream(command, fd)
                .is_some_and(|it| it.starts_with("pipe:") && stream(run, fd) != Some(it))
        }))
    })
}

fn stream_to_null(lab: &Lab) -> Result<bool> {
    let null = Some("/dev/null".to_string());
    look(lab, |run, command| {
        Ok((0..3).any(|fd| stream(command, fd) == null && stream(run, fd) != null))
    })
}

/// The file that a process has open.
fn stream(pid: Pid, fd: u8) -> Option<String> {
    kernel::link(pid, &format!("fd/{fd}")).ok()
}

fn status_dropped(lab: &Lab) -> Result<bool> {
    let mark = token();
    let ended = lab.run(&["/bin/sh", "-c", &format!("echo {mark}; exit 7")])?;
    Ok(ended.status == 0 && ended.stdout.lines().any(|line| line == mark))
}

fn signal_lost(lab: &Lab) -> Result<bool> {
    // As process 1 it would not be killed, and come to the 9.
    let ended = lab.run(&["/bin/sh", "-c", "kill -TERM $$; exit 9"])?;
    Ok(![0, 9, 128 + 15].contains(&ended.status) && runs(lab)?)
}

fn one_status_for_all(lab: &Lab) -> Result<bool> {
    let missing = lab.run(&[&format!("/no/{}", token())])?.status;
    Ok(missing != 0 && lab.run(&["/bin"])?.status == missing && runs(lab)?)
}

fn ctrl_c_blocked_too_early(lab: &Lab) -> Result<bool> {
    look(lab, |_, command| kernel::has_signal(command, "SigBlk", Signal::SIGINT))
}

fn run_dies_of_ctrl_c(lab: &Lab) -> Result<bool> {
    look(lab, |run, command| {
        // It may block the signal only now.
        Ok(run != command && !until(SOON, || outlives_sigint(run)))
    })
}
