//! Who plays a session to an audience: types as a person does, and waits for a key before each line.

use std::fmt::{self, Display};
use std::time::Duration;

use anyhow::Result;
use colored::Colorize;
use nix::poll::PollTimeout;
use nix::sys::signal::Signal;

use crate::output;
use crate::pty::Terminal;
use crate::signals::{STOPPING, Signals};
use crate::terminal::{self, Input, Raw};
use crate::transcript::{PROMPT, Player};

const KEYS: &str = "Enter or space types the next line, s all the others, q or Ctrl-C ends.";

const CTRL_C: u8 = 3;
/// What a presenter's remote control sends
const PAGE_DOWN: &[u8] = b"\x1b[6~";

pub(super) struct Presenter {
    /// This terminal, if somebody presses keys on it
    keyboard: Option<Raw>,
    signals: Signals,
    /// Waits for a key before each line
    waiting: bool,
    /// A session has begun
    begun: bool,
    /// The session has a second terminal
    two: bool,
}

/// Somebody wants no more: the exit status.
#[derive(Debug)]
pub(super) struct Stopped(pub(super) u8);

impl Display for Stopped {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("stopped")
    }
}

impl std::error::Error for Stopped {}

impl From<Signal> for Stopped {
    fn from(signal: Signal) -> Self {
        Self(128 + signal as u8)
    }
}

impl Presenter {
    /// From now on Ctrl-C and signals are read, and this terminal is as it was when this value goes.
    pub(super) fn new(auto: bool) -> Result<Self> {
        let signals = Signals::hold(STOPPING)?;
        let keyboard = if auto { None } else { Some(Raw::for_keys()?) };
        if !auto {
            output::note(KEYS);
        }
        Ok(Self { keyboard, signals, waiting: !auto, begun: false, two: false })
    }

    /// Announces a session.
    pub(super) fn begins(&mut self, title: &str, session: &str) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            output::print("\n")?;
        }
        self.two = session.lines().any(|line| line.starts_with("2> "));
        rule(title)
    }

    /// Waits for the key that makes it go on.
    fn waits(&mut self) -> Result<()> {
        while self.waiting {
            let keys = self.listen(PollTimeout::NONE)?;
            self.waiting = !keys.contains(&b's');
            if keys.iter().any(|key| b"\r\n ".contains(key)) || keys == PAGE_DOWN {
                break;
            }
        }
        Ok(())
    }

    /// The keys that are pressed in that time; it is over with the first.
    fn listen(&mut self, limit: PollTimeout) -> Result<Vec<u8>> {
        match terminal::listen(self.keyboard.as_ref(), &mut self.signals, limit)? {
            Input::End(signal) => Err(Stopped::from(signal).into()),
            Input::Keys(keys) if keys.contains(&CTRL_C) => {
                Err(Stopped::from(Signal::SIGINT).into())
            }
            Input::Keys(keys) if keys.contains(&b'q') => Err(Stopped(0).into()),
            Input::Keys(keys) => Ok(keys),
        }
    }

    /// The time between two keys of a person, or of one in a hurry.
    fn pace(&self, index: usize) -> Duration {
        let irregular = 40 + index as u64 * 17 % 23;
        Duration::from_millis(if self.keyboard.is_some() { irregular } else { 3 })
    }
}

impl Player for Presenter {
    fn turns_to(&mut self, terminal: &str) -> Result<()> {
        if !self.two {
            return Ok(());
        }
        output::print("\n")?;
        rule(&format!("{terminal} terminal"))
    }

    fn types(&mut self, line: &str, terminal: &mut Terminal) -> Result<()> {
        self.waits()?;
        let (rows, columns) = terminal::size();
        terminal.resize(rows, columns)?;
        for (index, key) in line.chars().enumerate() {
            terminal.press(key.encode_utf8(&mut [0; 4]))?;
            self.listen(self.pace(index).try_into().unwrap_or(PollTimeout::ZERO))?;
            self.sees(&terminal.take())?;
        }
        Ok(())
    }

    fn sees(&mut self, shown: &[u8]) -> Result<()> {
        // Keys that are pressed meanwhile go on nothing, but may end it.
        self.listen(PollTimeout::ZERO)?;
        let shown: Vec<u8> =
            shown.iter().copied().filter(|byte| !PROMPT.as_bytes().contains(byte)).collect();
        output::write(&shown)
    }
}

fn rule(title: &str) -> Result<()> {
    output::print(&format!("{}\n", format!("── {title} ──").bold()))
}
