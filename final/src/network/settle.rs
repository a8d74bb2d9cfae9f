//! Puts the host back after the last container: forwarding, the table of nf_tables, the bridge.
//!
//! The kernel takes 50 to 100 ms for that, since it waits for the last who might look at what goes.
//! Whoever waits for a container's exit status should not wait for that too. And who starts one
//! container after another should not pay for the bridge each time, which takes 2 ms to make. So the
//! supervisor of the last container forks a process that is in nobody's way: it holds no descriptor
//! of the caller's, has left the session, and waits until nobody has come or gone for [`LINGER`].
//! Then it puts back what was written down, one change at a time, each under the lock that every
//! start and end takes. A start that comes meanwhile waits for one change at most and makes it anew;
//! the rest stays.
//!
//! One such process is enough. It ends when it finds a container, whose supervisor will see
//! to it in its turn. If it is killed, the next last container or `prune` does its work.

use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Error, Result};
use nix::sys::prctl;
use nix::unistd::{ForkResult, chdir, setsid};

use super::state::{Settling, State};
use super::{failed, host};
use crate::kernel;

/// How long the host stays as it is after the last container.
const LINGER: Duration = Duration::from_secs(2);

/// Who waits for the lock gets it in this time.
const PAUSE: Duration = Duration::from_millis(1);

/// Somebody who has taken it on to put the host back.
#[derive(Debug)]
pub struct Settler(Settling);

impl Settler {
    /// One, if the host is to be put back and nobody has taken that on.
    pub(super) fn needed(state: &State) -> Result<Option<Self>> {
        if !state.records()?.is_empty() {
            return Ok(None);
        }
        if state.changes()?.is_empty() {
            state.tidy();
            return Ok(None);
        }
        Ok(state.take_on_settling()?.map(Self))
    }

    /// Does it in a process of its own.
    ///
    /// # Errors
    ///
    /// No process can be started: `final prune` puts the host back.
    pub fn start(self) -> Result<()> {
        let forked = kernel::fork().map_err(|error| {
            failed("put the host's network back in the background", error, "Run: final prune")
        })?;
        match forked {
            // To drop it would give up the lock that both have now.
            ForkResult::Parent { .. } => {
                mem::forget(self);
                Ok(())
            }
            // Signals stay blocked: this takes seconds, and no half of it is of any use.
            ForkResult::Child => kernel::close_others_and_end(Some(self), |settler| {
                let _ = (setsid(), chdir("/"), prctl::set_name(c"final-settle"));
                let settled = settler.map_or(Ok(()), Self::wait_and_settle);
                u8::from(settled.is_err())
            }),
        }
    }

    /// What fails stays written down, for `prune`.
    fn wait_and_settle(self) -> Result<()> {
        let (mut begun, mut failed) = (false, Vec::new());
        loop {
            let state = State::lock()?;
            if !state.records()?.is_empty() {
                // Before the lock goes: who ends after us has to find that nobody does it.
                drop(self);
                return Ok(());
            }
            let mut rest = LINGER.saturating_sub(state.idle());
            if begun || rest.is_zero() {
                let mut left = state.changes()?;
                left.retain(|(name, _)| !failed.contains(name));
                let Some((name, before)) = left.pop() else {
                    state.tidy();
                    return Ok(());
                };
                if host::undo(&state, &name, &before).is_err() {
                    failed.push(name);
                }
                (begun, rest) = (true, PAUSE);
            }
            drop(state);
            sleep(rest);
        }
    }
}

impl AsFd for Settler {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Puts back what was changed on the host, if no container is left: forwarding, the table of
/// nf_tables, the bridge if it was made here. Goes on past failures, and answers all of them.
pub fn settle() -> Vec<Error> {
    match State::lock() {
        Ok(state) => {
            let errors = host::restore(&state);
            state.tidy();
            errors
        }
        Err(error) => vec![error],
    }
}
