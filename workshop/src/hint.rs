//! `cargo workshop hint`: three levels for each step, the first chosen by what is red.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use colored::Colorize;

use crate::progress::{Entry, Progress};
use crate::steps::{self, Step};
use crate::{output, project, terminal};

/// Gives a hint for the step that you are at; asked again, a plainer one
///
/// The first of three is chosen by what was red when you last checked.
#[derive(Args)]
#[command(after_help = "Examples:
  cargo workshop hint
  cargo workshop hint 05 --level 3")]
pub struct Options {
    /// Another step, as 05 or pid
    #[arg(value_parser = Step::find)]
    step: Option<&'static Step>,
    /// How plain it is to be: 1 to 3
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
    level: Option<u8>,
}

/// Does what the command line asks for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut progress = Progress::read(&project::root()?)?;
    let step = options.step.map_or_else(|| progress.at(), Ok)?;
    let entry = progress.entry(step).unwrap_or_default();
    if entry.done && options.step.is_none() && options.level.is_none() {
        let done =
            format!("Step {:02} is done: all its checks held. What comes next: ", step.number);
        output::print(&format!("{done}{}\n", "cargo workshop".bold()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let last = step.hints.len();
    let level = options.level.map_or(entry.hints + 1, usize::from).min(last);
    let (hint, about) = hint(step, &entry, level)?;
    let heading = format!("Hint {level} of {last} for step {:02}, {}", step.number, step.title);
    let hint = output::wrap(hint, terminal::text_width()).join("\n");
    output::print(&format!("{}{about}\n{hint}\n", heading.bold()))?;
    if level < last {
        let number = step.number;
        let plainer = match progress.current() == Some(step) {
            true => "cargo workshop hint".to_string(),
            false => format!("cargo workshop hint {number:02} --level {}", level + 1),
        };
        output::print(&format!("Plainer: {}\n", plainer.bold()))?;
    } else {
        let diff = format!("cargo workshop diff mine {:02}", step.number);
        output::print(&format!("All of it: {}\n", diff.bold()))?;
    }
    // Looking ahead at another step is not being there.
    if progress.current() == Some(step) {
        progress.hinted(step)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A hint, and what it is about.
fn hint<'a>(step: &'a Step, entry: &Entry, level: usize) -> Result<(&'a str, String)> {
    if level == 1
        && let Some(red) = entry.red.first()
    {
        let nudges = steps::all()?.iter().flat_map(|step| &step.nudge);
        if let Some(nudge) = nudges.into_iter().find(|nudge| nudge.red.contains(red)) {
            return Ok((&nudge.hint, format!(", since {red} was red")));
        }
    }
    let hint = step.hints.get(level - 1).context("there is no hint for this step")?;
    Ok((hint, String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{self, Stage};

    /// The hints that stand in for the first one: every check that a learner can meet has its own.
    #[test]
    fn every_check_of_a_step_has_a_first_hint() {
        for step in steps::all().unwrap() {
            for check in checks::all().filter(|it| it.since == Stage::Step(step.number)) {
                let entry = Entry { red: vec![check.name.into()], ..Entry::default() };
                let (hint, about) = hint(step, &entry, 1).unwrap();
                assert!(about.contains(check.name), "{} has no first hint", check.name);
                assert_ne!(hint, step.hints[1]);
            }
            for nudge in &step.nudge {
                for name in &nudge.red {
                    let check = checks::all().find(|check| check.name == name);
                    let check = check.unwrap_or_else(|| panic!("there is no check {name}"));
                    assert_eq!(check.since, Stage::Step(step.number), "{name}");
                }
            }
        }
    }

    #[test]
    fn there_are_three_levels_everywhere() {
        for step in steps::all().unwrap() {
            assert_eq!(step.hints.len(), 3, "{}", step.title);
        }
    }
}
