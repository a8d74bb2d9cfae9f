//! Process 1 of a container (pid_namespaces(7)).

use std::os::fd::OwnedFd;

use anyhow::Result;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::WaitPidFlag;
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

/// Waits for every process of the namespace, and returns the status of `command`.
fn reap(command: Pid) -> u8 {
    loop {
        match kernel::next_signal() {
            Ok(libc::SIGCHLD) => {
                if let Some(status) = ended(command) {
                    return status;
                }
            }
            Ok(signal) => drop(kernel::send_signal(command, signal)),
            Err(_) => {}
        }
    }
}

fn ended(command: Pid) -> Option<u8> {
    loop {
        match kernel::wait(None, WaitPidFlag::WNOHANG) {
            Ok(Some((pid, status))) if pid == command => return Some(status),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}
