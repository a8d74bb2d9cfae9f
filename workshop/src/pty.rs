//! A pseudo-terminal with somebody who types on it (pty(7)).

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;

use crate::cage::Cage;
use crate::signals;
use crate::wait::until;

/// A program on a terminal of its own, 80 columns wide.
pub struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    /// Ends once nobody has the terminal open any more
    reader: JoinHandle<()>,
    seen: usize,
    /// The program's process
    pub process: Child,
}

impl Terminal {
    /// Starts a program in the cage as the leader of a session on a new terminal.
    pub fn start(
        cage: &Cage,
        program: &[OsString],
        prepare: impl FnOnce(&mut Command) + Send + 'static,
    ) -> Result<Self> {
        let line = leader(program);
        Self::open(|[stdin, stdout, stderr]| {
            cage.spawn(&line, move |command| {
                command.stdin(stdin).stdout(stdout).stderr(stderr);
                prepare(command);
            })
        })
    }

    /// Starts a program outside of any cage: one that does no harm to this machine.
    pub fn start_uncaged(program: &[OsString]) -> Result<Self> {
        let line = leader(&signals::hearing_keys(program)?);
        Self::open(|[stdin, stdout, stderr]| {
            let mut command = Command::new(&line[0]);
            command.args(&line[1..]).stdin(stdin).stdout(stdout).stderr(stderr);
            command.spawn().context("cannot start setsid. Install the package util-linux")
        })
    }

    fn open(spawn: impl FnOnce([Stdio; 3]) -> Result<Child>) -> Result<Self> {
        let pty = open_pty(24, 80)?;
        let (stdin, stdout) = (pty.slave.try_clone()?, pty.slave.try_clone()?);
        let process = spawn([stdin, stdout, pty.slave].map(Stdio::from))?;
        let keyboard = File::from(pty.master);
        let mut output = keyboard.try_clone()?;
        let screen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&screen);
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            // Reading fails with EIO once nobody has the terminal open any more.
            while let Ok(count @ 1..) = output.read(&mut chunk) {
                let mut screen = shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                screen.extend(chunk[..count].iter().filter(|byte| **byte != b'\r'));
            }
        });
        Ok(Self { keyboard, screen, reader, seen: 0, process })
    }

    /// The program's pid.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    /// Types some keys.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        self.keyboard.write_all(keys.as_bytes()).context("cannot type on the terminal")
    }

    /// Gives it another size. stty(1) does: the system call is not to be had without `unsafe`.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        let mut stty = Command::new("stty");
        stty.args(["rows", &rows.to_string(), "columns", &columns.to_string()]);
        let done = stty.stdin(self.keyboard.try_clone()?).status().context("cannot start stty")?;
        if !done.success() {
            bail!("cannot resize the terminal: stty failed");
        }
        Ok(())
    }

    /// How it treats keys (termios(3)).
    pub fn modes(&self) -> Result<Termios> {
        tcgetattr(&self.keyboard).context("cannot read the terminal's modes")
    }

    /// Everything that the terminal has shown, without the carriage returns.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen()).into_owned()
    }

    fn screen(&self) -> Vec<u8> {
        self.screen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Whether nobody has the terminal open any more.
    pub fn is_over(&self) -> bool {
        self.reader.is_finished()
    }

    /// Waits for a text to appear after what was waited for before; tells what appeared up to it.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<String> {
        let mut shown = Vec::new();
        self.watch_for(text, limit, |more| {
            shown.extend_from_slice(more);
            Ok(())
        })?;
        Ok(String::from_utf8_lossy(&shown).into_owned())
    }

    /// The same, and hands over what appears as it comes: again and again, often with nothing.
    pub(crate) fn watch_for(
        &mut self,
        text: &str,
        limit: Duration,
        mut show: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let start = Instant::now();
        let mut shown = self.seen;
        loop {
            let is_over = self.is_over();
            let screen = self.screen();
            let new = &screen[self.seen..];
            let found = (0..=new.len()).find(|at| new[*at..].starts_with(text.as_bytes()));
            let end = found.map_or(screen.len(), |at| self.seen + at + text.len());
            show(&screen[shown..end])?;
            shown = end;
            if found.is_some() {
                self.seen = end;
                return Ok(());
            }
            if is_over || start.elapsed() > limit {
                let new = String::from_utf8_lossy(new);
                bail!("{text:?} did not appear on the terminal. It shows:\n{new}");
            }
            thread::sleep(Duration::from_millis(3));
        }
    }

    /// What was shown since the last text that was waited for.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let new = self.screen().split_off(self.seen);
        self.seen += new.len();
        new
    }

    /// The same, once a prompt has come.
    pub(crate) fn take_prompt(&mut self) -> Vec<u8> {
        let whole = |screen: &[u8]| screen.ends_with(b"$ ") || screen.ends_with(b"# ");
        until(Duration::from_secs(1), || whole(&self.screen()[self.seen..]));
        self.take()
    }

    /// Waits for the program's end and returns its exit status as a shell would.
    pub fn end(&mut self, limit: Duration) -> Result<i32> {
        let mut status = None;
        until(limit, || {
            status = self.process.try_wait().ok().flatten();
            status.is_some()
        });
        match status {
            Some(status) => Ok(crate::container::shell_status(status)),
            None => bail!(
                "it did not end within {} seconds. The terminal shows:\n{}",
                limit.as_secs(),
                self.text()
            ),
        }
    }
}

/// Both ends of a new pseudo-terminal. No program inherits them: who holds the master would never be
/// told that the terminal is gone.
pub(crate) fn open_pty(rows: u16, columns: u16) -> Result<OpenptyResult> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).context("cannot create a pseudo-terminal")?;
    for end in [&pty.master, &pty.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).context("cannot set FD_CLOEXEC")?;
    }
    Ok(pty)
}

/// The words that start a program: setsid(1) makes its stdin the controlling terminal of a new
/// session.
fn leader(program: &[OsString]) -> Vec<OsString> {
    ["setsid", "--ctty"].map(OsString::from).into_iter().chain(program.iter().cloned()).collect()
}
