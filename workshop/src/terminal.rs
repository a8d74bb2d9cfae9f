//! The terminal that this program runs on.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::termios::{self, SetArg, Termios};
use nix::unistd;

use crate::signals::Signals;

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

/// What somebody at the terminal does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Presses keys; none if the time was up
    Keys(Vec<u8>),
    /// Asks this process to end, or is gone
    End(Signal),
}

/// Waits for keys, if there is a raw terminal to press them on, or for a signal, but not for longer
/// than `limit`.
pub(crate) fn listen(
    keyboard: Option<&Raw>,
    signals: &mut Signals,
    limit: PollTimeout,
) -> Result<Input> {
    let stdin = io::stdin();
    let mut polled = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    if keyboard.is_some() {
        polled.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
    }
    match poll(&mut polled, limit) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error).context("cannot wait for a key"),
    }
    let pressed = polled.get(1).and_then(PollFd::any).unwrap_or(false);
    if let Some(signal) = signals.next() {
        return Ok(Input::End(signal));
    }
    let mut keys = vec![0; 64];
    // Past the buffer of std, which would swallow what is typed ahead.
    let count = if pressed { unistd::read(&stdin, &mut keys).unwrap_or(0) } else { 0 };
    keys.truncate(count);
    Ok(if pressed && keys.is_empty() { Input::End(Signal::SIGHUP) } else { Input::Keys(keys) })
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
