//! Containers from scratch, in Rust.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::process::{Child, Command, ExitCode};

use anyhow::{Context, Result, anyhow};
use clap::{Args, Parser};
use colored::Colorize;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd;

/// Containers from scratch, in Rust
#[derive(Parser)]
#[command(version)]
enum Cli {
    /// Runs a command
    Run(Container),
}

#[derive(Args)]
struct Container {
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    let result = match Cli::parse() {
        Cli::Run(container) => run(&container),
    };
    ExitCode::from(result.unwrap_or_else(|error| {
        complain(format!("{error:#}"));
        125
    }))
}

fn run(container: &Container) -> Result<u8> {
    say(format!("{} [{}]", "Running".green().bold(), join(&container.command)))?;
    // A namespace of its own for the hostname: this process moves into it, and its children inherit it.
    attempt("create a UTS namespace", unshare(CloneFlags::CLONE_NEWUTS), &as_root())?;
    start(&container.command)
}

/// Starts the command on this terminal and returns its exit status.
fn start(command: &[OsString]) -> Result<u8> {
    match Command::new(&command[0]).args(&command[1..]).spawn() {
        Ok(process) => wait(&process),
        Err(error) => {
            let (status, cure) = match error.kind() {
                io::ErrorKind::NotFound => (127, "Is it in the PATH, and its interpreter there?"),
                io::ErrorKind::WouldBlock => (125, "Too many processes: end some."),
                _ => (126, "Is it a program, and executable?"),
            };
            complain(format!("cannot run {:?}: {}. {cure}", command[0], reason(&error)));
            Ok(status)
        }
    }
}

/// Waits for a process and returns its exit status as a shell would: 128+n for signal n.
fn wait(process: &Child) -> Result<u8> {
    // Ctrl-C is for the command. It is blocked only now, because a child inherits the mask.
    let keys = SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]);
    keys.thread_block().context("cannot block SIGINT and SIGQUIT")?;
    let process = unistd::Pid::from_raw(process.id().cast_signed());
    loop {
        match waitpid(process, None).context("cannot wait for the command")? {
            WaitStatus::Exited(_, status) => return Ok(status as u8),
            WaitStatus::Signaled(_, signal, _) => return Ok(128 + signal as u8),
            _ => {}
        }
    }
}

fn say(line: String) -> Result<()> {
    let written = writeln!(io::stdout(), "{line}");
    attempt("write to stdout", written, "Is the disk full, or the reader gone?")
}

fn join(words: &[OsString]) -> String {
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}

/// Adds to a failed call what it was for and what to do about it.
fn attempt<T, E: Into<io::Error>>(what: &str, result: Result<T, E>, cure: &str) -> Result<T> {
    result.map_err(|error| anyhow!("cannot {what}: {}. {cure}", reason(&error.into())))
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_string(),
        None => error.to_string(),
    }
}

fn as_root() -> String {
    if unistd::geteuid().is_root() {
        return "Even root may not: start the container around this one with --privileged.".into();
    }
    let program = env::args_os().next().unwrap_or_default();
    format!("Run it as root: sudo {} run ...", program.display())
}

fn complain(message: String) {
    if !io::stderr().is_terminal() {
        colored::control::set_override(false);
    }
    let _ = writeln!(io::stderr(), "{} {message}", "error:".red().bold());
}
