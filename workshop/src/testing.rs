//! What the workspace's tests share: a root filesystem, and skipping what needs root out loud.

use std::collections::HashSet;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::Result;
use nix::unistd::geteuid;

use make_rootfs::{Progress, make_from_host};

use crate::vm;

/// True as root. As a normal user it says in a line that the test is skipped; in CI, where nothing
/// may be skipped, it panics.
pub fn root(test: &str) -> bool {
    geteuid().is_root() || skip(test, "it needs root")
}

/// True if there is QEMU for a virtual machine; otherwise as [`root`].
pub fn qemu(test: &str) -> bool {
    vm::is_possible() || skip(test, "it needs QEMU")
}

/// Says in a line that a test is skipped, and why; in CI it panics. Always false.
pub fn skip(test: &str, why: &str) -> bool {
    assert!(
        env::var_os("CI").is_none(),
        "{test} is skipped because {why}, and in CI that is a failure"
    );
    // Past the test harness, which would swallow it.
    let line = format!("SKIPPED {test}: {why}\n");
    // In one piece, since other tests write, too.
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(mut tally) =
        tally().and_then(|path| OpenOptions::new().append(true).create(true).open(path).ok())
    {
        let _ = writeln!(tally, "{test}");
    }
    false
}

/// A root filesystem for tests, made from this machine's own programs, whatever the one in the
/// workshop's folder was made from.
pub fn rootfs() -> Result<PathBuf> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MAKING.lock();
    let folder = crate::project::binaries()?.join("test-rootfs");
    if !folder.exists() {
        make_from_host(&folder, &Progress::hidden())?;
    }
    Ok(folder)
}

/// How many tests have been skipped since this was asked the last time.
pub fn skipped() -> usize {
    let Some(path) = tally() else { return 0 };
    // A run that did not come to its end has left its names.
    let names = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    names.lines().collect::<HashSet<_>>().len()
}

fn tally() -> Option<PathBuf> {
    Some(crate::project::binaries().ok()?.join("skipped-tests"))
}
