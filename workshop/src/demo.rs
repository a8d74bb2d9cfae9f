//! Plays a chapter's sessions on this terminal, for real.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::steps::Step;

/// Plays a chapter's sessions on this terminal, for real
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo workshop demo 05
  cargo workshop demo 05 --auto")]
pub struct Options {
    /// The step, as 05 or pid
    #[arg(value_parser = Step::find)]
    step: &'static Step,
    /// Goes on by itself, without a key press between the commands
    #[arg(long)]
    auto: bool,
}

/// Does what the command line asks for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let _ = options;
    bail!("not there yet")
}
