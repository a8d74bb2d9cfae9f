//! Every session that a page can run is run by its button, in the page, and compared with what was
//! recorded.

use std::fs;
use std::path::Path;
use std::time::Instant;

use workshop::steps::{self, Step};
use workshop::transcript::redact;
use workshop::{project, testing};

use crate::firefox::Firefox;
use crate::{Page, STATUS, assets, chromium, page, waits};

/// A session on a page, as its button plays it.
struct Played {
    name: String,
    shown: String,
}

/// Presses the buttons of all sessions of a page, one after the other.
fn plays(browser: &mut dyn Page, address: &str) -> Vec<Played> {
    browser.open(address);
    waits(browser, "document.querySelector('linux-terminal .start')");
    let count = "document.querySelectorAll('figure.session .run-button').length";
    let count = browser.run(count).as_u64().unwrap();
    let mut played: Vec<Played> = Vec::new();
    for index in 0..count {
        let shown = browser.run(&format!(
            "(async () => {{
                const linux = document.querySelector('linux-terminal');
                const button = document.querySelectorAll('figure.session .run-button')[{index}];
                let playing;
                linux.play = (...what) => playing = Object.getPrototypeOf(linux).play.apply(linux, what);
                button.click();
                const shown = await playing;
                return [button.closest('figure').dataset.name, shown ?? 'nothing: ' + {STATUS}];
            }})()"
        ));
        let (name, shown) = (shown[0].as_str().unwrap(), shown[1].as_str().unwrap());
        match played.last_mut() {
            // The next part of the same.
            Some(last) if last.name == name => last.shown += shown,
            _ => played.push(Played { name: name.to_string(), shown: shown.to_string() }),
        }
    }
    played
}

/// What was recorded on cgroup v2, without what insta writes above.
fn recorded(step: &Step, name: &str) -> String {
    let root = project::root().unwrap();
    let file = |folder: &str| root.join(folder).join(format!("tests/snapshots/{name}.snap"));
    let text = fs::read_to_string(file(&step.folder)).or_else(|_| fs::read_to_string(file("book")));
    text.unwrap().splitn(3, "---\n").nth(2).unwrap().to_string()
}

/// As a terminal shows it: colours are no letters, a tab leads to the next eighth column, and nobody
/// sees blanks at the end of a line.
fn seen(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.trim().lines() {
        let mut parts = line.split('\x1b');
        let mut plain = parts.next().unwrap().to_string();
        plain.extend(parts.map(|part| part.split_once('m').unwrap().1));
        let mut shown = String::new();
        for letter in plain.chars() {
            let blanks = if letter == '\t' { 8 - shown.chars().count() % 8 } else { 0 };
            shown += &if blanks > 0 { " ".repeat(blanks) } else { letter.to_string() };
        }
        lines.push(shown.trim_end().to_string());
    }
    lines.join("\n")
}

/// Plays everything on every step's page, and compares.
fn every_session_runs(browser: &mut dyn Page) {
    let (start, mut count, mut faults) = (Instant::now(), 0, Vec::new());
    for step in steps::all().unwrap() {
        for Played { name, shown } in plays(browser, &page(step)) {
            count += 1;
            // The panes are consoles, where the recorded ones were pseudo-terminals.
            let shown = shown.replace("hvc0 ", "pts/0").replace("hvc1 ", "pts/0");
            let (shown, recorded) =
                (seen(&redact(shown.trim(), Path::new("/workshop"))), seen(&recorded(step, &name)));
            if shown != recorded {
                faults.push(format!(
                    "== {} {name}\n{shown}\n== recorded\n{recorded}\n",
                    step.package
                ));
            }
        }
    }
    println!("{count} sessions in {:.0} s", start.elapsed().as_secs_f32());
    assert!(count > 30, "there are only {count}");
    assert!(faults.is_empty(), "{} of {count}\n{}", faults.len(), faults.join("\n"));
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn every_session_runs_in_its_page_in_chromium() {
    let Some(mut browser) = chromium("every_session_runs_in_its_page_in_chromium") else { return };
    every_session_runs(&mut browser);
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn every_session_runs_in_its_page_in_firefox() {
    let name = "every_session_runs_in_its_page_in_firefox";
    if assets(name).is_none() {
        return;
    }
    let Some(mut browser) = Firefox::start() else {
        testing::skip(name, "it needs firefox");
        return;
    };
    every_session_runs(&mut browser);
}
