//! How far a run has come, and whether someone wants it to stop.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal};

use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::causes;

#[cfg(feature = "archive")]
mod reader;

/// Where a run shows how far it has come.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar on stderr if that is a terminal, else nothing.
    pub fn on_terminal() -> Self {
        let stderr = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self(ProgressBar::with_draw_target(Some(0), stderr))
    }

    /// Nothing at all.
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }
}

/// A signal asked the run to stop.
#[derive(Debug)]
pub struct Interrupted(pub Signal);

impl fmt::Display for Interrupted {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "stopped by {}. Nothing was changed", self.0)
    }
}

impl Error for Interrupted {}

/// One run. While it lasts, signals that would end the process are held back, so that the run can
/// tidy up first.
pub(super) struct Job<'a> {
    progress: &'a Progress,
    signals: SignalFd,
    before: SigSet,
    stopped: Cell<Option<Signal>>,
}

impl<'a> Job<'a> {
    pub(super) fn start(progress: &'a Progress) -> Result<Self> {
        let stop: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        let before = SigSet::thread_get_mask().context("cannot read the signal mask")?;
        let signals = SignalFd::with_flags(&stop, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .context("cannot open a signalfd")?;
        stop.thread_block().context("cannot hold signals back")?;
        Ok(Self { progress, signals, before, stopped: Cell::new(None) })
    }

    /// From here on, steps are counted up to `total`.
    pub(super) fn count(&self, what: &'static str, total: usize) {
        self.bar("{msg} {wide_bar} {pos}/{len}", what, total as u64);
    }

    #[cfg(feature = "archive")]
    /// From here on, steps are bytes; without `total` nobody knows how many will come.
    pub(super) fn bytes(&self, what: &'static str, total: Option<u64>) {
        match total {
            Some(total) => self.bar("{msg} {wide_bar} {bytes}/{total_bytes}", what, total),
            None => self.bar("{msg} {bytes}", what, 0),
        }
    }

    fn bar(&self, template: &str, what: &'static str, total: u64) {
        let bar = &self.progress.0;
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_length(total);
        bar.set_message(what);
    }

    /// Goes `steps` further, or fails if a signal has arrived.
    pub(super) fn step(&self, steps: u64) -> Result<(), Interrupted> {
        self.progress.0.inc(steps);
        if let Ok(Some(signal)) = self.signals.read_signal() {
            let number = i32::try_from(signal.ssi_signo).unwrap_or_default();
            self.stopped.set(Signal::try_from(number).ok());
        }
        self.stopped.get().map_or(Ok(()), |signal| Err(Interrupted(signal)))
    }

    /// If a signal ended the run, whatever failed then failed because of it.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        match self.stopped.get() {
            Some(signal) => Interrupted(signal).into(),
            None => anyhow!(causes(&error)),
        }
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        self.progress.0.finish_and_clear();
        let _ = self.before.thread_set_mask();
    }
}
