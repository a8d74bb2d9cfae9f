//! Sabotage labs: guess which checks a mistake turns red.

mod guess;
pub mod variant;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::error::ErrorKind;
use colored::Colorize;

use crate::check::checker::Job;
use crate::check::{self, Report, Target};
use crate::checks::Check;
use crate::steps::Step;
use crate::{diff, output, project, rootfs, terminal};
use variant::Variant;

/// Asks riddles: a mistake is shown, and you guess which checks it turns red
///
/// The step with the mistake is built, as you, and checked, as root, in the cage. The exit status is
/// 0 if that went well, whatever the guess was.
#[derive(Args)]
#[command(after_help = "Examples:
  cargo workshop break 05                               lists the riddles of step 05
  cargo workshop break 05 swap
  cargo workshop break 05 swap --guess process-1,usage  asks nothing
  cargo workshop break 05 swap --answer                 shows the answer at once")]
pub struct Options {
    /// The step, as 05 or pid
    #[arg(value_parser = Step::find)]
    step: &'static Step,
    /// The riddle's name or number; without it all of them are listed
    name: Option<String>,
    /// The checks that you believe to turn red, with commas in between
    #[arg(long, value_name = "CHECKS", requires = "name")]
    guess: Option<String>,
    /// Shows the answer without asking
    #[arg(long, requires = "name", conflicts_with = "guess")]
    answer: bool,
    /// The riddles have been built already. While one is asked, the step's name in this folder leads
    /// to the wrong one
    #[arg(long, value_name = "FOLDER", hide = true)]
    built: Option<PathBuf>,
}

/// Does what the command line asks for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let variants: Vec<_> = Variant::of(options.step).collect();
    let Some(name) = &options.name else {
        output::print(&list(options.step, &variants))?;
        return Ok(ExitCode::SUCCESS);
    };
    let understood = find(name, options.step, &variants).and_then(|variant| {
        let checks = variant.checks();
        let guess = options.guess.as_ref().map(|text| guess::parse(text, &checks));
        Ok((variant, guess.transpose()?))
    });
    match understood {
        Ok((variant, guess)) => play(&variant, guess, options),
        Err(error) => {
            let _ = clap::Error::raw(ErrorKind::InvalidValue, format!("{error}\n")).print();
            Ok(ExitCode::from(2))
        }
    }
}

fn play(variant: &Variant, guess: Option<Vec<&Check>>, options: &Options) -> Result<ExitCode> {
    let project = project::root()?;
    output::print(&change(&project, variant)?)?;
    let guess = match guess {
        None if !options.answer => {
            let _link =
                options.built.as_ref().map(|folder| Link::new(folder, variant)).transpose()?;
            guess::ask(&variant.checks())?
        }
        guess => guess,
    };
    let program = match options.built {
        Some(_) => project::binaries()?.join(variant.package()),
        None => build(&project, variant)?,
    };
    let reports = judge(program, variant)?;
    output::print(&verdict(variant, guess.as_deref(), &reports))?;
    Ok(ExitCode::SUCCESS)
}

fn list(step: &Step, variants: &[Variant]) -> String {
    let heading = format!("Riddles about step {:02}, {}", step.number, step.title);
    let mut text = format!("{}\n", heading.bold());
    for (index, variant) in variants.iter().enumerate() {
        text += &format!("{:>3} {}\n", index + 1, variant.sabotage.name);
    }
    let Some(first) = variants.first() else {
        return text + "There are none.\n";
    };
    let command = format!("cargo workshop break {:02} {}", step.number, first.sabotage.name);
    text + &format!("Try one: {}\n", command.bold())
}

fn find(name: &str, step: &Step, variants: &[Variant]) -> Result<Variant> {
    let number = name.parse::<usize>().ok();
    let mut all = variants.iter().enumerate();
    let found = all.find(|(index, it)| it.sabotage.name == name || number == Some(index + 1));
    let names: Vec<_> = variants.iter().map(|it| it.sabotage.name.as_str()).collect();
    found.map(|(_, variant)| *variant).with_context(|| {
        let number = step.number;
        format!(
            "there is no riddle '{name}' about step {number:02}. Name one of these: {}",
            names.join(", ")
        )
    })
}

/// The mistake, as a difference.
fn change(project: &Path, variant: &Variant) -> Result<String> {
    let [right, wrong] = variant.sources(project)?;
    let old = format!("{}/src/main.rs", variant.step.folder);
    let new = format!("the riddle {}", variant.sabotage.name);
    Ok(diff::folded([&old, &new], [&right, &wrong], terminal::text_width().min(100)))
}

