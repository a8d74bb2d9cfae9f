//! What takes root, in a process of its own with somebody beside it who cleans up.
//!
//! A hidden command of this program, the job, makes namespaces and cgroups and prints a line for
//! everything that it finds. Whoever may interrupt it can do so at any moment: it could not clean up
//! then, being killed, or in the middle of something. So a supervisor, which is root too, waits for
//! it and removes what it leaves. A normal user starts the supervisor through sudo, which nobody but
//! root can send a signal to: it ends, too, when its stdin does.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use make_rootfs::Interrupted;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg, raise};
use nix::unistd::{Pid, geteuid};

use crate::container::shell_status;
use crate::signals::{STOPPING, Signals};
use crate::{clean, output, sudo};

/// The hidden command that is started through sudo.
const SUPERVISE: &str = "supervise";

/// Does a job as root, and hands on each line that it prints.
pub(crate) fn perform(job: &[OsString], each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    if geteuid().is_root() {
        return supervise(job, None, each);
    }
    let words = [&[SUPERVISE.into(), "--".into()], job].concat();
    let mut sudo = sudo::command(&words)?;
    sudo.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut sudo = sudo.spawn().map_err(|error| sudo::explain(&error, &words))?;
    let mut signals = Signals::hold(STOPPING)?;
    let said = read(&mut sudo, &mut signals, None, each);
    // This lets go of its stdin, too.
    let status = sudo.wait().context("cannot wait for sudo")?;
    drop(signals);
    end(said, status)
}

/// The same in the process that sudo has started, for as long as stdin is open.
pub fn play(job: &[OsString]) -> Result<ExitCode> {
    supervise(job, Some(io::stdin().as_fd()), output::print)?;
    Ok(ExitCode::SUCCESS)
}

/// Called by a job: without its supervisor nobody would clean up after it.
pub(crate) fn end_with_it() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot ask to die with the supervisor")
}

fn supervise(
    job: &[OsString],
    leash: Option<BorrowedFd>,
    each: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let program = env::current_exe().context("cannot tell this program's own path")?;
    let mut command = Command::new(program);
    // In a process group of its own, which ends as a whole.
    command.args(job).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let mut process = command.spawn().context("cannot start this program again")?;
    let pid = process.id().cast_signed();
    // Only from now on, since a child holds back what its parent does.
    let mut signals = Signals::hold(STOPPING)?;
    let said = read(&mut process, &mut signals, leash, each);
    if said.is_err() {
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let status = process.wait().context("cannot wait for the checks")?;
    let cleaned = if status.success() { Ok(()) } else { clean::after(pid) };
    drop(signals);
    let ended = end(said, status);
    cleaned.and(ended)
}

/// Whoever is interrupted ends by the same signal, as its parent expects.
fn end(said: Result<()>, status: ExitStatus) -> Result<()> {
    if let Some(Interrupted(signal)) = said.as_ref().err().and_then(|error| error.downcast_ref()) {
        let _ = raise(*signal);
    }
    said?;
    if let Ok(signal) = Signal::try_from(shell_status(status) - 128) {
        let _ = raise(signal);
    }
    if !status.success() {
        bail!("cannot finish the checks: the reason stands above, if there is one ({status})");
    }
    Ok(())
}

/// Hands on the lines that a process prints, to its end, to a signal, or to the end of the leash.
fn read(
    process: &mut Child,
    signals: &mut Signals,
    leash: Option<BorrowedFd>,
    mut each: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut stdout = BufReader::new(process.stdout.take().context("no stdout")?);
    let mut line = String::new();
    loop {
        if stdout.buffer().is_empty() {
            wait_for_more(stdout.get_ref().as_fd(), signals, leash)?;
        }
        line.clear();
        if stdout.read_line(&mut line).context("cannot read what the checks say")? == 0 {
            return Ok(());
        }
        each(&line)?;
    }
}

fn wait_for_more(pipe: BorrowedFd, signals: &mut Signals, leash: Option<BorrowedFd>) -> Result<()> {
    loop {
        let files = [Some(pipe), Some(signals.as_fd()), leash];
        let mut watched: Vec<_> =
            files.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut watched, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled.context("cannot wait for the checks")?,
        };
        // Nobody writes to it.
        let let_go = watched.get(2).and_then(PollFd::any).unwrap_or(false);
        if let Some(signal) = signals.next() {
            bail!(Interrupted(signal));
        }
        if let_go {
            bail!(Interrupted(Signal::SIGHUP));
        }
        return Ok(());
    }
}
