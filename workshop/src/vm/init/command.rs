//! The command: its world, its standard streams, and its end.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, Pid};

use super::{Link, Sender, cgroups, rest};
use crate::output;
use crate::pty::open_pty;
use crate::vm::link::{Job, Kind};

/// The machine's name.
const HOSTNAME: &str = "vm";

/// After the command has ended, its children may go on writing: this long without a word is enough,
const SILENCE: u16 = 50;

/// and this long in any case.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the command and tells the outer end everything about it, errors too.
pub(super) fn run(job: &Job, link: Link) -> ! {
    let out = link.output.clone();
    if let Err(error) = set_up(job).and_then(|()| execute(job, link)) {
        out.send(Kind::Failed, format!("{error:#}").as_bytes());
    }
    rest()
}

fn set_up(job: &Job) -> Result<()> {
    cgroups::mount_as(job.hierarchy)?;
    unistd::sethostname(HOSTNAME).context("cannot set the hostname")?;
    let up = Command::new("/bin/sh").args(["-c", "ip link set lo up"]).status();
    up.context("cannot start /bin/sh")?;
    Ok(())
}

/// A command that runs: where its input goes, and the threads that read its output.
struct Running {
    child: Child,
    input: Option<File>,
    outputs: Vec<JoinHandle<()>>,
    /// The terminal's name
    terminal: Option<String>,
}

fn execute(job: &Job, link: Link) -> Result<()> {
    let out = link.output.clone();
    let ended = Arc::new(AtomicBool::new(false));
    let started = match job.terminal {
        Some(size) => on_terminal(job, size, &out, &ended)?,
        None => on_pipes(job, &out, &ended)?,
    };
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            let status = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
            let name = job.command[0].display();
            let line = format!("error: cannot run {name}: {}\n", output::reason(&error));
            out.send(Kind::Errors, line.as_bytes());
            out.send(Kind::Exit, &[status]);
            return Ok(());
        }
    };
    let Running { child, input, outputs, terminal } = running;
    thread::spawn(move || pass_input(link, input, terminal.as_deref()));
    let status = wait(&child)?;
    ended.store(true, Ordering::Relaxed);
    for thread in outputs {
        let _ = thread.join();
    }
    out.send(Kind::Exit, &[status]);
    Ok(())
}

fn command(job: &Job, words: &[std::ffi::OsString]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir("/workshop").env_clear();
    command.envs([
        ("PATH", "/workshop/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("USER", "root"),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
    ]);
    command.envs(job.environment.iter().cloned());
    command
}

/// Two pipes keep stdout and stderr apart, byte by byte.
fn on_pipes(job: &Job, out: &Sender, ended: &Arc<AtomicBool>) -> Result<io::Result<Running>> {
    let mut command = command(job, &job.command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command.spawn().map(|mut child| {
        let input = child.stdin.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        let stdout = child.stdout.take().map(|pipe| (OwnedFd::from(pipe), Kind::Output));
        let stderr = child.stderr.take().map(|pipe| (OwnedFd::from(pipe), Kind::Errors));
        let pipes = stdout.into_iter().chain(stderr);
        let outputs =
            pipes.map(|(pipe, kind)| pass_output(pipe.into(), kind, out, ended)).collect();
        Running { child, input, outputs, terminal: None }
    }))
}

/// A pseudo-terminal, which becomes the controlling terminal of a new session (setsid(1)).
fn on_terminal(
    job: &Job,
    (rows, columns): (u16, u16),
    out: &Sender,
    ended: &Arc<AtomicBool>,
) -> Result<io::Result<Running>> {
    let pty = open_pty(rows, columns)?;
    let name = unistd::ttyname(&pty.slave).context("cannot tell the terminal's name")?;
    let keyboard = File::from(pty.master);
    let screen = keyboard.try_clone().context("cannot duplicate the terminal")?;
    let mut words = vec!["setsid".into(), "--ctty".into(), "--".into()];
    words.extend_from_slice(&job.command);
    let mut command = command(job, &words);
    let slave = || pty.slave.try_clone().context("cannot duplicate the terminal");
    command.stdin(slave()?).stdout(slave()?).stderr(slave()?);
    let spawned = command.spawn();
    // Reading ends with an error once nobody has the other side open, this process included.
    drop((command, pty.slave));
    Ok(spawned.map(|child| Running {
        child,
        input: Some(keyboard),
        outputs: vec![pass_output(screen, Kind::Output, out, ended)],
        terminal: Some(name.to_string_lossy().into_owned()),
    }))
}

fn pass_output(
    mut source: File,
    kind: Kind,
    out: &Sender,
    ended: &Arc<AtomicBool>,
) -> JoinHandle<()> {
    let (out, ended) = (out.clone(), Arc::clone(ended));
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        let mut end = None;
        loop {
            if ended.load(Ordering::Relaxed) {
                let end = *end.get_or_insert_with(|| Instant::now() + PATIENCE);
                if Instant::now() > end {
                    break;
                }
            }
            let mut polled = [PollFd::new(source.as_fd(), PollFlags::POLLIN)];
            match poll(&mut polled, PollTimeout::from(SILENCE)) {
                Ok(0) if end.is_some() => break,
                Ok(0) | Err(_) => continue,
                Ok(_) => {}
            }
            match source.read(&mut bytes) {
                Ok(count @ 1..) => out.send(kind, &bytes[..count]),
                _ => break,
            }
        }
    })
}

/// Passes on what is typed, until nobody is outside any more.
fn pass_input(mut link: Link, mut input: Option<File>, terminal: Option<&str>) {
    loop {
        match link.receive() {
            (Kind::Input, bytes) if bytes.is_empty() && terminal.is_none() => input = None,
            (Kind::Input, bytes) => {
                // A command that does not read its input is its own affair.
                let _ = input.as_mut().map(|input| input.write_all(&bytes));
            }
            (Kind::Resize, size) => {
                let size = String::from_utf8_lossy(&size).into_owned();
                if let (Some(terminal), Some((rows, columns))) = (terminal, size.split_once(' ')) {
                    let stty = ["-F", terminal, "rows", rows, "columns", columns];
                    let _ = Command::new("stty").args(stty).status();
                }
            }
            _ => {}
        }
    }
}

/// Waits for the command, and on the way for every orphan, which the first process inherits.
fn wait(child: &Child) -> Result<u8> {
    let command = Pid::from_raw(child.id().cast_signed());
    loop {
        match waitpid(None, None).context("cannot wait for the command")? {
            WaitStatus::Exited(pid, status) if pid == command => return Ok(status as u8),
            WaitStatus::Signaled(pid, signal, _) if pid == command => return Ok(128 + signal as u8),
            _ => {}
        }
    }
}
