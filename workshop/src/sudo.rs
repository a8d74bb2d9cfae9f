//! Root for this program alone: cargo and the compiler never need it.

use std::env;
use std::ffi::OsString;
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
    match command(&arguments) {
        Ok(mut sudo) => explain(&sudo.exec(), &arguments),
        Err(error) => error,
    }
}

/// This program as root, with other arguments.
pub(crate) fn command(arguments: &[OsString]) -> Result<Command> {
    let line = words()?;
    let mut sudo = Command::new(&line[0]);
    sudo.args(&line[1..]).args(arguments);
    Ok(sudo)
}

/// What comes before the arguments of this program when it is started as root.
pub fn words() -> Result<Vec<OsString>> {
    let mut words: Vec<OsString> = vec!["sudo".into()];
    // sudo drops the environment.
    for name in ["NO_COLOR", "CI"] {
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

pub(crate) fn explain(error: &io::Error, arguments: &[OsString]) -> Error {
    let program = program().unwrap_or_default();
    let reason = output::reason(error);
    let line = output::line([&[program.into_os_string()], arguments].concat());
    anyhow!("cannot start sudo: {reason}. Run this as root: {line}")
}
