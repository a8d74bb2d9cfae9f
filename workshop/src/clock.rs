//! Dates for people, in their own time zone.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Today, as in `2026-11-25`.
pub fn today() -> Result<String> {
    date("+%Y-%m-%d")
}

/// This second, as in `2026-11-25-141207`.
pub fn now() -> Result<String> {
    date("+%Y-%m-%d-%H%M%S")
}

/// date(1) knows the time zone.
fn date(format: &str) -> Result<String> {
    let output = Command::new("date").arg(format).output();
    let output = output.context("cannot start date. Install the package coreutils")?;
    if !output.status.success() {
        bail!("cannot tell the date: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}
