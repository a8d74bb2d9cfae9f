//! Tries whether this machine can do what the steps need.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::steps::Step;

/// Tries whether this machine can do what the steps need
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo workshop doctor
  cargo workshop doctor 08 --json")]
pub struct Options {
    /// Only what this step needs
    #[arg(value_parser = Step::find)]
    step: Option<&'static Step>,
    /// Tells it in JSON
    #[arg(long)]
    json: bool,
}

/// Does what the command line asks for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let _ = options;
    bail!("not there yet")
}
