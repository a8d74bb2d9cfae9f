//! Schedules for a class, computed from the minutes that the book's pages name.

use std::fs;
use std::path::Path;

use anyhow::{Result, anyhow};

use crate::output;
use crate::steps::{self, Step};

/// After this long people need a break.
const SITTING: u16 = 75;
const BREAK: u16 = 10;
/// A demo takes so many times less than the whole step.
const DEMO: u16 = 3;

/// What a demo is in a schedule.
pub const DEMOS: &str = "A demo takes a third of a step's minutes: the instructor runs the step and shows its difference, and nobody types.";

/// How long a class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Length {
    /// An hour and a half, without a break
    #[value(name = "90m")]
    NinetyMinutes,
    /// Four hours
    HalfDay,
    /// Seven hours
    Day,
}

impl Length {
    fn minutes(self) -> u16 {
        match self {
            Self::NinetyMinutes => 90,
            Self::HalfDay => 240,
            Self::Day => 420,
        }
    }

    fn has_breaks(self) -> bool {
        self != Self::NinetyMinutes
    }
}

/// A page of the book.
#[derive(Debug)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// `step05-pid.md`
    pub file: String,
    /// The step whose chapter it is.
    pub step: Option<&'static Step>,
    /// How long it takes; 0 if it does not say.
    pub minutes: u16,
}

/// The pages of a book, in its order: what its SUMMARY.md links to.
pub fn pages(source: &Path) -> Result<Vec<Page>> {
    let summary = read(&source.join("SUMMARY.md"))?;
    let steps = steps::all()?;
    let page = |(title, file): (&str, &str)| {
        let step = steps.iter().find(|step| file == format!("{}.md", step.folder));
        let minutes = minutes(&read(&source.join(file))?);
        Ok(Page { title: title.to_string(), file: file.to_string(), step, minutes })
    };
    summary.lines().filter_map(link).map(page).collect()
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file)
        .map_err(|error| anyhow!("cannot read {}: {}", file.display(), output::reason(&error)))
}

/// Title and file of `- [Title](file.md)`.
fn link(line: &str) -> Option<(&str, &str)> {
    let line = line.trim().trim_start_matches("- ");
    line.strip_prefix('[')?.strip_suffix(')')?.split_once("](")
}

/// The minutes that a page's `{{#step}}` and `{{#minutes}}` directives name.
fn minutes(text: &str) -> u16 {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("{{#")?.strip_suffix("}}")?.split_once(' '))
        .filter_map(|(name, argument)| match name {
            "step" => Some(Step::find(argument).ok()?.minutes),
            "minutes" => argument.trim().parse().ok(),
            _ => None,
        })
        .sum()
}

/// What fits into a length of time, in the book's order; and what is left to read.
#[derive(Debug)]
pub struct Schedule<'a> {
    /// What comes after what.
    pub rows: Vec<Row<'a>>,
    /// The pages that there is no time for.
    pub left: Vec<&'a Page>,
    /// Minutes that the rows take.
    pub used: u16,
    /// Minutes that there are.
    pub total: u16,
}

/// A page in a schedule, or a break.
#[derive(Debug)]
pub struct Row<'a> {
    /// Minutes since the start.
    pub at: u16,
    /// How long it takes.
    pub minutes: u16,
    /// None is a break.
    pub page: Option<&'a Page>,
    /// Shown by the instructor rather than worked through by everyone.
    pub demo: bool,
}

/// A chosen page, and its place in the book.
struct Entry<'a> {
    index: usize,
    page: &'a Page,
    demo: bool,
}

impl Entry<'_> {
    fn minutes(&self) -> u16 {
        if self.demo { self.page.minutes.div_ceil(DEMO) } else { self.page.minutes }
    }
}

