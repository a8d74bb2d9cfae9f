//! Shows a schedule for a class, from the minutes that the pages name.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use colored::Colorize;

use crate::schedule::{DEMOS, Length, Page, Row, Schedule, clock, pages};
use crate::{output, project, terminal};

/// Titles and questions stand to the right of this column.
const COLUMN: usize = 13;

/// Shows a schedule for a class, from the minutes that the pages name
///
/// With the breaks, what to show and what to ask at each step, and what is left to read. The book's
/// page for instructors says how to run a class.
#[derive(Args)]
#[command(after_help = "Example:\n  cargo workshop class half-day --at 9:00")]
pub struct Options {
    /// How long the class is
    #[arg(value_enum)]
    length: Length,
    /// Shows times of the day for a class that starts then
    #[arg(long, value_name = "H:MM", value_parser = time, default_value = "0:00", hide_default_value = true)]
    at: u16,
}

/// Does what the command line asks for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let pages = pages(&project::root()?.join("book/src"))?;
    let schedule = Schedule::new(&pages, options.length);
    let width = if io::stdout().is_terminal() { terminal::size().1.into() } else { 80 };
    output::print(&describe(&schedule, options.at, width))?;
    Ok(ExitCode::SUCCESS)
}

/// The minutes since midnight of `9:00`.
fn time(text: &str) -> Result<u16> {
    let parts = text.split_once(':').and_then(|(hours, minutes)| {
        let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    });
    parts.context("a time is hours and minutes, as 9:00")
}

fn describe(schedule: &Schedule, start: u16, width: usize) -> String {
    let mut text = String::new();
    for row in &schedule.rows {
        let (time, minutes) = (clock((start + row.at) % (24 * 60)), row.minutes);
        let title = row.page.map_or("Break", |page| &page.title);
        text += &format!("{time:>5} {minutes:>4}  ");
        text += &format!("{}\n", wrap(&format!("{title}{}", how(row)), width).bold());
        for question in row.page.map(questions).unwrap_or_default() {
            text += &format!("{:COLUMN$}{}\n", "", wrap(&question, width));
        }
    }
    let (used, total) = (schedule.used, schedule.total);
    text += &format!("\n{:>5} {used:>4}  of {total} minutes\n", clock((start + used) % (24 * 60)));
    if schedule.has_demos() {
        text += &format!("{:COLUMN$}{}\n", "", wrap(DEMOS, width));
    }
    if !schedule.left.is_empty() {
        let left: Vec<&str> = schedule.left.iter().map(|page| page.title.as_str()).collect();
        let left = format!("To read before or after: {}.", left.join(", "));
        text += &format!("{:COLUMN$}{}\n", "", wrap(&left, width));
    }
    text
}

/// Whether everybody types a step, or what plays it.
fn how(row: &Row) -> String {
    match row.page.and_then(|page| page.step) {
        Some(step) if row.demo => format!(" (cargo workshop demo {:02})", step.number),
        Some(_) => " (typing)".to_string(),
        None => String::new(),
    }
}

/// What to ask at a step.
fn questions(page: &Page) -> Vec<String> {
    let notes = page.step.map(|step| step.notes.as_slice()).unwrap_or_default();
    let questions = notes.iter().filter(|note| note.starts_with("Ask:"));
    questions.map(|note| note.replace("{{#run}}", "`").replace("{{#end}}", "`")).collect()
}

/// The text in lines that fit between the column and the terminal's right edge.
fn wrap(text: &str, width: usize) -> String {
    let lines = output::wrap(text, width.saturating_sub(COLUMN).max(20));
    lines.join(&format!("\n{:COLUMN$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_hours_and_minutes() {
        assert_eq!([time("9:00").unwrap(), time("13:05").unwrap()], [540, 785]);
        for wrong in ["9", "24:00", "9:60", "", ":", "-1:00"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
