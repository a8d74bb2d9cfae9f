//! `cargo workshop`: the helper that goes with the steps.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use workshop::steps::Need;
use workshop::{
    bench, check, class, clean, demo, diff, doctor, hint, home, mine, output, project, rootfs,
    sabotage, supervisor, transcript, vm,
};

/// Helps you through the workshop "Containers from scratch, in Rust"
#[derive(Parser)]
#[command(name = "cargo workshop", bin_name = "cargo workshop", version)]
#[command(after_help = "Without a command it tells where you are and what to type next.
Each command has its own --help, with examples.")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Start(mine::start::Options),
    Check(check::Options),
    Hint(hint::Options),
    Diff(diff::Options),
    CatchUp(mine::start::CatchUp),
    Restore(mine::keep::Options),
    Break(sabotage::Options),
    Doctor(doctor::Options),

    Demo(demo::Options),
    Class(class::Options),

    Rootfs(rootfs::Args),
    Vm(vm::Options),
    /// Removes what killed containers left behind; running ones stay untouched
    #[command(after_help = "Example:\n  cargo workshop clean --dry-run")]
    Clean {
        /// Only names it
        #[arg(long)]
        dry_run: bool,
    },
    Bench(bench::Options),

    /// Plays sessions and prints their transcripts, each with a unit separator after it
    #[command(hide = true)]
    Play {
        /// What `cargo mine` starts in them
        #[arg(long)]
        mine: Option<PathBuf>,
        sessions: Vec<String>,
    },
    /// What `doctor` does, each in a process of its own
    #[command(hide = true)]
    Try {
        #[arg(required = true)]
        needs: Vec<Need>,
    },
    /// What `check` and others do as root
    #[command(hide = true)]
    Checker(check::checker::Job),
    /// Starts the checker through sudo and cleans up after it
    #[command(hide = true)]
    Supervise {
        #[arg(last = true, required = true)]
        job: Vec<OsString>,
    },
    /// What `bench` does in its cage
    #[command(hide = true)]
    BenchPart {
        plan: String,
    },
    /// What the virtual machine is made of
    #[command(subcommand, hide = true)]
    VmPart(vm::Part),
}

/// The commands by who needs them. Attendees get no more than they can take in at a glance.
const GROUPS: [(&str, &[&str]); 3] = [
    ("Commands", &["start", "check", "hint", "diff", "break", "catch-up", "restore", "doctor"]),
    ("Teaching", &["demo", "class"]),
    ("Upkeep", &["rootfs", "vm", "clean", "bench"]),
];

/// The command line, with its commands in groups.
fn command_line() -> clap::Command {
    let command = Cli::command();
    let mut groups = String::new();
    for (heading, names) in GROUPS {
        groups += &format!("{heading}:\n");
        for name in names {
            let about = command.find_subcommand(name).and_then(|it| it.get_about());
            groups += &format!("  {name:<9} {}\n", about.cloned().unwrap_or_default());
        }
        groups.push('\n');
    }
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}"
    ))
}

pub(crate) fn main() -> ExitCode {
    let cli = Cli::from_arg_matches(&command_line().get_matches());
    match dispatch(cli.unwrap_or_else(|error| error.exit())) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        None => home::home(),
        Some(command) => match command {
            Command::Start(options) => mine::start::start(&options),
            Command::Check(options) => check::check(&options),
            Command::Hint(options) => hint::run(&options),
            Command::Diff(options) => diff::run(&options),
            Command::CatchUp(options) => mine::start::catch_up(&options),
            Command::Restore(options) => mine::keep::restore(&options),
            Command::Break(options) => sabotage::run(&options),
            Command::Doctor(options) => doctor::run(&options),
            Command::Demo(options) => demo::run(&options),
            Command::Class(options) => class::run(&options),
            Command::Rootfs(options) => rootfs::run(&options),
            Command::Vm(options) => vm::run(&options),
            Command::Clean { dry_run } => clean::clean(&project::root()?, dry_run),
            Command::Bench(options) => bench::bench(&options),
            Command::Play { mine, sessions } => transcript::print(&sessions, mine.as_deref()),
            Command::Try { needs } => doctor::play(&needs),
            Command::Checker(job) => check::checker::play(&job),
            Command::Supervise { job } => supervisor::play(&job),
            Command::BenchPart { plan } => bench::play(&plan),
            Command::VmPart(part) => vm::play(&part),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let command = Cli::command();
        let mut all: Vec<&str> = command
            .get_subcommands()
            .filter(|it| !it.is_hide_set())
            .map(|it| it.get_name())
            .collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        all.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(all, grouped);
    }

    /// The words of each example in a command's help, without what is told of it, two spaces further,
    /// and what it is piped into.
    fn examples(command: &clap::Command) -> Vec<Vec<String>> {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().filter_map(|line| line.split_once("cargo workshop "));
        let typed = lines.filter_map(|(_, words)| words.split(" | ").next()?.split("  ").next());
        typed.map(|line| line.split_whitespace().map(str::to_string).collect()).collect()
    }

    #[test]
    fn every_command_has_examples_and_understands_them() {
        for command in Cli::command().get_subcommands().filter(|it| !it.is_hide_set()) {
            let (name, examples) = (command.get_name(), examples(command));
            assert!(!examples.is_empty(), "{name} has no example");
            for words in examples {
                let line = ["cargo workshop"].into_iter().chain(words.iter().map(String::as_str));
                let parsed = command_line().try_get_matches_from(line);
                let parsed = parsed.unwrap_or_else(|error| panic!("{words:?}: {error}"));
                assert_eq!(parsed.subcommand_name(), Some(name), "{words:?}");
            }
        }
    }
}
