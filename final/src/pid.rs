//! Process 1 of a container (pid_namespaces(7)).

use std::os::fd::OwnedFd;

use anyhow::Result;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, getpid, setpgid, tcsetpgrp};

use crate::kernel;
use crate::message::Attempt;

/// If the supervisor is killed, so is this process, and with process 1 all of its namespace.
pub(crate) fn die_with_parent() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)
        .or_cannot("ask to die with the parent", "A seccomp filter around us may forbid it")
}

/// `--init`: stays process 1, which passes signals on and removes zombies, and returns in a child
/// that is to become the command.
pub(crate) fn stay_as_init(terminal: bool) -> Result<()> {
    // None may arrive before it can be passed on.
    SigSet::all().thread_block().or_cannot("block signals", "Try again")?;
    let forked = kernel::fork().or_cannot("start a process besides init", "Allow two processes")?;
    match forked {
        ForkResult::Parent { child } => {
            // Its memory tells nobody what we have open.
            let _ = prctl::set_dumpable(false);
            kernel::close_others_and_end(None::<OwnedFd>, |_| reap(child))
        }
        ForkResult::Child => {
            let own_group = setpgid(Pid::from_raw(0), Pid::from_raw(0));
            own_group.or_cannot("make a process group", "Try again")?;
            if terminal {
                tcsetpgrp(std::io::stdin(), getpid())
                    .or_cannot("take the terminal", "Try again")?;
            }
            Ok(())
        }
    }
}

/// Waits for every process of the namespace, and returns the status of `command` as a shell would.
fn reap(command: Pid) -> u8 {
    loop {
        match SigSet::all().wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(status) = ended(command) {
                    return status;
                }
            }
            Ok(signal) => drop(kill(command, signal)),
            Err(_) => {}
        }
    }
}

fn ended(command: Pid) -> Option<u8> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == command => return Some(status as u8),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                return Some(128 + signal as u8);
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return None,
            _ => {}
        }
    }
}
