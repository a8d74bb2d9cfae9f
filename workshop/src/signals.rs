//! Signals as something to wait for beside files (signalfd(2)).

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use crate::kernel;

/// Asks a program to end.
pub(crate) const STOPPING: [Signal; 4] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// Signals that are held back, to be read. This thread gets them again when this value goes;
/// threads and programs that it starts hold them back, too.
pub(crate) struct Signals {
    fd: SignalFd,
    before: SigSet,
}

impl Signals {
    /// Holds these back from now on.
    pub(crate) fn hold(signals: impl IntoIterator<Item = Signal>) -> Result<Self> {
        let watched: SigSet = signals.into_iter().collect();
        let before = watched.thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let before = before.context("cannot hold signals back")?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = SignalFd::with_flags(&watched, flags).context("cannot open a signalfd")?;
        Ok(Self { fd, before })
    }

    /// The next one that has come.
    pub(crate) fn next(&mut self) -> Option<Signal> {
        let signal = self.fd.read_signal().ok()??;
        Signal::try_from(i32::try_from(signal.ssi_signo).ok()?).ok()
    }
}

/// The line that starts a program which hears Ctrl-C. Who was started in the background by a shell
/// ignores it, as would all that it starts.
pub(crate) fn hearing_keys(program: &[OsString]) -> Result<Vec<OsString>> {
    let ignores = |signal| kernel::has_signal(Pid::this(), "SigIgn", signal);
    let mut line = Vec::new();
    if ignores(Signal::SIGINT)? || ignores(Signal::SIGQUIT)? {
        // GNU's; the call itself is not to be had without `unsafe`.
        line.extend(["env", "--default-signal=INT,QUIT"].map(OsString::from));
    }
    line.extend_from_slice(program);
    Ok(line)
}

/// Waits for a program that has the terminal meanwhile: Ctrl-C is for it.
pub(crate) fn without_keys<T>(wait: impl FnOnce() -> T) -> Result<T> {
    let mut signals = Signals::hold([Signal::SIGINT, Signal::SIGQUIT])?;
    let waited = wait();
    while signals.next().is_some() {}
    Ok(waited)
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}
