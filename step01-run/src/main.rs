//! Containers from scratch, in Rust.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Args, Parser};
use colored::Colorize;
use nix::errno::Errno;

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
    Ok(0)
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

fn complain(message: String) {
    if !io::stderr().is_terminal() {
        colored::control::set_override(false);
    }
    let _ = writeln!(io::stderr(), "{} {message}", "error:".red().bold());
}
