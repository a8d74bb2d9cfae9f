//! `cargo workshop` alone: is the machine fit, do the steps run on it, what do I type next?

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use colored::Colorize;
use nix::unistd::geteuid;

use crate::checks::{self, Bench};
use crate::container::Subject;
use make_rootfs::{Progress, make_from_host};

use crate::rootfs;
use crate::steps::{self, Step};
use crate::{machine, output, project, sudo};

/// Looks at the machine, makes the root filesystem, proves every step once, and shows the ladder.
pub fn home() -> Result<ExitCode> {
    let lacks = machine::lacks()?;
    let verdict = match lacks.len() {
        0 => "all that the ten steps need is here".green(),
        _ => "not all that the ten steps need is here".yellow(),
    };
    output::print(&format!("{}: {verdict}\n", machine::describe()?))?;
    for lack in &lacks {
        output::print(&format!(
            "  {} from step {:02} on: {}\n",
            "✗".red().bold(),
            lack.step,
            lack.what
        ))?;
    }
    make_rootfs()?;
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

fn make_rootfs() -> Result<()> {
    let folder = project::root()?.join(rootfs::NAME);
    if folder.join("bin").exists() {
        return Ok(());
    }
    let report = make_from_host(&folder, &Progress::on_terminal())?;
    let made = format!("Made rootfs/ from {} of this machine's programs\n", report.programs);
    output::print(&made)?;
    for missing in &report.missing {
        let (program, step) = (missing.program, missing.step);
        let line =
            format!("  {} it has no {program}, which step {step:02} uses", "!".yellow().bold());
        output::print(&format!(
            "{line}: install {} and make it again: cargo workshop rootfs --force\n",
            missing.package
        ))?;
    }
    Ok(())
}

/// Builds the steps and runs each once; as a normal user sudo is asked for the running.
fn prove() -> Result<bool> {
    let steps = steps::all()?;
    output::print("Running every step once. The first time this compiles for some seconds.\n")?;
    project::build(&steps.iter().map(|step| step.package.as_str()).collect::<Vec<_>>())?;
    let good = if geteuid().is_root() {
        proofs()? == ExitCode::SUCCESS
    } else {
        output::print("Creating namespaces takes root, so sudo may ask for your password now.\n")?;
        sudo::run(&["proofs"])?
    };
    if good {
        fs::write(marker()?, "").context("cannot note that the steps have run")?;
    }
    Ok(good)
}

/// That every step has been proved on this machine.
fn marker() -> Result<PathBuf> {
    Ok(project::binaries()?.join("workshop-proved"))
}

/// Runs every step once and shows in a line each what the kernel says of it. Takes root.
pub fn proofs() -> Result<ExitCode> {
    let bench = Bench::new(&project::root()?.join(rootfs::NAME))?;
    let mut good = true;
    for step in steps::all()? {
        let binary = project::binaries()?.join(&step.package);
        let subject = Subject::step(binary);
        let proof = checks::all().find(|check| check.name == step.proof);
        let proof = proof.with_context(|| format!("there is no check {}", step.proof))?;
        let verdict = proof.run(&bench, &subject)?;
        good &= verdict.holds;
        let mark = if verdict.holds { "✓".green().bold() } else { "✗".red().bold() };
        let (number, title) = (step.number, &step.title);
        output::print(&format!("  {mark} {number:02} {title:<8} {}\n", verdict.found))?;
    }
    if !good {
        output::print("What is wrong there: cargo workshop check all\n")?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The steps, and what to type.
fn ladder() -> Result<String> {
    let mut text = format!("\n{}\n", "The ladder".bold());
    for step in steps::all()? {
        let (number, title) = (step.number, &step.title);
        text += &format!("  {number:02} {title:<8} {}\n", plain(&step.adds));
    }
    let first = Step::find("01")?;
    let (package, words) = (&first.package, &first.r#try);
    let command = format!("cargo run -p {package} {words}").bold();
    text += &format!("\nNow type     {command}\n");
    text += &format!("what changes {}\n", "cargo workshop diff 01 02".bold());
    text += &format!("is it true?  {}\n", "cargo workshop check step02".bold());
    Ok(text)
}

/// Markdown's marks mean nothing on a terminal.
fn plain(text: &str) -> String {
    text.replace('`', "")
}
