//! Gives a hint for the step that you are at; the next time a plainer one.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::steps::Step;

/// Gives a hint for the step that you are at; the next time a plainer one
#[derive(Args)]
#[command(after_help = "Example:\n  cargo workshop hint")]
pub struct Options {
    /// Another step, as 05 or pid
    #[arg(value_parser = Step::find)]
    step: Option<&'static Step>,
}

/// Does what the command line asks for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let _ = options;
    bail!("not there yet")
}
