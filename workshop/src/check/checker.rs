//! The checker: the part of `check` that runs as root, in a process of its own.
//!
//! It prints a line of JSON for each verdict. A supervisor, which is root too, waits for it and
//! removes what it leaves if it is interrupted. A normal user starts the supervisor through sudo.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use make_rootfs::Interrupted;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, raise};
use nix::unistd::geteuid;

use super::{Candidate, Report, Target, bench, by_hand, candidates};
use crate::checks::{self, mistakes::Search};
use crate::signals::{STOPPING, Signals};
use crate::{clean, doctor, output, sudo};

/// What this program is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Runs the checks
    Checker,
    /// Sees to it that nothing of them is left
    Supervisor,
}

impl Part {
    /// Plays it, as root; verdicts go to stdout.
    pub(super) fn play(self, target: &Target) -> Result<ExitCode> {
        match self {
            Self::Checker => run(target)?,
            Self::Supervisor => supervise(target, output::print)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Has the checks run, as root, and hands on each verdict.
pub fn perform(target: &Target, mut each: impl FnMut(Report) -> Result<()>) -> Result<()> {
    let each = |line: &str| {
        each(serde_json::from_str(line).context("cannot understand what the checker says")?)
    };
    if geteuid().is_root() {
        return supervise(target, each);
    }
    let mut line: Vec<OsString> = sudo::words()?;
    line.extend(words(target, Part::Supervisor));
    let mut supervisor = start(&line)?;
    let held = Signals::hold(STOPPING)?;
    let lines = read(&mut supervisor, None, each);
    let status = supervisor.wait().context("cannot wait for sudo")?;
    drop(held);
    lines?;
    finished(status)
}

/// The command line of a part.
fn words(target: &Target, part: Part) -> Vec<OsString> {
    let part = if part == Part::Checker { "checker" } else { "supervisor" };
    let mut words: Vec<OsString> = ["check", "--part", part].map(OsString::from).into();
    let mut add = |option: &str, value: Option<OsString>| {
        words.extend(value.into_iter().flat_map(|value| [option.into(), value]));
    };
    add("--bin", target.bin.clone().map(OsString::from));
    add("--step", target.step.map(|step| step.package.clone().into()));
    add("--rootfs", target.rootfs.clone().map(OsString::from));
    words.extend(target.what.iter().map(OsString::from));
    if !target.words.is_empty() {
        words.push("--".into());
        words.extend(target.words.iter().cloned());
    }
    words
}

fn start(line: &[OsString]) -> Result<Child> {
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]).stdout(Stdio::piped());
    command.spawn().with_context(|| format!("cannot start {}", line[0].display()))
}

/// Starts the checker, hands on what it says, and cleans up after it if a signal arrives before its
/// end.
fn supervise(target: &Target, each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut line = vec![env::current_exe().context("cannot tell this program's own path")?.into()];
    line.extend(words(target, Part::Checker));
    let mut checker = start(&line)?;
    // Only from now on, since a child holds back what its parent does.
    let mut signals = Signals::hold(STOPPING)?;
    let said = read(&mut checker, Some(&mut signals), each);
    if said.is_err() {
        let _ = checker.kill();
    }
    let status = checker.wait().context("cannot wait for the checks")?;
    if !status.success() {
        clean::after(checker.id().cast_signed())?;
    }
    drop(signals);
    if let Some(Interrupted(signal)) = said.as_ref().err().and_then(|error| error.downcast_ref()) {
        let _ = raise(*signal);
    }
    said?;
    finished(status)
}

fn finished(status: std::process::ExitStatus) -> Result<()> {
    use std::os::unix::process::ExitStatusExt;
    // Whoever is interrupted ends by the same signal, as its parent expects.
    let signal = status.signal().or(status.code().and_then(|code| code.checked_sub(128)));
    if let Some(Ok(signal)) = signal.map(Signal::try_from) {
        let _ = raise(signal);
    }
    if !status.success() {
        bail!("cannot finish the checks: the reason stands above, if there is one ({status})");
    }
    Ok(())
}

/// Hands on the lines that a process prints, to its end or to a signal.
fn read(
    process: &mut Child,
    mut signals: Option<&mut Signals>,
    mut each: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut stdout = BufReader::new(process.stdout.take().context("no stdout")?);
    let mut line = String::new();
    loop {
        if let Some(signals) = signals.as_mut().filter(|_| stdout.buffer().is_empty()) {
            wait_for_either(stdout.get_ref(), signals)?;
        }
        line.clear();
        if stdout.read_line(&mut line).context("cannot read what the checks say")? == 0 {
            return Ok(());
        }
        each(&line)?;
    }
}

fn wait_for_either(pipe: &impl AsFd, signals: &mut Signals) -> Result<()> {
    loop {
        let mut watched =
            [pipe.as_fd(), signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut watched, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled.context("cannot wait for the checks")?,
        };
        match signals.next() {
            Some(signal) => bail!(Interrupted(signal)),
            None => return Ok(()),
        }
    }
}

/// Runs the checks and prints the verdicts.
fn run(target: &Target) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot ask to die with the supervisor")?;
    for candidate in candidates(target)? {
        match doctor::cannot(candidate.stage)?.first() {
            Some((need, seen)) => {
                skip(&candidate, &format!("{} ({seen})", need.facts().label))?;
            }
            None => judge(&candidate, target)?,
        }
    }
    Ok(())
}

fn judge(candidate: &Candidate, target: &Target) -> Result<()> {
    let bench = bench(candidate, target)?;
    let search = Search::new(candidate.stage, &bench, &candidate.subject);
    for check in checks::valid_at(candidate.stage) {
        let verdict = check.run(&bench, &candidate.subject)?;
        let mistake = if verdict.holds { None } else { search.behind(check.name)? };
        tell(&Report::new(candidate.stage, check, verdict, mistake, by_hand(check, candidate)))?;
    }
    Ok(())
}

/// Where a container cannot run, or cannot be looked at, no check can say anything.
fn skip(candidate: &Candidate, lack: &str) -> Result<()> {
    for check in checks::valid_at(candidate.stage) {
        tell(&Report::skipped(candidate.stage, check, lack, by_hand(check, candidate)))?;
    }
    Ok(())
}

fn tell(report: &Report) -> Result<()> {
    let line = serde_json::to_string(report).context("cannot write JSON")?;
    output::print(&format!("{line}\n"))
}