/// A link by the step's name that leads to the wrong program, as long as this lives.
struct Link(PathBuf);

impl Link {
    fn new(folder: &Path, variant: &Variant) -> Result<Self> {
        let link = folder.join(&variant.step.package);
        // One that was left by a riddle that somebody killed.
        let _ = fs::remove_file(&link);
        let program = project::binaries()?.join(variant.package());
        let what = || format!("cannot link {} to {}", link.display(), program.display());
        symlink(&program, &link).with_context(what)?;
        let command = format!("cargo run -p {} {}", variant.step.package, variant.step.r#try);
        output::print(&format!("\nUntil you answer, this starts it: {}\n", command.bold()))?;
        Ok(Self(link))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Builds the variant, as this user, and returns the program.
fn build(project: &Path, variant: &Variant) -> Result<PathBuf> {
    let program = variant.package();
    let binaries = project::binaries()?;
    let target = binaries.parent().context("compiled programs lie in a folder")?;
    let folder = target.join("sabotage").join(&program);
    variant::write_workspace(project, &folder, &[*variant])?;
    project::build_apart(&folder.join("Cargo.toml"), &program)
}

/// Has the program checked, as root.
fn judge(program: PathBuf, variant: &Variant) -> Result<Vec<Report>> {
    rootfs::make_if_missing()?;
    let target = Target { bin: Some(program), step: Some(variant.step), ..Target::default() };
    let mut reports: Vec<Report> = Vec::new();
    check::verdicts(&Job::all(&target), |report, _| {
        reports.push(report);
        Ok(String::new())
    })?;
    let (all, ran) = (variant.checks().len(), reports.len());
    if ran != all {
        bail!("cannot tell what is red: only {ran} of {all} checks ran");
    }
    if let Some(lack) = reports.iter().find_map(|report| report.skipped.as_ref()) {
        let number = variant.step.number;
        bail!(
            "cannot tell what is red, for want of {lack}. See: cargo workshop doctor {number:02}"
        );
    }
    Ok(reports)
}

/// The guess beside what is red, and why it is.
fn verdict(variant: &Variant, guess: Option<&[&Check]>, reports: &[Report]) -> String {
    let mut text = format!("\n{}\n", "What the checks say".bold());
    let guessed =
        |report: &Report| guess.unwrap_or_default().iter().any(|it| it.name == report.check);
    for report in reports {
        text += &line(report, guess.is_some(), guessed(report));
    }
    if let Some(guess) = guess {
        let red = reports.iter().filter(|it| it.is_red()).count();
        let right = reports.iter().filter(|it| it.is_red() && guessed(it)).count();
        let wrong = guess.len() - right;
        text += &format!("{right} of {red} found, {wrong} wrongly named\n");
    }
    text + &answer(variant, reports)
}

/// What became of a check, if it is red or was said to be.
fn line(report: &Report, has_guess: bool, guessed: bool) -> String {
    let (mark, words) = match (report.is_red(), guessed) {
        (true, true) => ("✗".red(), "red, as you said"),
        (true, false) if has_guess => ("✗".red(), "red, which you did not say"),
        (true, false) => ("✗".red(), "red"),
        (false, true) if report.skipped.is_some() => ("-".yellow(), "skipped on this machine"),
        (false, true) => ("✓".green(), "holds, though you said red"),
        (false, false) => return String::new(),
    };
    format!("  {} {:<20} {words}\n", mark.bold(), report.check)
}

/// Why just these, with the evidence of the first.
fn answer(variant: &Variant, reports: &[Report]) -> String {
    let width = terminal::text_width();
    let part = |heading: &str, lines: &[&str]| {
        let lines = lines.iter().flat_map(|line| output::wrap(line, width)).collect::<Vec<_>>();
        format!("\n{}\n{}\n", heading.bold(), lines.join("\n"))
    };
    let mut text = part("The answer", &[&variant.sabotage.answer]);
    let red: Vec<_> = reports.iter().filter(|report| report.is_red()).collect();
    if let Some(mistake) = red.iter().find_map(|report| report.mistake.as_ref()) {
        text += &part("The mistake", &[&mistake.says]);
    }
    if let Some(first) = red.first() {
        let expected = format!("Expected: {}", first.verdict.expected);
        let found = format!("The kernel says: {}", first.verdict.found);
        text += &part(&format!("The evidence of {}", first.check), &[&expected, &found]);
    }
    text
}
