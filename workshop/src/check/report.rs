//! What the checks found, for people.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::Result;
use colored::Colorize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::{Candidate, SKIPPED};
use crate::checks::mistakes::Mistake;
use crate::checks::{self, Check, Kind, Stage, Verdict};
use crate::steps::{self, Step};
use crate::{mine, output, terminal};

/// One check's verdict on one binary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What the binary was checked as.
    #[serde(rename = "step")]
    pub stage: Stage,
    /// The check's name.
    pub check: String,
    /// What must hold, as a sentence.
    pub title: String,
    /// The stage that brings the check.
    pub since: Stage,
    /// New at its stage, or a duty.
    pub kind: Kind,
    /// What was found.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Why it was not run: what this machine lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The mistake behind it, if it is a known one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mistake: Option<Known>,
    /// What a person types to see it.
    pub by_hand: String,
}

/// A known mistake.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// What was done, why that is wrong, and what to do instead.
    pub says: String,
}

impl Report {
    pub(super) fn new(
        stage: Stage,
        check: &Check,
        verdict: Verdict,
        mistake: Option<&Mistake>,
        by_hand: String,
    ) -> Self {
        Self {
            stage,
            check: check.name.into(),
            title: check.title.into(),
            since: check.since,
            kind: check.kind,
            verdict,
            skipped: None,
            mistake: mistake.map(|it| Known { name: it.name.into(), says: it.says.into() }),
            by_hand,
        }
    }

    pub(super) fn skipped(stage: Stage, check: &Check, lack: &str, by_hand: String) -> Self {
        let meaning = format!("This machine cannot do it, for want of {lack}.");
        let verdict = Verdict::new(false, check.title, "nothing: it was not run", meaning);
        let skipped = Some(lack.to_string());
        Self { skipped, ..Self::new(stage, check, verdict, None, by_hand) }
    }

    /// Whether it was run and does not hold.
    pub fn is_red(&self) -> bool {
        !self.verdict.holds && self.skipped.is_none()
    }
}

/// All verdicts so far.
pub(super) struct Tally {
    reports: Vec<Report>,
    /// How wide what is told of them may be.
    width: usize,
}

impl Tally {
    pub(super) fn of(reports: Vec<Report>) -> Self {
        Self { reports, width: terminal::text_width() }
    }

    pub(super) fn add(&mut self, report: Report) {
        self.reports.push(report);
    }

    /// The names of the checks that do not hold.
    pub(super) fn red(&self) -> impl Iterator<Item = &str> {
        self.reports.iter().filter(|it| it.is_red()).map(|it| it.check.as_str())
    }

    pub(super) fn skipped(&self) -> usize {
        self.reports.iter().filter(|report| report.skipped.is_some()).count()
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match (self.red().count(), self.skipped()) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(SKIPPED),
            _ => ExitCode::FAILURE,
        }
    }

    /// A tick and the title; under a cross, why.
    pub(super) fn describe(&self, report: &Report) -> String {
        let new = report.kind == Kind::New && report.since == report.stage;
        let mut title = format!("{}{}", report.title, if new { " (new)" } else { "" });
        // In a column as wide as the widest.
        let since =
            format!("{:<width$}", report.since.to_string(), width = report.stage.to_string().len());
        let verdict = &report.verdict;
        if let Some(lack) = &report.skipped {
            let told = self.reports.iter().any(|it| it.skipped.as_ref() == Some(lack));
            let why = if told { String::new() } else { format!(", for want of {lack}") };
            title += &format!(": skipped{why}");
        }
        // Beside the mark and the stage.
        let margin = 5 + since.len();
        let title = output::wrap(&title, self.width - margin).join(&format!("\n{:margin$}", ""));
        if report.skipped.is_some() {
            return format!("  {} {since} {title}\n", "-".yellow().bold());
        }
        if verdict.holds {
            return format!("  {} {since} {title}\n", "✓".green().bold());
        }
        let line = |label: &str, text: &str| self.labelled(label, text);
        // What goes wrong before a check can look goes wrong for all that come after.
        let twin = |it: &&Report| {
            it.is_red()
                && it.stage == report.stage
                && it.verdict.found == verdict.found
                && it.verdict.meaning == verdict.meaning
                && it.mistake.is_none()
                && report.mistake.is_none()
        };
        if let Some(earlier) = self.reports.iter().find(twin) {
            let same = format!("the same as under \"{}\"", earlier.title);
            return format!("  {} {since} {title}\n{}", "✗".red().bold(), line("it says", &same));
        }
        [
            format!("  {} {since} {title}\n", "✗".red().bold()),
            line("expected", &verdict.expected),
            line("the kernel says", &verdict.found),
            line("that means", &self.explain(report)),
            line("see it by hand", &report.by_hand),
        ]
        .concat()
    }

    /// A text beside its label, or below it where there is little room.
    fn labelled(&self, label: &str, text: &str) -> String {
        const LABEL: usize = 16;
        const MARGIN: usize = 9;
        if text.is_empty() {
            return String::new();
        }
        let (label, width) = (label.bold(), self.width);
        if width < 60 {
            let lines = output::wrap(text, width - 6).join("\n      ");
            return format!("    {label}\n      {lines}\n");
        }
        let margin = " ".repeat(MARGIN);
        let lines = output::wrap(text, width - MARGIN - LABEL);
        format!("{margin}{label:<LABEL$}{}\n", lines.join(&format!("\n{margin}{:LABEL$}", "")))
    }

    /// The mistake, if it is known; told once, however many checks it turns red.
    fn explain(&self, report: &Report) -> String {
        let Some(mistake) = &report.mistake else {
            return report.verdict.meaning.clone();
        };
        let told = |earlier: &&Report| {
            earlier.stage == report.stage
                && earlier.mistake.as_ref().is_some_and(|it| it.name == mistake.name)
        };
        match self.reports.iter().find(told) {
            Some(earlier) => {
                format!("Perhaps the same as under \"{}\": mend that first.", earlier.title)
            }
            None => mistake.says.clone(),
        }
    }

    /// How many hold, in a line.
    pub(super) fn summary(&self) -> String {
        let all = self.reports.len();
        let (red, skipped) = (self.red().count(), self.skipped());
        let stages = self.reports.iter().filter(|it| it.stage == Stage::Final).count();
        let mut text = String::new();
        if stages > 0 {
            let not_run = checks::of_steps_alone().count();
            text += &format!("{not_run} checks are about how the steps do it, and not run\n");
        }
        let verdict = match (red, skipped) {
            (0, 0) => format!("{all} checks, all hold").green(),
            (0, _) => format!("{all} checks, {skipped} skipped, which is no pass").yellow(),
            (1, 0) => format!("{all} checks, 1 does not hold").red(),
            (_, 0) => format!("{all} checks, {red} do not hold").red(),
            _ => format!("{all} checks, not holding: {red}, skipped: {skipped}").red(),
        };
        text += &format!("{}\n", verdict.bold());
        if skipped > 0 {
            text += &format!("What is missing here: {}\n", "cargo workshop doctor".bold());
        }
        text
    }
}