impl<'a> Schedule<'a> {
    /// Every step is in it: as a demo first, then in full from the bottom of the ladder as far as
    /// time allows. Then come the pages before the steps, and those after, as long as they fit.
    pub fn new(pages: &'a [Page], length: Length) -> Self {
        let fits = |chosen: &[Entry]| used(&rows(chosen, length)) <= length.minutes();
        let pages = || pages.iter().enumerate().filter(|(_, page)| page.minutes > 0);
        let steps = pages().filter(|(_, page)| page.step.is_some());
        let mut chosen: Vec<Entry> =
            steps.map(|(index, page)| Entry { index, page, demo: true }).collect();
        for step in 0..chosen.len() {
            chosen[step].demo = false;
            if !fits(&chosen) {
                chosen[step].demo = true;
                break;
            }
        }
        let mut left = Vec::new();
        for (index, page) in pages().filter(|(_, page)| page.step.is_none()) {
            let place = chosen.partition_point(|entry| entry.index < index);
            chosen.insert(place, Entry { index, page, demo: false });
            if !left.is_empty() || !fits(&chosen) {
                chosen.remove(place);
                left.push(page);
            }
        }
        let rows = rows(&chosen, length);
        Self { used: used(&rows), rows, left, total: length.minutes() }
    }

    /// Whether some steps are only shown.
    pub fn has_demos(&self) -> bool {
        self.rows.iter().any(|row| row.demo)
    }
}

/// The pages, with a break before people have sat for too long.
fn rows<'a>(chosen: &[Entry<'a>], length: Length) -> Vec<Row<'a>> {
    let (mut rows, mut at, mut sat) = (Vec::new(), 0, 0);
    for entry in chosen {
        let minutes = entry.minutes();
        if length.has_breaks() && sat > 0 && sat + minutes > SITTING {
            rows.push(Row { at, minutes: BREAK, page: None, demo: false });
            at += BREAK;
            sat = 0;
        }
        rows.push(Row { at, minutes, page: Some(entry.page), demo: entry.demo });
        at += minutes;
        sat += minutes;
    }
    rows
}

fn used(rows: &[Row]) -> u16 {
    rows.iter().map(|row| row.minutes).sum()
}

/// `1:15` for 75 minutes after midnight, or after the start.
pub fn clock(minutes: u16) -> String {
    format!("{}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Vec<Page> {
        let minutes = [(false, 20), (true, 30), (true, 60), (true, 60), (false, 30), (false, 200)];
        let page = |(number, (is_step, minutes)): (usize, (bool, u16))| Page {
            title: format!("p{number}"),
            file: format!("p{number}.md"),
            step: is_step.then(|| &steps::all().unwrap()[number]),
            minutes,
        };
        minutes.into_iter().enumerate().map(page).collect()
    }

    /// `0:20 30 p1`, and so on.
    fn lines(schedule: &Schedule) -> Vec<String> {
        let line = |row: &Row| {
            let page = row.page.map_or("break", |page| page.title.as_str());
            let demo = if row.demo { " demo" } else { "" };
            format!("{} {} {page}{demo}", clock(row.at), row.minutes)
        };
        schedule.rows.iter().map(line).collect()
    }

    #[test]
    fn ninety_minutes_reach_the_last_step() {
        let book = book();
        let schedule = Schedule::new(&book, Length::NinetyMinutes);
        let expected = ["0:00 20 p0", "0:20 30 p1", "0:50 20 p2 demo", "1:10 20 p3 demo"];
        assert_eq!(lines(&schedule), expected);
        assert_eq!((schedule.used, schedule.total, schedule.left.len()), (90, 90, 2));
    }

    #[test]
    fn what_does_not_fit_is_left_to_read() {
        let book = book();
        let schedule = Schedule::new(&book, Length::HalfDay);
        let expected = [
            "0:00 20 p0",
            "0:20 30 p1",
            "0:50 10 break",
            "1:00 60 p2",
            "2:00 10 break",
            "2:10 60 p3",
            "3:10 10 break",
            "3:20 30 p4",
        ];
        assert_eq!(lines(&schedule), expected);
        assert!(!schedule.has_demos());
        assert_eq!((schedule.used, schedule.left[0].file.as_str()), (230, "p5.md"));
    }

    #[test]
    fn links_of_a_summary_are_its_pages() {
        assert_eq!(link("- [01 run: it](step01-run.md)"), Some(("01 run: it", "step01-run.md")));
        assert_eq!(
            link("[Introduction](introduction.md)"),
            Some(("Introduction", "introduction.md"))
        );
        assert_eq!(link("# The steps"), None);
        assert_eq!(minutes("{{#step 05}}\n{{#minutes 3}}\n{{#stat 05}}\n"), 28);
    }
}
