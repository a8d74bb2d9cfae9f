//! Shows a schedule for a class, from the minutes that the pages name.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

/// How long a class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Length {
    /// An hour and a half, without a break
    #[value(name = "90m")]
    NinetyMinutes,
    /// Four hours
    HalfDay,
    /// Seven hours
    Day,
}

/// Shows a schedule for a class, from the minutes that the pages name
#[derive(Args)]
#[command(after_help = "Example:\n  cargo workshop class half-day")]
pub struct Options {
    /// How long the class is
    #[arg(value_enum)]
    length: Length,
}

/// Does what the command line asks for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let _ = options;
    bail!("not there yet")
}