/// What an attendee types next.
pub(super) fn what_next(step: &Step, tally: &Tally) -> Result<String> {
    let command = |words: &str| format!("cargo workshop {words}").bold();
    if tally.red().next().is_some() {
        return Ok(format!("A hint: {}\n", command("hint")));
    }
    let next = steps::all()?.iter().find(|it| it.number == step.number + 1);
    if tally.skipped() > 0 {
        let Some(next) = next else { return Ok(String::new()) };
        let go_on = command(&format!("start {:02} --from mine", next.number));
        return Ok(format!("To go on all the same: {go_on}\n"));
    }
    let exercise = format!("One more thing to try: {}", step.exercise);
    let mut text = format!("{}\n", output::wrap(&exercise, terminal::text_width()).join("\n"));
    text += &format!("Riddles about it: {}\n", command(&format!("break {:02}", step.number)));
    let left = mine::marks()?;
    if left > 0 {
        let mark = if left == 1 { "mark is" } else { "marks are" };
        text +=
            &format!("{left} {mark} still in {}/src/main.rs: take out what is done\n", mine::NAME);
    }
    if let Some(next) = next {
        text += &format!("The next step, {}: {}\n", next.title, command("start"));
    } else {
        text += "That was the last step: this is a container of your own.\n";
    }
    Ok(text)
}

pub(super) fn heading(candidate: &Candidate) -> String {
    format!("{} as {}", candidate.subject.binary.display(), candidate.title)
}

/// What is being checked just now, on a terminal where somebody waits.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(checks: usize) -> Self {
        let watched = io::stdout().is_terminal();
        let target =
            if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(checks as u64), target);
        if let Ok(style) = ProgressStyle::with_template("  {bar:20} {pos}/{len} {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    pub(super) fn now(&self, check: Option<&Check>) {
        match check {
            Some(check) => self.0.set_message(check.name),
            None => self.0.finish_and_clear(),
        }
    }

    pub(super) fn print(&self, text: &str) -> Result<()> {
        self.0.inc(1);
        self.0.suspend(|| output::print(text))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn red(title: &str, mistake: Option<&str>) -> Report {
        let known = |name: &str| Known { name: name.into(), says: "Mend it.".into() };
        Report {
            stage: Stage::Step(3),
            check: title.into(),
            title: title.into(),
            since: Stage::Step(3),
            kind: Kind::Duty,
            verdict: Verdict::new(false, "this", "that", "wrong"),
            skipped: None,
            mistake: mistake.map(known),
            by_hand: "look".into(),
        }
    }

    #[test]
    fn the_same_is_told_once_unless_a_known_mistake_is_behind_it() {
        let told_first = |first: Report| Tally { reports: vec![first], width: 80 };
        let tally = told_first(red("one", None));
        assert!(tally.describe(&red("two", None)).contains("the same as under \"one\""));
        assert!(tally.describe(&red("two", Some("known"))).contains("Mend it."));
        let other =
            Report { verdict: Verdict::new(false, "this", "that", "bad"), ..red("two", None) };
        assert!(tally.describe(&other).contains("bad"));
        let tally = told_first(red("one", Some("known")));
        assert!(tally.describe(&red("two", None)).contains("wrong"));
        assert!(tally.describe(&red("two", Some("known"))).contains("mend that first"));
    }

    #[test]
    fn on_a_narrow_terminal_titles_break_at_blanks() {
        colored::control::set_override(false);
        let tally = Tally { reports: Vec::new(), width: 30 };
        let text = tally.describe(&red("a title that does not fit into thirty columns", None));
        assert!(text.lines().all(|line| line.chars().count() <= 30), "{text}");
        assert!(text.contains("\n       "), "{text}");
    }
}
