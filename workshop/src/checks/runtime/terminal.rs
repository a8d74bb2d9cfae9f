//! `-t`: a terminal of the container's own, and ours as it was afterwards.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::termios::LocalFlags;
use nix::unistd::Pid;

use crate::checks::Stage::Final;
use crate::checks::pid::job_control;
use crate::checks::{Check, Kind, Lab, Verdict};
use crate::container::{PATIENCE, token};
use crate::kernel::identity;
use crate::pty::Terminal;
use crate::wait::until;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "own-terminal",
        title: "with -t, the command has a terminal of its own, as large as ours",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p final -- run --rm -it host sh -c 'tty; stty size; ls -l /dev/pts'",
        probe: own_terminal,
    },
    Check {
        name: "raw-terminal",
        title: "meanwhile ours hands every key on, and afterwards it is as before",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "stty -a -F our terminal, from another one, during the run and after it",
        probe: raw_terminal,
    },
    Check {
        name: "own-job-control",
        title: "with -t, an interactive shell has job control",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p final -- run --rm -it host /bin/sh, then sleep 100, Ctrl-Z, jobs",
        probe: |lab| lab.with(&["-t", "--env", "PS1=ready> "], job_control),
    },
];

/// A container on a terminal, whose command waits for a line.
struct Held {
    terminal: Terminal,
    run: Pid,
    command: Pid,
}

fn hold(lab: &Lab) -> Result<Held> {
    let mark = token();
    let script = format!("echo ready-{mark}; read line");
    let words = ["/bin/sh", "-c", &script];
    let line = lab.subject.with(&["-t"]).command_line(&words);
    let mut terminal = Terminal::start(lab.cage, &line, |_| {})?;
    terminal.wait_for(&format!("ready-{mark}\n"), PATIENCE)?;
    let run = terminal.pid();
    Ok(Held { run, command: lab.command(&words, run)?, terminal })
}

fn own_terminal(lab: &Lab) -> Result<Verdict> {
    let mut held = hold(lab)?;
    let stdin = format!("/proc/{}/fd/0", held.command);
    // Terminals of several devpts have the same numbers; the filesystem tells them apart.
    let filesystem = |pid| fs::metadata(format!("/proc/{pid}/fd/0")).map(|data| data.dev());
    let own = filesystem(held.command)? != filesystem(held.run)?;
    let console = identity(format!("/proc/{}/root/dev/console", held.command)).ok();
    let is_console = console == Some(identity(&stdin)?);
    held.terminal.resize(31, 97)?;
    let mut size = size(&stdin)?;
    until(Duration::from_secs(5), || {
        size = self::size(&stdin).unwrap_or_default();
        size == "31 97"
    });
    held.terminal.press("\r")?;
    held.terminal.end(PATIENCE)?;
    let yes = |it| if it { "yes" } else { "no" };
    let tell = |own, console, size: &str| {
        format!(
            "in a devpts of its own: {own}; /dev/console: {console}; ours resized to 31 97: {size}"
        )
    };
    let (expected, found) = (tell("yes", "yes", "31 97"), tell(yes(own), yes(is_console), &size));
    let meaning = "On the host's own terminal the command could read what is typed for others. \
                   Whoever stands in between passes the size on: SIGWINCH, then TIOCSWINSZ.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

/// Rows and columns of a terminal.
fn size(path: &str) -> Result<String> {
    let output = Command::new("stty").args(["-F", path, "size"]).output();
    let output = output.context("cannot start stty")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn raw_terminal(lab: &Lab) -> Result<Verdict> {
    let mut held = hold(lab)?;
    let during = treats_keys(&held.terminal)?;
    held.terminal.press("\r")?;
    held.terminal.end(PATIENCE)?;
    let after = treats_keys(&held.terminal)?;
    let found = format!("{during} during the run, {after} afterwards");
    let meaning = "What Ctrl-C means is for the container's terminal to say. Who leaves a terminal \
                   raw leaves a shell in which nothing that is typed can be seen.";
    let expected = "raw during the run, as before afterwards";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

/// Whether a terminal edits lines, shows what is typed and sends signals, as a new one does.
fn treats_keys(terminal: &Terminal) -> Result<&'static str> {
    let keys = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
    Ok(match terminal.modes()?.local_flags & keys {
        flags if flags == keys => "as before",
        flags if flags.is_empty() => "raw",
        _ => "neither raw nor as before",
    })
}
