//! What the workspace's tests share: a root filesystem, and skipping what needs root out loud.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::Result;
use nix::unistd::geteuid;

use make_rootfs::{Progress, make_from_host};

/// True as root. As a normal user it says in a line that the test is skipped; in CI, where nothing
/// may be skipped, it panics.
pub fn root(test: &str) -> bool {
    if geteuid().is_root() {
        return true;
    }
    assert!(
        env::var_os("CI").is_none(),
        "{test} is skipped without root, and in CI that is a failure"
    );
    // Past the test harness, which would swallow it.
    let _ = writeln!(io::stderr(), "SKIPPED {test}: it needs root");
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
    let count = fs::read_to_string(&path).map_or(0, |names| names.lines().count());
    let _ = fs::remove_file(path);
    count
}

fn tally() -> Option<PathBuf> {
    Some(crate::project::binaries().ok()?.join("skipped-tests"))
}
