//! Schedules, computed from the pages' minutes.

use std::fmt::Write;

use anyhow::{Result, bail};
use workshop::steps::Step;

use crate::colour::escape;

/// After this long people need a break.
const SITTING: u16 = 75;
const BREAK: u16 = 10;
/// A demo takes so many times less than the whole step.
const DEMO: u16 = 3;

/// A page with the minutes it takes.
pub struct Page {
    /// Its place in the book.
    pub number: usize,
    /// Whether it is the chapter of a step.
    pub is_step: bool,
    /// Its title.
    pub title: String,
    /// `step05-pid.html`
    pub link: String,
    /// 0 if it names none.
    pub minutes: u16,
}

impl Page {
    fn html(&self) -> String {
        format!("<a href=\"{}\">{}</a>", self.link, escape(&self.title))
    }
}

/// The minutes that a chapter's `{{#step}}` and `{{#minutes}}` directives name.
pub fn minutes(text: &str) -> u16 {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("{{#")?.strip_suffix("}}")?.split_once(' '))
        .filter_map(|(name, argument)| match name {
            "step" => Some(Step::find(argument).ok()?.minutes),
            "minutes" => argument.trim().parse().ok(),
            _ => None,
        })
        .sum()
}

/// A page in a schedule.
struct Entry<'a> {
    page: &'a Page,
    /// Shown by the instructor rather than worked through by everyone.
    demo: bool,
}

impl Entry<'_> {
    fn minutes(&self) -> u16 {
        if self.demo { self.page.minutes.div_ceil(DEMO) } else { self.page.minutes }
    }
}

/// What fits into a length of time, in the book's order, with breaks; and what is left to read.
///
/// Every step is in it: as a demo first, then in full from the bottom of the ladder as far as time
/// allows. Then come the pages before the steps, and those after, as long as they fit.
pub fn schedule(pages: &[Page], length: &str) -> Result<String> {
    let (total, breaks) = match length {
        "90m" => (90, false),
        "half-day" => (240, true),
        "day" => (420, true),
        _ => bail!("a schedule is for 90m, half-day or day, not '{length}'"),
    };
    let pages: Vec<&Page> = pages.iter().filter(|page| page.minutes > 0).collect();
    let mut chosen: Vec<Entry> =
        pages.iter().filter(|page| page.is_step).map(|page| Entry { page, demo: true }).collect();
    for index in 0..chosen.len() {
        chosen[index].demo = false;
        if length_of(&chosen, breaks) > total {
            chosen[index].demo = true;
            break;
        }
    }
    let mut left = Vec::new();
    for page in pages.iter().filter(|page| !page.is_step) {
        let place = chosen.iter().position(|entry| entry.page.number > page.number);
        let place = place.unwrap_or(chosen.len());
        chosen.insert(place, Entry { page, demo: false });
        if !left.is_empty() || length_of(&chosen, breaks) > total {
            chosen.remove(place);
            left.push(page);
        }
    }
    Ok(table(&chosen, &left, breaks, total))
}

/// Before which entries there is a break.
fn breaks_before(chosen: &[Entry]) -> Vec<bool> {
    let mut sitting = 0;
    let pauses = chosen.iter().map(|entry| {
        let pause = sitting > 0 && sitting + entry.minutes() > SITTING;
        sitting = if pause { entry.minutes() } else { sitting + entry.minutes() };
        pause
    });
    pauses.collect()
}

fn length_of(chosen: &[Entry], breaks: bool) -> u16 {
    let pauses = breaks_before(chosen).into_iter().filter(|pause| *pause && breaks).count();
    chosen.iter().map(Entry::minutes).sum::<u16>() + BREAK * u16::try_from(pauses).unwrap_or(0)
}

fn table(chosen: &[Entry], left: &[&&Page], breaks: bool, total: u16) -> String {
    let mut rows = String::new();
    let mut at = 0;
    for (entry, pause) in chosen.iter().zip(breaks_before(chosen)) {
        if pause && breaks {
            let _ = writeln!(rows, "<tr><td>{}</td><td>{BREAK}</td><td>Break</td></tr>", clock(at));
            at += BREAK;
        }
        let demo = if entry.demo { " (demo)" } else { "" };
        let minutes = entry.minutes();
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{minutes}</td><td>{}{demo}</td></tr>",
            clock(at),
            entry.page.html()
        );
        at += minutes;
    }
    let mut text = format!(
        "<table class=\"schedule\">\n<thead><tr><th>Start</th><th>Minutes</th><th>Page</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n<p>{at} of {total} minutes."
    );
    if chosen.iter().any(|entry| entry.demo) {
        text += " A demo takes a third of a step's minutes: the instructor runs the step and shows its difference, and nobody types.";
    }
    text += "</p>\n";
    if !left.is_empty() {
        let left: Vec<String> = left.iter().map(|page| page.html()).collect();
        let _ = writeln!(text, "<p>To read before or after: {}.</p>", left.join(", "));
    }
    text
}

/// `1:15` for 75 minutes after the start.
fn clock(minutes: u16) -> String {
    format!("{}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Vec<Page> {
        let page = |(number, (is_step, minutes)): (usize, (bool, u16))| {
            let title = format!("p{number}");
            Page { number, is_step, link: format!("{title}.html"), title, minutes }
        };
        let minutes = [(false, 20), (true, 30), (true, 60), (true, 60), (false, 30), (false, 200)];
        minutes.into_iter().enumerate().map(page).collect()
    }

    #[test]
    fn ninety_minutes_reach_the_last_step() {
        let text = schedule(&pages(), "90m").unwrap();
        for row in [
            "<td>0:20</td><td>30</td><td><a href=\"p1.html\">p1</a></td>",
            "<td>1:10</td><td>20</td><td><a href=\"p3.html\">p3</a> (demo)</td>",
        ] {
            assert!(text.contains(row), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_to_read() {
        let text = schedule(&pages(), "half-day").unwrap();
        assert!(!text.contains("demo"), "{text}");
        assert!(text.contains("<td>Break</td>") && text.contains("230 of 240 minutes"), "{text}");
        assert!(text.contains("To read before or after: <a href=\"p5.html\">p5</a>"), "{text}");
    }
}
