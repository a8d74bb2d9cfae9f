//! Sabotage labs: guess which checks a mistake turns red.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::steps::Step;

/// Sabotage labs: guess which checks a mistake turns red
#[derive(Args)]
#[command(after_help = "Example:\n  cargo workshop break 05")]
pub struct Options {
    /// The step, as 05 or pid
    #[arg(value_parser = Step::find)]
    step: &'static Step,
    /// The riddle; without it all of them are listed
    name: Option<String>,
}

/// Does what the command line asks for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let _ = options;
    bail!("not there yet")
}
