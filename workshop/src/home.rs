//! `cargo workshop` alone: is the machine fit, do the steps run on it, what do I type next?

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use colored::Colorize;
use nix::unistd::geteuid;

use crate::check::checker::Job;
use crate::check::{self, Report, Target};
use crate::progress::Progress;
use crate::steps::{self, Step};
use crate::{doctor, mine, output, project, rootfs, terminal};

/// Looks at the machine, makes the root filesystem, proves every step once, and shows the ladder.
pub fn home() -> Result<ExitCode> {
    output::print(&format!("{}\n", doctor::verdict_line()?))?;
    rootfs::make_if_missing()?;
    let mut good = true;
    if !marker()?.exists() {
        good = prove().unwrap_or_else(|error| {
            output::complain(&format!("cannot prove the steps: {error:#}"));
            false
        });
    }
    output::print(&ladder()?)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the steps, runs each once, and shows in a line each what the kernel says of it. Returns
/// whether none of them is wrong; one that this machine cannot run is not.
fn prove() -> Result<bool> {
    let steps = steps::all()?;
    output::print("Running every step once. The first time this compiles for some seconds.\n")?;
    project::build(&steps.iter().map(|step| step.package.as_str()).collect::<Vec<_>>())?;
    if !geteuid().is_root() {
        output::print("Creating namespaces takes root, so sudo may ask for your password now.\n")?;
    }
    let every = Target { what: Some(check::ALL.into()), ..Target::default() };
    let (mut red, mut skipped) = (false, false);
    check::verdicts(&Job { target: every, proofs: true }, |report, _| {
        red |= report.is_red();
        skipped |= report.skipped.is_some();
        proof(&report)
    })?;
    if red {
        output::print("What is wrong there: cargo workshop check all\n")?;
    } else {
        fs::write(marker()?, "").context("cannot note that the steps have run")?;
    }
    if skipped {
        output::print("What is missing here: cargo workshop doctor\n")?;
    }
    Ok(!red)
}

fn proof(report: &Report) -> Result<String> {
    let step = Step::find(&report.stage.to_string())?;
    let (mark, said) = match &report.skipped {
        Some(lack) => ("-".yellow(), format!("skipped, for want of {lack}")),
        None if report.verdict.holds => ("✓".green(), report.verdict.found.clone()),
        None => ("✗".red(), report.verdict.found.clone()),
    };
    Ok(format!("  {} {:02} {:<8} {said}\n", mark.bold(), step.number, step.title))
}

/// That every step has been proved on this machine.
fn marker() -> Result<PathBuf> {
    Ok(project::binaries()?.join("workshop-proved"))
}

/// The steps, how far the attendee is on them, and what to type.
fn ladder() -> Result<String> {
    let progress = Progress::read(&project::root()?)?;
    let current = progress.current();
    let mut text = format!("\n{}\n", "The ladder".bold());
    for step in steps::all()? {
        let (number, title) = (step.number, &step.title);
        let (mark, state) = match (progress.is_done(step), current == Some(step)) {
            (true, _) => ("✓".green().bold(), " (done)"),
            (false, true) => ("→".yellow().bold(), " (you are here)"),
            _ => (" ".normal(), ""),
        };
        let adds = format!("{}{state}", plain(&step.adds));
        let adds = output::wrap(&adds, terminal::text_width().saturating_sub(14));
        text += &format!("{mark} {number:02} {title:<8} {}\n", adds.join("\n              "));
    }
    let commands = match current {
        None => {
            let (first, second) = (Step::find("01")?, Step::find("02")?);
            vec![
                ("Try one", format!("cargo run -p {} {}", first.package, first.r#try)),
                (
                    "what it adds",
                    format!("cargo workshop diff {:02} {:02}", first.number, second.number),
                ),
                ("Write your own", "cargo workshop start 01".into()),
            ]
        }
        Some(step) if !progress.is_done(step) => vec![
            ("Edit", format!("{}/src/main.rs", mine::NAME)),
            ("is it true?", "cargo workshop check --watch".into()),
            ("stuck?", "cargo workshop hint".into()),
        ],
        Some(step) if steps::all()?.iter().any(|it| it.number > step.number) => vec![
            ("The next step", "cargo workshop start".into()),
            ("riddles first", format!("cargo workshop break {:02}", step.number)),
        ],
        Some(_) => vec![("All done. Next", "cargo run -p book -- --open".into())],
    };
    text.push('\n');
    for (label, command) in commands {
        text += &format!("{label:<15} {}\n", command.bold());
    }
    Ok(text)
}

/// Markdown's marks mean nothing on a terminal.
fn plain(text: &str) -> String {
    text.replace('`', "")
}
