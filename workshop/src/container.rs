//! Starts containers in the cage with the binary that is being checked.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cage::Cage;
use crate::kernel;
use crate::wait::until;

/// No container takes longer than this to start, or to end once it is told to: not in a virtual
/// machine either, whose processors QEMU plays while others use the real ones.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The binary that is being checked, and how it is told to run a command.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The binary
    pub binary: PathBuf,
    /// What comes before COMMAND: `run`, perhaps with options
    pub words: Vec<OsString>,
}

/// What is left of a container that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status as a shell would tell it: 128+n for signal n
    pub status: i32,
    /// All that it wrote to stdout
    pub stdout: String,
    /// All that it wrote to stderr
    pub stderr: String,
}

/// A container that is running.
pub struct Running {
    run: Child,
    stdout: Collector,
    stderr: Collector,
}

impl Subject {
    /// Where the image `host` of the final runtime lies, from the folder where it is started.
    pub(crate) const IMAGE: &str = "root/layers/host";

    /// A step of the ladder.
    pub fn step(binary: PathBuf) -> Self {
        Self { binary, words: vec!["run".into()] }
    }

    /// The final runtime, as good as the last step: with stdin, and at most 20 processes.
    pub fn runtime(binary: PathBuf) -> Self {
        let words = "--root root run --rm -i --pids-limit 20 host".split(' ');
        Self { binary, words: words.map(OsString::from).collect() }
    }

    /// The same with more options for `run`.
    pub fn with(&self, options: &[&str]) -> Self {
        let mut more = self.clone();
        let at = self.words.iter().position(|word| word == "run").map_or(0, |at| at + 1);
        more.words.splice(at..at, options.iter().map(OsString::from));
        more
    }

    /// The whole command line that runs a command.
    pub fn command_line<S: AsRef<OsStr>>(&self, command: &[S]) -> Vec<OsString> {
        let mut line = vec![self.binary.clone().into_os_string()];
        line.extend(self.words.iter().cloned());
        line.extend(command.iter().map(|word| word.as_ref().to_os_string()));
        line
    }

    /// Starts a container in the cage, with pipes as its standard streams.
    pub fn start<S: AsRef<OsStr>>(&self, cage: &Cage, command: &[S]) -> Result<Running> {
        let mut run = cage.spawn(&self.command_line(command), |command: &mut Command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.env("LC_ALL", "C").env("TERM", "dumb");
        })?;
        let stdout = Collector::new(run.stdout.take().context("no stdout")?);
        let stderr = Collector::new(run.stderr.take().context("no stderr")?);
        Ok(Running { run, stdout, stderr })
    }

    /// Runs a command in a container, with nothing to read, to its end.
    pub fn run<S: AsRef<OsStr>>(&self, cage: &Cage, command: &[S]) -> Result<Ended> {
        self.start(cage, command)?.end()
    }

    /// Starts a container with a shell that runs `script` and then waits to be told to end.
    pub fn hold(&self, cage: &Cage, script: &str) -> Result<Held> {
        let mark = token();
        let script = format!("{script}\necho {mark}; read end");
        let command: Vec<OsString> = ["/bin/sh", "-c", &script, &mark].map(OsString::from).into();
        let running = self.start(cage, &command)?;
        let ready =
            until(PATIENCE, || running.stdout.lines().contains(&mark) || running.stdout.closed());
        let pid = cage
            .processes()
            .into_iter()
            .find(|pid| kernel::arguments(*pid).is_ok_and(|words| words == command));
        match pid {
            Some(command) if ready => Ok(Held { command, mark, running }),
            _ => {
                let _ = kill(running.pid(), Signal::SIGKILL);
                let ended = running.end()?;
                bail!("the command /bin/sh does not run. {}", ended.describe());
            }
        }
    }
}

impl Running {
    /// The process that was started: `run`.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.run.id().cast_signed())
    }

    /// Writes to the container's stdin.
    pub fn write(&mut self, text: &str) -> Result<()> {
        let stdin = self.run.stdin.as_mut().context("stdin is closed")?;
        stdin.write_all(text.as_bytes()).context("cannot write to the container")
    }

    /// Closes the container's stdin, waits for its end, and returns what it leaves.
    pub fn end(self) -> Result<Ended> {
        self.end_within(PATIENCE)
    }

    /// The same where there is more to do than to run a container.
    pub fn end_within(mut self, limit: Duration) -> Result<Ended> {
        drop(self.run.stdin.take());
        let mut status = None;
        let ended = until(limit, || {
            status = self.run.try_wait().ok().flatten();
            status.is_some()
        });
        if !ended {
            let _ = kill(self.pid(), Signal::SIGKILL);
            let _ = self.run.wait();
            bail!("it did not end within {} seconds", limit.as_secs());
        }
        // Somebody may have kept the pipe open: what is there by now has to do.
        until(Duration::from_secs(1), || self.stdout.closed() && self.stderr.closed());
        let status = status.map_or(-1, shell_status);
        Ok(Ended { status, stdout: self.stdout.text(), stderr: self.stderr.text() })
    }
}

impl Ended {
    /// The status and the first words that were printed, for a message.
    pub fn describe(&self) -> String {
        let said =
            [self.stderr.trim(), self.stdout.trim()].into_iter().find(|text| !text.is_empty());
        match said {
            Some(text) => format!("Status {}; it says: {}", self.status, shorten(text)),
            None => format!("Status {}; it says nothing", self.status),
        }
    }
}

/// A container whose command waits, so that one can look at it.
pub struct Held {
    /// The command's process, by its pid outside
    pub command: Pid,
    mark: String,
    running: Running,
}

impl Held {
    /// The process that was started: `run`.
    pub fn run(&self) -> Pid {
        self.running.pid()
    }

    /// What was printed, by `run` and by the script, before the command began to wait.
    pub fn output(&self) -> Vec<String> {
        let lines = self.running.stdout.lines();
        lines.into_iter().take_while(|line| *line != self.mark).collect()
    }

    /// Lets the command end.
    pub fn end(self) -> Result<Ended> {
        self.running.end()
    }

    /// Kills `run` alone, as `kill -9` would, and waits for it. The streams stay open.
    pub fn kill_run(&mut self) -> Result<()> {
        kill(self.run(), Signal::SIGKILL).context("cannot kill run")?;
        // Waiting closes it, and then the command would end by itself.
        let stdin = self.running.run.stdin.take();
        self.running.run.wait().context("cannot wait for run")?;
        self.running.run.stdin = stdin;
        Ok(())
    }
}

/// Reads a pipe to its end in the background.
struct Collector {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: thread::JoinHandle<()>,
}

impl Collector {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                let mut bytes = shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let _ = bytes.write_all(&chunk[..count]);
            }
        });
        Self { bytes, thread }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_string).collect()
    }

    fn closed(&self) -> bool {
        self.thread.is_finished()
    }
}

/// A word that nobody can know beforehand.
pub fn token() -> String {
    let mut bytes = [0; 6];
    let random =
        std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    debug_assert!(random.is_ok(), "/dev/urandom can be read");
    bytes.iter().fold(String::from("t"), |word, byte| format!("{word}{byte:02x}"))
}

/// The exit status as a shell tells it.
pub(crate) fn shell_status(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// A few words of what was printed, in a line.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.lines().collect::<Vec<_>>().join(" / ");
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
