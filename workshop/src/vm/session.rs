//! The outer end of the machine: one loop that waits for the link, the console, the keyboard and
//! signals.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::Accel;
use super::link::{Decoder, Job, Kind, frame};
use super::qemu::{Machine, Plan};
use crate::signals::{STOPPING, Signals};

/// So much of the console is kept.
const CONSOLE: usize = 64 * 1024;

/// While more than this waits to be sent, the keyboard is not read.
const WAITING: usize = 64 * 1024;

/// What happened.
pub(super) enum Event {
    Ready,
    Output(Vec<u8>),
    Errors(Vec<u8>),
    Exit(u8),
    Failed(String),
    /// The terminal has a new size
    Resized,
    /// Somebody wants this program to end
    Stop(Signal),
    /// QEMU has ended
    Gone,
    /// The time is up
    Late,
}

/// A running machine and the conversation with it. It is killed when this value goes.
pub(super) struct Session {
    machine: Machine,
    signals: Signals,
    decoder: Decoder,
    outgoing: VecDeque<u8>,
    console: Vec<u8>,
    listening: bool,
}

impl Session {
    pub(super) fn start(plan: &Plan, accel: Accel) -> Result<Self> {
        let signals = Signals::hold(STOPPING.into_iter().chain([Signal::SIGWINCH]))?;
        Ok(Self {
            machine: Machine::start(plan, accel)?,
            signals,
            decoder: Decoder::default(),
            outgoing: VecDeque::new(),
            console: Vec::new(),
            listening: false,
        })
    }

    /// Tells the machine what to do.
    pub(super) fn run(&mut self, job: &Job) -> Result<()> {
        let json = serde_json::to_vec(job).context("cannot describe the command")?;
        self.send(Kind::Run, &json);
        Ok(())
    }

    /// Passes stdin on from now, or nothing but its end.
    pub(super) fn listen(&mut self, to_stdin: bool) {
        self.listening = to_stdin;
        if !to_stdin {
            self.send(Kind::Input, &[]);
        }
    }

    pub(super) fn resize(&mut self, (rows, columns): (u16, u16)) {
        self.send(Kind::Resize, format!("{rows} {columns}").as_bytes());
    }

    fn send(&mut self, kind: Kind, content: &[u8]) {
        self.outgoing.extend(frame(kind, content));
    }

    /// Waits for the next event, until `end` at the latest.
    pub(super) fn next(&mut self, end: Option<Instant>) -> Result<Event> {
        loop {
            if let Some(event) = self.decoder.next().and_then(event) {
                return Ok(event);
            }
            let ready = self.wait(end)?;
            let Some([link, console, signals, keyboard]) = ready else { return Ok(Event::Late) };
            if console {
                self.read_console();
            }
            if signals && let Some(event) = self.read_signals() {
                return Ok(event);
            }
            if keyboard {
                self.read_keyboard()?;
            }
            if link && !self.exchange() {
                self.read_console();
                return Ok(Event::Gone);
            }
        }
    }

    /// Which of link, console, signals and keyboard are ready; none if the time is up.
    fn wait(&self, end: Option<Instant>) -> Result<Option<[bool; 4]>> {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Ok(None);
        }
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let input = PollFlags::POLLIN;
        let both = if self.outgoing.is_empty() { input } else { input | PollFlags::POLLOUT };
        let stdin = io::stdin();
        let mut polled = vec![
            PollFd::new(self.machine.link.as_fd(), both),
            PollFd::new(self.machine.console.as_fd(), input),
            PollFd::new(self.signals.as_fd(), input),
        ];
        if self.listening && self.outgoing.len() < WAITING {
            polled.push(PollFd::new(stdin.as_fd(), input));
        }
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for the virtual machine"),
        }
        let ready = |at: usize| polled.get(at).and_then(PollFd::any).unwrap_or(false);
        Ok(Some([0, 1, 2, 3].map(ready)))
    }

    /// Sends what waits, receives what is there; false once QEMU is gone.
    fn exchange(&mut self) -> bool {
        while !self.outgoing.is_empty() {
            match self.machine.link.write(self.outgoing.as_slices().0) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        let mut bytes = [0; 16 * 1024];
        match self.machine.link.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.decoder.feed(&bytes[..count]);
                true
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    fn read_console(&mut self) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = self.machine.console.read(&mut bytes) {
            self.console.extend_from_slice(&bytes[..count]);
        }
        let surplus = self.console.len().saturating_sub(CONSOLE);
        self.console.drain(..surplus);
    }

    fn read_signals(&mut self) -> Option<Event> {
        Some(match self.signals.next()? {
            Signal::SIGWINCH => Event::Resized,
            signal => Event::Stop(signal),
        })
    }

    fn read_keyboard(&mut self) -> Result<()> {
        let mut bytes = [0; 4096];
        // Past the buffer of Rust's stdin, of which poll(2) knows nothing.
        let count = nix::unistd::read(io::stdin(), &mut bytes).context("cannot read stdin")?;
        self.listening = count > 0;
        self.send(Kind::Input, &bytes[..count]);
        Ok(())
    }

    /// The last lines of the console, for a report.
    pub(super) fn last_words(&self) -> String {
        let text = String::from_utf8_lossy(&self.console);
        let lines: Vec<_> =
            text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        match lines.len() {
            0 => "Its console shows nothing".to_string(),
            count => format!(
                "The last lines on its console:\n{}",
                lines[count.saturating_sub(20)..].join("\n")
            ),
        }
    }
}

fn event((kind, content): (Kind, Vec<u8>)) -> Option<Event> {
    match kind {
        Kind::Ready => Some(Event::Ready),
        Kind::Output => Some(Event::Output(content)),
        Kind::Errors => Some(Event::Errors(content)),
        Kind::Exit => Some(Event::Exit(content.first().copied().unwrap_or(125))),
        Kind::Failed => Some(Event::Failed(String::from_utf8_lossy(&content).into_owned())),
        Kind::Run | Kind::Input | Kind::Resize => None,
    }
}
