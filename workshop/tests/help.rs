//! `--help`, for attendees first.

#![allow(clippy::unwrap_used)]

use std::process::Command;

fn help(words: &[&str]) -> String {
    let workshop = Command::new(env!("CARGO_BIN_EXE_workshop")).args(words).output().unwrap();
    assert!(workshop.status.success(), "{words:?}");
    String::from_utf8(workshop.stdout).unwrap()
}

/// The names of the commands below a heading.
fn below<'a>(help: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = help.lines().skip_while(|line| *line != format!("{heading}:")).skip(1);
    let lines = lines.take_while(|line| line.starts_with("  "));
    lines.filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn an_attendee_sees_eight_commands_and_the_rest_apart() {
    let help = help(&["--help"]);
    assert!(below(&help, "Commands").len() <= 8, "{help}");
    assert!(!below(&help, "Teaching").is_empty() && !below(&help, "Upkeep").is_empty(), "{help}");
}
