//! Step 05: a PID namespace (pid_namespaces(7)).

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use super::Stage::{Final, Step};
use super::uts::own_namespace;
use super::{Check, Kind, LAST, Lab, Verdict};
use crate::container::{PATIENCE, token};
use crate::kernel;
use crate::pty::Terminal;
use crate::wait::until;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "pid-namespace",
        title: "the command has a PID namespace of its own",
        since: Step(5),
        until: Final,
        kind: Kind::New,
        by_hand: "readlink /proc/PID/ns/pid, for the command and for your shell",
        probe: pid_namespace,
    },
    Check {
        name: "process-1",
        title: "the child is process 1 inside",
        since: Step(5),
        until: LAST,
        kind: Kind::New,
        by_hand: "grep NSpid /proc/PID/status, for the command's parent",
        probe: process_1,
    },
    Check {
        name: "says-pids",
        title: "`run` tells its pid outside, the child its pid inside",
        since: Step(5),
        until: LAST,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run true",
        probe: says_pids,
    },
    Check {
        name: "orphans",
        title: "the child inherits orphans and waits for them",
        since: Step(5),
        until: LAST,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run sh -c '(sleep 1 &); sleep 100', then ps -e | grep defunct outside",
        probe: orphans,
    },
    Check {
        name: "dies-with-run",
        title: "when `run` is killed, the whole container ends",
        since: Step(5),
        until: Final,
        kind: Kind::New,
        by_hand: "kill -9 the process of `run`, then ps fax",
        probe: dies_with_run,
    },
    Check {
        name: "job-control",
        title: "an interactive shell has job control, and Ctrl-Z stops no container for good",
        since: Step(5),
        until: LAST,
        kind: Kind::Duty,
        by_hand: "cargo run -p stepNN run /bin/sh, then sleep 100, Ctrl-Z, jobs; and run sleep 5, Ctrl-Z",
        probe: job_control,
    },
];

fn pid_namespace(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    // A namespace that nobody has been born in yet cannot be named.
    let for_children = kernel::namespace(held.run(), "pid_for_children").ok();
    let outside = kernel::namespace(lab.cage.thread, "pid")?;
    let meaning = if for_children == Some(outside) {
        "unshare(2) with CLONE_NEWPID must come before the child is started."
    } else {
        "unshare(2) was called, but only the *next* child is in the new namespace: the command must \
         be started after it."
    };
    own_namespace(lab, held.command, "pid", meaning)
}

fn process_1(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let child = kernel::parent(held.command)?;
    let ids = kernel::ids(child)?;
    let own = kernel::namespace(child, "pid")? != kernel::namespace(lab.cage.thread, "pid")?;
    let holds = own && ids.len() > 1 && ids.last() == Some(&1);
    let inside = ids.last().map_or("the same".to_string(), |id| format!("process {id}"));
    let found = format!("process {child} outside is {inside} inside");
    let meaning =
        "The first process in a PID namespace is its process 1: the child, not the command.";
    let expected = format!("process {child} outside is process 1 inside");
    Ok(Verdict::new(holds, expected, found, meaning))
}

fn says_pids(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let output = held.output();
    let told = |what: &str| -> Option<i32> {
        let line = output.iter().find(|line| line.starts_with(&format!("{what} [")))?;
        // The script has several lines: the number comes at the end of its last one.
        let at = output.iter().position(|it| it == line)?;
        output[at..].iter().find_map(|line| line.rsplit_once("] as ")?.1.parse().ok())
    };
    let (run, child) = (told("Running"), told("Running in child"));
    let expected = format!("Running [...] as {}, Running in child [...] as 1", held.run());
    let show = |pid: Option<i32>| pid.map_or("no number".to_string(), |pid| pid.to_string());
    let found =
        format!("Running [...] as {}, Running in child [...] as {}", show(run), show(child));
    let meaning = "getpid(2) tells a process its id in its own PID namespace.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

pub(super) fn orphans(lab: &Lab) -> Result<Verdict> {
    let mark = token();
    // The subshell ends at once, and leaves one orphan that stays and one that ends.
    let script = format!("(/bin/sh -c 'sleep 30; : {mark}' & sleep 0.05 &)");
    let held = lab.hold(&script)?;
    let child = kernel::parent(held.command)?;
    let stays = || {
        let mut all = lab.cage.processes().into_iter();
        all.find(|pid| {
            kernel::arguments(*pid)
                .is_ok_and(|words| words.len() == 3 && words[2].to_string_lossy().contains(&mark))
        })
    };
    until(Duration::from_secs(2), || {
        stays().is_some_and(|pid| kernel::parent(pid).is_ok_and(|parent| parent == child))
    });
    let orphan = stays().context("the orphan has gone")?;
    let parent = kernel::parent(orphan)?;
    let zombies = || kernel::zombies_of(child).len();
    let mut gone = false;
    // A zombie may be seen for a moment before it is waited for.
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(60));
        gone = zombies() == 0;
    }
    let own = kernel::namespace(child, "pid")? != kernel::namespace(lab.cage.thread, "pid")?;
    let found = format!("the orphan {orphan} has the parent {parent}; {} zombies", zombies());
    let meaning = if parent == child {
        "Process 1 must wait for every process that it inherits: waitpid(2) with -1."
    } else {
        "The orphan went to a process outside of the container."
    };
    let expected = format!("the parent {child}, process 1 inside; 0 zombies");
    Ok(Verdict::new(own && parent == child && gone, expected, found, meaning))
}

