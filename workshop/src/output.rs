//! Words for people.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::{Result, anyhow};
use colored::Colorize;
use nix::errno::Errno;

/// Writes the text to stdout. A reader that has seen enough (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    write(text.as_bytes())
}

/// The same, with bytes of any kind.
pub fn write(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow!("cannot write to stdout: {}. Is the disk full?", reason(&error)))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr that is no error.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes an error to stderr.
pub fn complain(message: &str) {
    let mut stderr = io::stderr().lock();
    let mut word = "error:".red().bold();
    if !stderr.is_terminal() {
        word = "error:".normal();
    }
    let _ = writeln!(stderr, "{word} {message}");
}

/// Why a call failed, as errno(3) says it.
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_string(),
        None => error.to_string(),
    }
}
