//! The terminal that this program runs on.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{self, SetArg, Termios};
use nix::unistd;

/// The terminal as it was; it becomes so again when this value goes.
pub struct Raw(Termios);

impl Raw {
    /// Hands keys over as they are pressed, Ctrl-C too, and leaves what is printed alone.
    pub fn enter() -> Result<Self> {
        Self::change(termios::cfmakeraw)
    }

    /// The same for the keys only: a line feed still begins a new line.
    pub fn for_keys() -> Result<Self> {
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

/// What was pressed, or why nothing more will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A key that stands for a byte
    Byte(u8),
    /// The terminal is gone, or somebody asked this process to end
    End,
}

/// Waits for a key on a raw terminal, but not for longer than `limit`.
pub fn key(limit: Duration) -> Result<Option<Key>> {
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    let stdin = io::stdin();
    match poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], limit) {
        Err(Errno::EINTR) | Ok(0) => return Ok(None),
        polled => polled.context("cannot wait for a key")?,
    };
    let mut byte = [0];
    // Past the buffer of std, which would swallow what is typed ahead.
    match unistd::read(&stdin, &mut byte) {
        Ok(1) => Ok(Some(Key::Byte(byte[0]))),
        _ => Ok(Some(Key::End)),
    }
}

/// Rows and columns. stty(1) asks for them: the system call is not to be had without `unsafe`.
pub fn size() -> (u16, u16) {
    let stty = Command::new("stty").arg("size").stdin(Stdio::inherit()).output();
    let text = stty.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    parse(&text.unwrap_or_default()).unwrap_or((24, 80))
}

/// How wide a line of text may be: as wide as the terminal, but no wider than one reads well. In a
/// pipe nothing is broken.
pub fn text_width() -> usize {
    if io::stdout().is_terminal() { usize::from(size().1).clamp(30, 100) } else { usize::MAX }
}

/// Reads `24 80`.
pub fn parse(text: &str) -> Option<(u16, u16)> {
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
