//! While the command runs: one thread that passes on signals and what goes through the terminal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::WaitPidFlag;
use nix::unistd::Pid;

use crate::kernel::{self, SignalNumber};
use crate::message::Attempt;
use crate::terminal::{End, Terminal};

/// Who asks that often for the end means it.
const INSISTENCE: u32 = 3;

/// These tell of faults of our own, and are delivered.
const FAULTS: [Signal; 8] = [
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGPIPE,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGTRAP,
];

/// Signals that are not delivered but read (signalfd(2)).
pub(crate) struct Signals(SignalFd);

impl Signals {
    pub(crate) fn catch() -> Result<Self> {
        let mut caught = SigSet::all();
        FAULTS.iter().for_each(|fault| caught.remove(*fault));
        caught.thread_block().or_cannot("block signals", "Try again")?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        SignalFd::with_flags(&caught, flags).map(Self).or_cannot("open a signalfd", "Try again")
    }

    fn next(&self) -> Option<SignalNumber> {
        self.0.read_signal().ok()??.ssi_signo.try_into().ok()
    }
}

/// Stays with the container until its process 1 has ended, and returns the exit status.
pub(crate) fn supervise(
    pid: Pid,
    pidfd: &OwnedFd,
    signals: &Signals,
    terminal: Option<OwnedFd>,
    interactive: bool,
) -> Result<u8> {
    let mut terminal = terminal.map(|master| Terminal::new(master, interactive)).transpose()?;
    let mut asked = 0;
    loop {
        let (ended, ends) = wait(pidfd.as_fd(), signals, terminal.as_ref())?;
        while let Some(signal) = signals.next() {
            react(signal, pidfd.as_fd(), terminal.as_mut(), &mut asked)?;
        }
        if let Some(terminal) = &mut terminal {
            ends.into_iter().for_each(|end| terminal.copy(end));
        }
        if ended {
            // The last words may still be on their way.
            terminal.iter_mut().for_each(Terminal::drain);
            return status(pid);
        }
    }
}

/// Waits until something happens: whether the container has ended, and what can be copied.
fn wait(
    container: BorrowedFd,
    signals: &Signals,
    terminal: Option<&Terminal>,
) -> Result<(bool, Vec<End>)> {
    let mut watched = vec![
        PollFd::new(container, PollFlags::POLLIN),
        PollFd::new(signals.0.as_fd(), PollFlags::POLLIN),
    ];
    let (ends, files): (Vec<End>, Vec<PollFd>) =
        terminal.map(Terminal::interests).unwrap_or_default().into_iter().unzip();
    watched.extend(files);
    match poll(&mut watched, PollTimeout::NONE) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok((false, Vec::new())),
        Err(error) => return Err(error).or_cannot("wait for the container", "Try again"),
    }
    let ready = |file: &PollFd| file.revents().is_some_and(|events| !events.is_empty());
    let ends = ends.into_iter().zip(&watched[2..]).filter(|(_, file)| ready(file));
    Ok((ready(&watched[0]), ends.map(|(end, _)| end).collect()))
}

/// Passes a signal on to process 1, as far as it is not for us.
fn react(
    signal: SignalNumber,
    container: BorrowedFd,
    terminal: Option<&mut Terminal>,
    asked: &mut u32,
) -> Result<()> {
    let signal = match (Signal::try_from(signal), terminal) {
        (Ok(Signal::SIGCHLD), _) => return Ok(()),
        (Ok(Signal::SIGWINCH), Some(terminal)) => {
            terminal.resize();
            return Ok(());
        }
        // Process 1 of a container cannot be stopped by them: only we stop, until `fg`.
        (Ok(Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU), terminal) => {
            return stop(terminal);
        }
        (Ok(Signal::SIGINT | Signal::SIGTERM), _) => {
            *asked += 1;
            // Without a handler, a process 1 does not even notice.
            if *asked >= INSISTENCE { Signal::SIGKILL as SignalNumber } else { signal }
        }
        _ => signal,
    };
    match kernel::pidfd_send_signal(container, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).or_cannot(format_args!("pass on signal {signal}"), "Try again"),
    }
}

/// Stops this process with the terminal as it was before.
fn stop(mut terminal: Option<&mut Terminal>) -> Result<()> {
    terminal.iter_mut().for_each(|it| it.restore());
    raise(Signal::SIGSTOP).or_cannot("stop", "Try again")?;
    if let Some(terminal) = terminal {
        terminal.make_raw()?;
        terminal.resize();
    }
    Ok(())
}

fn status(pid: Pid) -> Result<u8> {
    let ended = kernel::wait(Some(pid), WaitPidFlag::empty());
    match ended.context("cannot wait for the container")? {
        Some((_, status)) => Ok(status),
        None => bail!("cannot wait for the container: it has not ended"),
    }
}