fn dies_with_run(lab: &Lab) -> Result<Verdict> {
    let mut held = lab.hold("sleep 30 &")?;
    let inside: Vec<Pid> =
        lab.cage.processes().into_iter().filter(|pid| *pid != held.run()).collect();
    held.kill_run()?;
    let left = || inside.iter().filter(|pid| kernel::is_alive(**pid)).count();
    until(Duration::from_secs(2), || left() == 0);
    let found = format!("{} of {} processes still live", left(), inside.len());
    let meaning =
        "PR_SET_PDEATHSIG lets the child die with `run`, and with process 1 goes its namespace.";
    Ok(Verdict::new(left() == 0, "no process is left after kill -9", found, meaning))
}

pub(super) fn job_control(lab: &Lab) -> Result<Verdict> {
    let line = lab.subject.command_line(&["/bin/sh"]);
    let mut terminal = Terminal::start(lab.cage, &line, |command| {
        command.env("PS1", "ready> ").env("LC_ALL", "C").env("TERM", "dumb").env_remove("ENV");
    })?;
    let is_stopped = |pid: &Pid| kernel::status(*pid, "State").is_ok_and(|it| it.starts_with('T'));
    let expected = "Ctrl-Z stops sleep, and the shell goes on";
    let mut stopped = false;
    until(PATIENCE, || {
        stopped = lab.cage.processes().iter().any(is_stopped);
        stopped || terminal.text().contains("ready> ") || terminal.is_over()
    });
    if stopped {
        let found = "the shell was stopped before its first prompt";
        let meaning = "Only the foreground process group may read from the terminal.";
        return Ok(Verdict::new(false, expected, found, meaning));
    }
    terminal.wait_for("ready> ", PATIENCE)?;
    // $((...)) tells what was typed from what was printed.
    terminal.press("sleep 30\n")?;
    let sleeps = lab.command(&["sleep", "30"], terminal.pid()).is_ok();
    terminal.press("\x1a")?;
    let stopped = sleeps && terminal.wait_for("ready> ", Duration::from_secs(3)).is_ok();
    terminal.press("kill %1; echo $((40 + 2))\n")?;
    let alive = stopped && terminal.wait_for("42\n", Duration::from_secs(3)).is_ok();
    // With a job that was stopped, a shell wants to be told twice.
    terminal.press("exit\nexit\n")?;
    let ended = alive && terminal.end(PATIENCE).is_ok();
    let meaning = "The shell's process group must be known inside and in the terminal's foreground: \
                   give the child a group of its own and the terminal.";
    let screen = terminal.text();
    let complaint =
        screen.lines().find(|line| line.contains("job control") || line.contains("tty"));
    let found = match complaint {
        Some(line) => line.to_string(),
        None if ended => "Ctrl-Z stopped sleep, and the shell went on".to_string(),
        None if alive => "the shell did not end".to_string(),
        None => "after Ctrl-Z the shell did not come back".to_string(),
    };
    if !ended || complaint.is_some() {
        return Ok(Verdict::new(false, expected, found, meaning));
    }
    goes_on_after_ctrl_z(lab)
}

/// Nobody outside could continue the command: `run` waits for its end.
fn goes_on_after_ctrl_z(lab: &Lab) -> Result<Verdict> {
    let mut terminal =
        Terminal::start(lab.cage, &lab.subject.command_line(&["sleep", "31"]), |_| {})?;
    let command = lab.command(&["sleep", "31"], terminal.pid())?;
    terminal.press("\x1a")?;
    // Long enough to be stopped, and to be continued.
    thread::sleep(Duration::from_millis(300));
    let is_stopped = || kernel::status(command, "State").is_ok_and(|it| it.starts_with('T'));
    let goes_on = until(Duration::from_secs(2), || !is_stopped());
    let expected = "a command that Ctrl-Z stops goes on at once";
    let found = if goes_on { "the command goes on" } else { "the command stays stopped" };
    let meaning = "Process 1 cannot be stopped, and nobody else can continue the command: wait with \
                   WUNTRACED, and send SIGCONT to whoever is stopped.";
    Ok(Verdict::new(goes_on, expected, found, meaning))
}
