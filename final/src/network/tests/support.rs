//! Network namespaces to try things in.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use tempfile::TempDir;

/// A network namespace; it goes with this value.
pub(super) struct Namespace(File);

impl Namespace {
    /// Makes one, with lo up.
    pub(super) fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self(made.join().unwrap())
    }

    /// Runs a function in it, and programs that it starts.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = self.0.try_clone().unwrap();
        let ran = thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        ran.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A host without containers, and a folder for what it is to remember.
pub(super) struct Stage {
    pub(super) host: Namespace,
    pub(super) root: TempDir,
}

impl Stage {
    /// None as a normal user.
    pub(super) fn set(test: &str) -> Option<Self> {
        workshop::testing::root(test).then(|| {
            let host = Namespace::new();
            host.run(|| output("ip link set lo up; echo 0 > /proc/sys/net/ipv4/ip_forward"));
            Self { host, root: tempfile::tempdir().unwrap() }
        })
    }
}

/// What a line of shell says; it has to succeed.
pub(super) fn output(script: &str) -> String {
    let output = Command::new("/bin/sh").args(["-ec", script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
