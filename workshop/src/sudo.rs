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
    let line = words()?;
    let mut sudo = Command::new(&line[0]);
    sudo.args(&line[1..]).args(arguments);
    Ok(sudo)
}

/// What comes before the arguments of this program when it is started as root.
pub fn words() -> Result<Vec<OsString>> {
    let mut words: Vec<OsString> = vec!["sudo".into()];
    // sudo drops the environment.
    for name in ["NO_COLOR", "TMPDIR", "CI"] {
        if env::var_os(name).is_some() {
            words.push(format!("--preserve-env={name}").into());
        }
    }
    words.extend(["--".into(), program()?.into_os_string()]);
    Ok(words)
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
