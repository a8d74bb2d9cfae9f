//! `cargo workshop`: the helper that goes with the steps.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use workshop::steps::{self, Step};
use workshop::{bench, check, clean, diff, ladder, output, project, rootfs, start, transcript, vm};

/// Helps you through the workshop "Containers from scratch, in Rust"
#[derive(Parser)]
#[command(name = "cargo workshop", bin_name = "cargo workshop", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Plays sessions and prints their transcripts, each with a unit separator after it
    #[command(hide = true)]
    Play {
        /// What `cargo run -p mine` starts in them
        #[arg(long)]
        mine: Option<PathBuf>,
        sessions: Vec<String>,
    },
    /// What `cargo workshop` does as root
    #[command(hide = true)]
    Proofs,
    Rootfs(rootfs::Args),
    /// Shows what changes from one step to another
    ///
    /// Coloured on a terminal; in a pipe a patch that makes the first step's source the second's:
    /// `cargo workshop diff 04 05 | patch mine/src/main.rs`
    Diff(Diff),
    /// Checks a container with evidence from the kernel
    Check(check::Options),
    Bench(bench::Options),
    /// What `bench` does in its cage
    #[command(hide = true)]
    BenchPart {
        plan: String,
    },
    Vm(vm::Options),
    /// What the virtual machine is made of
    #[command(subcommand, hide = true)]
    VmPart(vm::Part),
    /// Removes what killed containers left behind; running ones stay untouched
    Clean {
        /// Only names it
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Args)]
#[command(override_usage = "cargo workshop diff <FROM> <TO>\n       cargo workshop diff --stat")]
struct Diff {
    /// The step to start from: its number or its name, as 04 or child
    #[arg(value_parser = step, required_unless_present = "stat")]
    from: Option<&'static Step>,
    /// The step to arrive at
    #[arg(value_parser = step, required_unless_present = "stat")]
    to: Option<&'static Step>,
    /// Counts the changed lines between all neighbours and compares them with the budget
    #[arg(long, conflicts_with_all = ["from", "to"])]
    stat: bool,
}

fn step(name: &str) -> Result<&'static Step> {
    Step::find(name)
}

pub(crate) fn main() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        None => start::start(),
        Some(command) => match command {
            Command::Rootfs(args) => rootfs::run(&args),
            Command::Diff(args) => differences(&args),
            Command::Play { mine, sessions } => transcript::print(&sessions, mine.as_deref()),
            Command::Proofs => start::proofs(),
            Command::Check(options) => check::check(&options),
            Command::Bench(options) => bench::bench(&options),
            Command::BenchPart { plan } => bench::play(&plan),
            Command::Vm(options) => vm::run(&options),
            Command::VmPart(part) => vm::play(&part),
            Command::Clean { dry_run } => clean::clean(&project::root()?, dry_run),
        },
    }
}

fn differences(args: &Diff) -> Result<ExitCode> {
    let project = project::root()?;
    let text = match (args.from, args.to) {
        (Some(from), Some(to)) => {
            let hunks = diff::steps(&project, from, to)?;
            let file = |step: &Step| format!("{}/src/main.rs", step.folder);
            if io::stdout().is_terminal() {
                diff::pretty(&file(from), &file(to), &hunks)
            } else {
                diff::patch(&file(from), &hunks)
            }
        }
        _ => ladder::table(&ladder::pairs(&project, steps::all()?)?),
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
