//! The terminal of the one who runs a container, connected with the container's own.

use std::fs::File;
use std::io::{self, IsTerminal, Stdin, Stdout};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::Result;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd;

use crate::kernel;
use crate::message::Attempt;

/// A pipe that is said to be ready takes this much without making us wait (pipe(7)).
const CHUNK: usize = 4096;

/// Bytes on their way from one side to the other.
struct Chunk {
    bytes: [u8; CHUNK],
    begin: usize,
    end: usize,
}

/// Where bytes come from or go to.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// Our stdin
    Keys,
    /// The container's terminal
    Master,
    /// Our stdout
    Screen,
}

/// Both terminals.
pub(crate) struct Terminal {
    /// The side of the container's terminal that is ours
    master: File,
    stdin: Stdin,
    stdout: Stdout,
    /// What ours was like before
    before: Option<Termios>,
    input: Option<Chunk>,
    output: Chunk,
    /// Held open, so that a container may close its terminal and open it again
    _peer: OwnedFd,
}

impl Terminal {
    /// Connects them; ours becomes raw: what the keys mean is decided by the container's.
    pub(crate) fn new(master: OwnedFd, interactive: bool) -> Result<Self> {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .or_cannot("use the container's terminal", "Try again")?;
        let master = File::from(master);
        let (peer, _) =
            kernel::open_peer(&master).or_cannot("open the container's terminal", "Try again")?;
        let mut terminal = Self {
            master,
            stdin: io::stdin(),
            stdout: io::stdout(),
            before: None,
            input: interactive.then(Chunk::new),
            output: Chunk::new(),
            _peer: peer,
        };
        terminal.resize();
        terminal.make_raw()?;
        Ok(terminal)
    }

    pub(crate) fn make_raw(&mut self) -> Result<()> {
        if self.input.is_none() || !self.stdin.is_terminal() {
            return Ok(());
        }
        let what = "make the terminal raw";
        let before = tcgetattr(&self.stdin).or_cannot(what, "Try without -t")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&self.stdin, SetArg::TCSADRAIN, &raw).or_cannot(what, "Try without -t")?;
        self.before = Some(before);
        Ok(())
    }

    pub(crate) fn restore(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = tcsetattr(&self.stdin, SetArg::TCSADRAIN, &before);
        }
    }

    /// Gives the container's terminal the size of ours.
    pub(crate) fn resize(&self) {
        let size = kernel::window_size(&self.stdout).or_else(|_| kernel::window_size(&self.stdin));
        if let Ok(size) = size {
            let _ = kernel::set_window_size(&self.master, &size);
        }
    }

    /// What to wait for now.
    pub(crate) fn interests(&self) -> Vec<(End, PollFd<'_>)> {
        let mut interests = Vec::with_capacity(3);
        // Only what is wanted: poll(2) reports a hang-up even if nothing is asked for.
        let mut add = |end, file, wanted: PollFlags| {
            if !wanted.is_empty() {
                interests.push((end, PollFd::new(file, wanted)));
            }
        };
        let none = PollFlags::empty();
        let (mut keys, mut master, mut screen) = (none, none, none);
        match &self.input {
            Some(input) if input.is_empty() => keys = PollFlags::POLLIN,
            Some(_) => master = PollFlags::POLLOUT,
            None => {}
        }
        match self.output.is_empty() {
            true => master |= PollFlags::POLLIN,
            false => screen = PollFlags::POLLOUT,
        }
        add(End::Keys, self.stdin.as_fd(), keys);
        add(End::Master, self.master.as_fd(), master);
        add(End::Screen, self.stdout.as_fd(), screen);
        interests
    }

    /// Copies from or to an end that is ready.
    pub(crate) fn copy(&mut self, ready: End) {
        match ready {
            End::Keys => {
                let open = self.input.as_mut().is_none_or(|input| input.fill(&self.stdin));
                self.input = self.input.take().filter(|_| open);
            }
            End::Master => {
                if let Some(input) = self.input.as_mut().filter(|input| !input.is_empty()) {
                    input.flush(&self.master);
                }
                if self.output.is_empty() {
                    self.output.fill(&self.master);
                }
            }
            End::Screen => self.output.flush(&self.stdout),
        }
    }

    /// Prints what is left after the end.
    pub(crate) fn drain(&mut self) {
        loop {
            while !self.output.is_empty() {
                self.output.flush(&self.stdout);
            }
            if !self.output.fill(&self.master) || self.output.is_empty() {
                break;
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

impl Chunk {
    fn new() -> Self {
        Self { bytes: [0; CHUNK], begin: 0, end: 0 }
    }

    fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// Reads what there is; false at the end.
    fn fill(&mut self, source: impl AsFd) -> bool {
        match unistd::read(source, &mut self.bytes) {
            Ok(0) => false,
            Ok(count) => {
                (self.begin, self.end) = (0, count);
                true
            }
            Err(error) => error == Errno::EAGAIN || error == Errno::EINTR,
        }
    }

    /// Writes what goes in. If nobody reads any more, the rest is lost, as it would be without us.
    fn flush(&mut self, target: impl AsFd) {
        match unistd::write(target, &self.bytes[self.begin..self.end]) {
            Ok(count) => self.begin += count,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.begin = self.end,
        }
    }
}
