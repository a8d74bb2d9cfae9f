//! Shows a text page by page, with the program that git would take.

use std::env;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};

use crate::{output, signals};

/// What `less` is told unless `LESS` says otherwise: to pass colours on, and to end at once and leave
/// the text on the screen if it fits.
const OPTIONS: &str = "FRX";

/// A shell's exit statuses for a program that it could not start.
const NOT_STARTED: [Option<i32>; 2] = [Some(126), Some(127)];

/// Shows a text with $PAGER, or less. If there is no such program, or it is `cat`, prints it.
pub(super) fn page(text: &str) -> Result<()> {
    let mut pager = match env::var("PAGER") {
        Ok(line) if ["", "cat"].contains(&line.trim()) => return output::print(text),
        Ok(line) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &line]);
            shell
        }
        Err(_) => Command::new("less"),
    };
    if env::var_os("LESS").is_none() {
        pager.env("LESS", OPTIONS);
    }
    let mut process = match pager.stdin(Stdio::piped()).spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => return output::print(text),
        spawned => spawned.context("cannot start the pager. Try --no-pager")?,
    };
    let (written, status) = signals::without_keys(|| {
        let stdin = process.stdin.take();
        let written = stdin.map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes()));
        (written, process.wait())
    })?;
    let status = status.context("cannot wait for the pager")?;
    if NOT_STARTED.contains(&status.code()) {
        return output::print(text);
    }
    match written {
        // Who has seen enough quits early.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let reason = output::reason(&error);
            Err(anyhow!("cannot write to the pager: {reason}. Try --no-pager"))
        }
        _ => Ok(()),
    }
}
