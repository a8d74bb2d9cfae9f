//! A schedule for a class, as a page shows it.

use std::fmt::Write;

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use workshop::schedule::{DEMOS, Length, Page, Row, Schedule, clock};

use crate::colour::escape;

/// What fits into 90m, half-day or day, and what is left to read.
pub fn schedule(pages: &[Page], length: &str) -> Result<String> {
    let length = Length::from_str(length, false)
        .map_err(|_| anyhow!("a schedule is for 90m, half-day or day, not '{length}'"))?;
    let schedule = Schedule::new(pages, length);
    let rows: String = schedule.rows.iter().map(row).collect();
    let (used, total) = (schedule.used, schedule.total);
    let mut text = format!(
        "<table class=\"schedule\">\n<thead><tr><th>Start</th><th>Minutes</th><th>Page</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n<p>{used} of {total} minutes."
    );
    if schedule.has_demos() {
        text += &format!(" {DEMOS}");
    }
    text += "</p>\n";
    if !schedule.left.is_empty() {
        let left: Vec<String> = schedule.left.iter().copied().map(link).collect();
        let _ = writeln!(text, "<p>To read before or after: {}.</p>", left.join(", "));
    }
    Ok(text)
}

fn row(row: &Row) -> String {
    let (at, minutes) = (clock(row.at), row.minutes);
    let what = row.page.map_or("Break".to_string(), link);
    let demo = if row.demo { " (demo)" } else { "" };
    format!("<tr><td>{at}</td><td>{minutes}</td><td>{what}{demo}</td></tr>\n")
}

fn link(page: &Page) -> String {
    let address = page.file.replace(".md", ".html");
    format!("<a href=\"{address}\">{}</a>", escape(&page.title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_a_table_with_links() {
        let page = |title: &str, minutes| Page {
            title: title.into(),
            file: format!("{title}.md"),
            step: None,
            minutes,
        };
        let text = schedule(&[page("a", 70), page("b", 30), page("c", 400)], "half-day").unwrap();
        for part in [
            "<tr><td>0:00</td><td>70</td><td><a href=\"a.html\">a</a></td></tr>",
            "<tr><td>1:10</td><td>10</td><td>Break</td></tr>",
            "<p>110 of 240 minutes.</p>",
            "<p>To read before or after: <a href=\"c.html\">c</a>.</p>",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let error = schedule(&[], "week").unwrap_err().to_string();
        assert_eq!(error, "a schedule is for 90m, half-day or day, not 'week'");
    }
}
