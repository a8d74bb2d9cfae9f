//! Schedules: everything is in them, and they fit.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::{Command, Output};
use std::time::Duration;

use workshop::pty::Terminal;
use workshop::schedule::{Length, Schedule, pages};
use workshop::{project, steps};

fn class(words: &[&str]) -> Output {
    let mut class = Command::new(env!("CARGO_BIN_EXE_workshop"));
    class.arg("class").args(words).output().unwrap()
}

fn says(words: &[&str]) -> String {
    let output = class(words);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The text as one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_step_is_in_every_schedule_with_its_questions() {
    for length in ["90m", "half-day", "day"] {
        let text = says(&[length]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let text = flat(&text);
        let mut rest = text.as_str();
        for step in steps::all().unwrap() {
            let title = format!(" {:02} {}: ", step.number, step.title);
            rest = rest.split_once(&title).unwrap_or_else(|| panic!("{title} in {text}")).1;
            let demo = rest.split_once(" (").unwrap().1;
            let command = format!("cargo workshop demo {:02})", step.number);
            assert!(demo.starts_with("typing)") || demo.starts_with(&command), "{demo}");
            for question in step.notes.iter().filter(|note| note.starts_with("Ask:")) {
                assert!(rest.contains(question), "{question} in {rest}");
            }
        }
        assert_eq!(text.contains(" Break "), length != "90m");
    }
}

#[test]
fn the_pages_of_the_book_fit() {
    let pages = pages(&project::root().unwrap().join("book/src")).unwrap();
    let minutes: u16 = pages.iter().map(|page| page.minutes).sum();
    for length in [Length::NinetyMinutes, Length::HalfDay, Length::Day] {
        let schedule = Schedule::new(&pages, length);
        assert!(schedule.used <= schedule.total && schedule.used + 30 > schedule.total);
        // Each row begins where the one before ends.
        for rows in schedule.rows.windows(2) {
            assert_eq!(rows[0].at + rows[0].minutes, rows[1].at);
        }
        let taught = schedule.rows.iter().filter_map(|row| row.page);
        let all = taught.chain(schedule.left.iter().copied()).map(|page| page.minutes);
        assert_eq!(all.sum::<u16>(), minutes);
    }
}

#[test]
fn times_of_the_day_are_shown_on_request() {
    let text = says(&["day", "--at", "9:30"]);
    assert!(text.starts_with(" 9:30   10  Introduction\n"), "{text}");
    assert!(says(&["day"]).starts_with(" 0:00   10  Introduction\n"));
    assert_eq!(class(&["day", "--at", "25:00"]).status.code(), Some(2));
    assert_eq!(class(&["week"]).status.code(), Some(2));
}

#[test]
fn a_narrow_terminal_has_short_lines() {
    let workshop = env!("CARGO_BIN_EXE_workshop");
    let line = format!("stty cols 40; NO_COLOR=1 '{workshop}' class half-day");
    let words = ["sh", "-c", line.as_str()].map(Into::into);
    let mut terminal = Terminal::start_uncaged(&words).unwrap();
    assert_eq!(terminal.end(Duration::from_secs(10)).unwrap(), 0);
    terminal.wait_for("To read before or after", Duration::from_secs(5)).unwrap();
    let text = terminal.text();
    assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
}
