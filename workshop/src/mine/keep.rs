//! Dated copies of `mine/`, so that nothing of the attendee's is ever lost.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

/// Brings back what was in mine/ before
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo workshop restore\n  cargo workshop restore --list")]
pub struct Options {
    /// The copy in kept/ to bring back [default: the latest that differs from mine/]
    name: Option<String>,
    /// Only lists the copies
    #[arg(long, conflicts_with = "name")]
    list: bool,
}

/// Does what the command line asks for.
pub fn restore(options: &Options) -> Result<ExitCode> {
    let _ = options;
    bail!("not there yet")
}
