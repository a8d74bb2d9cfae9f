//! Schedules, computed from the pages' minutes.

use std::fmt::Write;

use anyhow::{Result, bail};
use workshop::steps::Step;

use crate::colour::escape;

/// After this long people need a break.
const SITTING: u16 = 75;
const BREAK: u16 = 10;

/// A page with the minutes it takes.
pub struct Page {
    /// Its title.
    pub title: String,
    /// `step05-pid.html`
    pub link: String,
    /// 0 if it names none.
    pub minutes: u16,
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

/// What fits into a length of time, in the book's order, with breaks; and what is left to read.
pub fn schedule(pages: &[Page], length: &str) -> Result<String> {
    let (total, breaks) = match length {
        "90m" => (90, false),
        "half-day" => (240, true),
        "day" => (420, true),
        _ => bail!("a schedule is for 90m, half-day or day, not '{length}'"),
    };
    let mut rows = String::new();
    let (mut at, mut sitting) = (0, 0);
    let mut rest = pages.iter().filter(|page| page.minutes > 0).peekable();
    while let Some(page) = rest.peek() {
        let pause =
            if breaks && sitting > 0 && sitting + page.minutes > SITTING { BREAK } else { 0 };
        if at + pause + page.minutes > total {
            break;
        }
        if pause > 0 {
            let _ = writeln!(rows, "<tr><td>{}</td><td>{pause}</td><td>Break</td></tr>", clock(at));
            (at, sitting) = (at + pause, 0);
        }
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{}</td><td><a href=\"{}\">{}</a></td></tr>",
            clock(at),
            page.minutes,
            page.link,
            escape(&page.title)
        );
        at += page.minutes;
        sitting += page.minutes;
        rest.next();
    }
    let left: Vec<String> =
        rest.map(|page| format!("<a href=\"{}\">{}</a>", page.link, escape(&page.title))).collect();
    let left = if left.is_empty() {
        String::new()
    } else {
        format!("<p>Left to read: {}.</p>\n", left.join(", "))
    };
    Ok(format!(
        "<table class=\"schedule\">\n<thead><tr><th>Start</th><th>Minutes</th><th>Page</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n<p>{at} of {total} minutes.</p>\n{left}"
    ))
}

/// `1:15` for 75 minutes after the start.
fn clock(minutes: u16) -> String {
    format!("{}:{:02}", minutes / 60, minutes % 60)
}
