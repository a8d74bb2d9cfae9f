//! Makes what the page's Linux shows comparable with what was recorded elsewhere.

use std::path::Path;

use workshop::transcript::redact;

/// What the page's Linux has shown. Its panes are consoles, where the recorded ones were
/// pseudo-terminals.
pub(crate) fn shown(transcript: &str) -> String {
    let transcript = transcript.trim().replace("hvc0 ", "pts/0").replace("hvc1 ", "pts/0");
    seen(&redact(&transcript, Path::new("/workshop")))
}

/// As a terminal shows it: colours are no letters, a tab leads to the next eighth column, and nobody
/// sees blanks at the end of a line.
pub(crate) fn seen(text: &str) -> String {
    text.trim().lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Any other escape stays, and is seen as a difference.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';');
        match rest.strip_prefix('m') {
            Some(rest) => plain += rest,
            None => plain += &format!("\x1b[{part}"),
        }
    }
    plain
}

fn line(text: &str) -> String {
    let plain = without_colours(text);
    // A machine with 32 bits has no such folder.
    let plain = plain.replace(" /lib64", "");
    // How wide the columns of ps are depends on the machine's largest pid.
    let words: Vec<&str> = plain.split_whitespace().collect();
    if words.first().is_some_and(|it| *it == "PID" || it.parse::<u32>().is_ok()) {
        return words.join(" ");
    }
    let mut shown = String::new();
    for letter in plain.chars() {
        let blanks = if letter == '\t' { 8 - shown.chars().count() % 8 } else { 0 };
        shown += &if blanks > 0 { " ".repeat(blanks) } else { letter.to_string() };
    }
    shown.trim_end().to_string()
}
