//! Runs a program of this machine.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs it and returns what it printed on stdout; what it complains of becomes the error.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.lines().rev().filter(|line| !line.is_empty()).take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("{name} failed: {}", last.join("\n"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
