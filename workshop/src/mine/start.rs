//! `cargo workshop start` and `catch-up`: the starting point of a step, put into `mine/`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::steps::Step;

/// Puts the starting point of a step into mine/, with the places to fill in marked
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo workshop start 05\n  cargo workshop start 05 --from step04"
)]
pub struct Options {
    /// The step that you are going to write [default: the next one]
    #[arg(value_parser = Step::find)]
    step: Option<&'static Step>,
    /// What to begin with: `mine`, or an official step as step04
    #[arg(long, value_name = "SOURCE")]
    from: Option<String>,
}

/// Gives you the step before this one, complete and working, to go on from
#[derive(Args)]
#[command(after_help = "Example:\n  cargo workshop catch-up 05")]
pub struct CatchUp {
    /// The step that the class is at
    #[arg(value_parser = Step::find)]
    step: &'static Step,
}

/// Does what the command line asks for.
pub fn start(options: &Options) -> Result<ExitCode> {
    let _ = options;
    bail!("not there yet")
}

/// The official step before this one.
pub fn catch_up(options: &CatchUp) -> Result<ExitCode> {
    let _ = options;
    bail!("not there yet")
}
