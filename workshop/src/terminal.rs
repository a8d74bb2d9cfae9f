//! The terminal that this program runs on.

use std::io;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::termios::{self, SetArg, Termios};

/// The terminal as it was; it becomes so again when this value goes.
pub(crate) struct Raw(Termios);

impl Raw {
    /// Hands keys over as they are pressed, Ctrl-C too, and leaves what is printed alone.
    pub(crate) fn enter() -> Result<Self> {
        Self::change(termios::cfmakeraw)
    }

    /// The same for the keys only: a line feed still begins a new line.
    pub(crate) fn for_keys() -> Result<Self> {
        Self::change(|modes| {
            let output = modes.output_flags;
            termios::cfmakeraw(modes);
            modes.output_flags = output;
        })
    }

    fn change(make: impl FnOnce(&mut Termios)) -> Result<Self> {
        let before = termios::tcgetattr(io::stdin()).context("cannot read the terminal's modes")?;
        let mut raw = before.clone();
        make(&mut raw);
        termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw)
            .context("cannot set the terminal's modes")?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.0);
    }
}

/// Rows and columns. stty(1) asks for them: the system call is not to be had without `unsafe`.
pub(crate) fn size() -> (u16, u16) {
    let stty = Command::new("stty").arg("size").stdin(Stdio::inherit()).output();
    let text = stty.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    parse(&text.unwrap_or_default()).unwrap_or((24, 80))
}

/// Reads `24 80`.
pub(crate) fn parse(text: &str) -> Option<(u16, u16)> {
    let (rows, columns) = text.trim().split_once(' ')?;
    let size = (rows.parse().ok()?, columns.parse().ok()?);
    (size.0 > 0 && size.1 > 0).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_numbers() {
        assert_eq!(parse("30 100\n"), Some((30, 100)));
        assert_eq!([parse(""), parse("0 0"), parse("x 80"), parse("24")], [None; 4]);
    }
}
