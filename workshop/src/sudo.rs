//! Root for this program alone: cargo and the compiler never need it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Error, Result, anyhow};

use crate::output;

/// Starts this program anew as root, with the same arguments and some more. Returns only if that
/// fails, with what to do about it.
pub fn again(more: &[&str]) -> Error {
    let mut arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // Before a `--`, behind which everything belongs to somebody else.
    let at = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    arguments.splice(at..at, more.iter().map(OsString::from));
    match sudo(&arguments) {
        Ok(mut sudo) => explain(&sudo.exec(), &arguments),
        Err(error) => error,
    }
}

/// Runs this program as root with other arguments, and tells whether that went well.
pub fn run(arguments: &[&str]) -> Result<bool> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let status = sudo(&arguments)?.status().map_err(|error| explain(&error, &arguments))?;
    Ok(status.success())
}

fn sudo(arguments: &[OsString]) -> Result<Command> {
    let mut sudo = Command::new("sudo");
    // sudo drops the environment.
    for name in ["NO_COLOR", "TMPDIR", "CI"] {
        if env::var_os(name).is_some() {
            sudo.arg(format!("--preserve-env={name}"));
        }
    }
    sudo.arg("--").arg(program()?).args(arguments);
    Ok(sudo)
}

fn program() -> Result<PathBuf> {
    env::current_exe().context("cannot tell this program's own path")
}

fn explain(error: &io::Error, arguments: &[OsString]) -> Error {
    let program = program().unwrap_or_default();
    let (reason, program) = (output::reason(error), program.display());
    let words = arguments.join(OsStr::new(" "));
    anyhow!("cannot start sudo: {reason}. Run this as root: {program} {}", words.display())
}
