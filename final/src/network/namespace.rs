//! Network namespaces: making one, and doing something in another (network_namespaces(7)).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process;

use anyhow::Result;
use nix::sched::{CloneFlags, setns, unshare};

use super::failed;

/// A new network namespace, which lasts as long as somebody is in it or has it open.
///
/// This takes the kernel a tenth of a start. In clone3(2) the new process would wait for it; made
/// here, it is made while that process mounts.
///
/// # Errors
///
/// EPERM without CAP_SYS_ADMIN, ENOSPC at the limit of /proc/sys/user/max_net_namespaces.
pub(crate) fn create() -> Result<OwnedFd> {
    let leave = || {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|error| {
            let cure = "Are there too many? See /proc/sys/user/max_net_namespaces";
            failed("create the container's network namespace", error, cure)
        })
    };
    away(leave, || current().map(OwnedFd::from))
}

/// Does something in another network namespace, such as opening a socket, which stays there.
pub(super) fn inside<T>(netns: BorrowedFd<'_>, what: impl FnOnce() -> Result<T>) -> Result<T> {
    let leave = || {
        setns(netns, CloneFlags::CLONE_NEWNET)
            .map_err(|error| failed("enter the container's network", error, "Run it as root"))
    };
    away(leave, what)
}

/// Leaves our network namespace for a moment.
fn away<T>(leave: impl FnOnce() -> Result<()>, what: impl FnOnce() -> Result<T>) -> Result<T> {
    let home = current()?;
    leave()?;
    let outcome = what();
    if let Err(error) = setns(&home, CloneFlags::CLONE_NEWNET) {
        // Whatever comes next would change the container's network for the host's.
        let _ = writeln!(io::stderr(), "error: cannot return to the host's network: {error}");
        process::abort();
    }
    outcome
}

fn current() -> Result<File> {
    let path = "/proc/thread-self/ns/net";
    File::open(path).map_err(|error| failed(format!("open {path}"), error, "Is /proc mounted?"))
}
