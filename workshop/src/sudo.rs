//! Root for this program alone: cargo and the compiler never need it.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Error, anyhow};

use crate::output;

/// Starts this program anew as root, with the same arguments and some more. Returns only if that
/// fails, with what to do about it.
pub fn again(more: &[&str]) -> Error {
    let program = match env::current_exe().context("cannot tell this program's own path") {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // Before a `--`, behind which everything belongs to somebody else.
    let at = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    arguments.splice(at..at, more.iter().map(OsString::from));
    let mut sudo = Command::new("sudo");
    // sudo drops the environment.
    for name in ["NO_COLOR", "TMPDIR", "CI"] {
        if env::var_os(name).is_some() {
            sudo.arg(format!("--preserve-env={name}"));
        }
    }
    let error = sudo.arg("--").arg(&program).args(&arguments).exec();
    let words = arguments.join(OsString::from(" ").as_os_str());
    let (reason, program) = (output::reason(&error), program.display());
    anyhow!("cannot start sudo: {reason}. Run this as root: {program} {}", words.display())
}
