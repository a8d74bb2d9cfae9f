//! Words for people: every failure says what was tried, on what, why it failed and what to do.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use anyhow::anyhow;
use colored::{ColoredString, Colorize};
use nix::errno::Errno;

/// The runtime's own failure.
pub(crate) const FAILED: u8 = 125;
/// The command is no program, or not executable.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// There is no such command.
pub(crate) const NOT_FOUND: u8 = 127;

/// What to do where only root may.
pub(crate) const AS_ROOT: &str = "Run it as root; in a container, one started with --privileged";

/// What to do where a system call is missing.
const MISSING: &str = "Linux 5.12 or newer can, unless a seccomp filter around us forbids it: in a \
                       container, use one started with --privileged";

/// Adds to a failed call what it was for and a way out.
pub(crate) trait Attempt<T> {
    /// Turns an error into "cannot `what`: reason. `cure`".
    fn or_cannot(self, what: impl fmt::Display, cure: &str) -> anyhow::Result<T>;
}

impl<T, E: Into<io::Error>> Attempt<T> for Result<T, E> {
    fn or_cannot(self, what: impl fmt::Display, cure: &str) -> anyhow::Result<T> {
        self.map_err(|error| failed(what, &error.into(), cure))
    }
}

/// What was tried, why it failed, and what to do about it.
pub(crate) fn failed(what: impl fmt::Display, error: &io::Error, cure: &str) -> anyhow::Error {
    let missing = error.raw_os_error() == Some(Errno::ENOSYS as i32);
    let cure = if missing { MISSING } else { cure };
    anyhow!("cannot {what}: {}. {cure}", reason(error))
}

/// A failure that has an exit status of its own.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit status for an error, and its words in one line.
pub(crate) fn explain(error: &anyhow::Error) -> (u8, String) {
    let status = error.downcast_ref().map_or(FAILED, |failure: &Failure| failure.status);
    // A name can hold a newline, an error is one line.
    (status, format!("{error:#}").replace('\n', "\\n"))
}

/// Why a call failed, as errno(3) says it.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_string(),
        None => error.to_string(),
    }
}

/// Writes an error to stderr.
pub(crate) fn complain(message: &str) {
    line("error:".red().bold(), message);
}

/// Writes something to stderr that did not stop the run.
pub(crate) fn warn(message: &str) {
    line("warning:".yellow().bold(), message);
}

fn line(mut word: ColoredString, message: &str) {
    let mut stderr = io::stderr().lock();
    if !stderr.is_terminal() {
        word = word.clear();
    }
    // One write, so that lines of several processes do not mix.
    let _ = stderr.write_all(format!("{word} {message}\n").as_bytes());
}
