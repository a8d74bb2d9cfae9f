//! `cargo workshop`: the helper that goes with the steps.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use colored::Colorize;

/// Helps you through the workshop "Containers from scratch, in Rust"
#[derive(Parser)]
#[command(name = "cargo workshop", bin_name = "cargo workshop", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {}

fn main() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            if !io::stderr().is_terminal() {
                colored::control::set_override(false);
            }
            let _ = writeln!(io::stderr(), "{} {error:#}", "error:".red().bold());
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        None => Ok(ExitCode::SUCCESS),
        Some(command) => match command {},
    }
}
