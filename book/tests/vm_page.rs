//! Linux in the book's pages, in Chromium and in Firefox: every session that a page can run is run
//! by its button, in the page, and compared with what was recorded.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/firefox.rs"]
mod firefox;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use book::serve::Book;
use book::{build, vm};
use firefox::Firefox;
use serde_json::Value;
use support::Browser;
use workshop::steps::{self, Step};
use workshop::transcript::redact;
use workshop::{project, testing};

/// How long the page may take to a prompt: several times of what it takes on a quiet machine.
const START: Duration = Duration::from_secs(30);

/// A browser with one page.
trait Page {
    /// Opens an address and waits until it is loaded.
    fn open(&mut self, address: &str);
    /// What an expression of JavaScript says, when it has resolved.
    fn run(&mut self, expression: &str) -> Value;
}

impl Page for Browser {
    fn open(&mut self, address: &str) {
        Browser::open(self, address);
    }

    fn run(&mut self, expression: &str) -> Value {
        Browser::run(self, expression)
    }
}

/// The book with Linux, as it is served: with the policy of `book::policy`.
static SITE: LazyLock<(String, PathBuf)> = LazyLock::new(|| {
    let root = project::root().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linux");
    let pages = build::build(&root, Some(&folder)).unwrap_or_else(|error| panic!("{error:#}"));
    let book = Book::listen(&root, &pages, 0).unwrap();
    let address = book.address();
    thread::spawn(move || book.serve());
    (address, pages)
});

/// The address of a step's page.
fn page(step: &Step) -> String {
    format!("{}{}.html", SITE.0, step.folder)
}

fn step(number: usize) -> String {
    page(&steps::all().unwrap()[number - 1])
}

/// Whether Linux has been built.
fn built(test: &str) -> bool {
    vm::is_built(&project::root().unwrap())
        || testing::skip(test, "it needs the Linux of the page: cargo run -p book -- vm")
}

/// Chromium, if it and Linux are there.
fn chromium(test: &str) -> Option<Browser> {
    let there = built(test)
        && (Command::new("chromium").arg("--version").output().is_ok()
            || testing::skip(test, "it needs chromium"));
    there.then(|| {
        let mut browser = Browser::start();
        browser.looks(1200, false);
        browser
    })
}

/// Waits until an expression of JavaScript is true.
fn waits(browser: &mut dyn Page, expression: &str) -> Duration {
    let start = Instant::now();
    while browser.run(&format!("Boolean({expression})")) != true {
        if start.elapsed() > START {
            let said = browser.run(STATUS);
            panic!("after {START:?} {expression} does not hold: {said}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    start.elapsed()
}

/// What a pane shows.
fn shows(pane: usize, text: &str) -> String {
    format!(
        "(() => {{ const buffer = document.querySelector('linux-terminal').panes[{pane}]?.terminal.buffer.active;
        return [...Array(buffer?.length ?? 0).keys()].map((it) => buffer.getLine(it).translateToString(true)).join('\\n'); }})().includes({text:?})"
    )
}

const STATUS: &str = "document.querySelector('linux-terminal [role=status]').textContent";

fn says(text: &str) -> String {
    format!("{STATUS}.includes({text:?})")
}

#[test]
fn linux_starts_in_a_page_on_a_click() {
    let Some(mut browser) = chromium("linux_starts_in_a_page_on_a_click") else { return };
    for what in ["cold", "cached"] {
        browser.open(&step(5));
        waits(&mut browser, "document.querySelector('linux-terminal .start')");
        // Nothing large is loaded before.
        for request in browser.events("Network.requestWillBeSent") {
            let url = request["request"]["url"].as_str().unwrap();
            assert!(!url.contains("v86") && !url.contains("state.bin"), "{url}");
        }
        let label = browser.run("document.querySelector('.start').textContent");
        assert!(label.as_str().unwrap().contains(" MB)"), "{label}");
        browser.run("document.querySelector('.start').click()");
        let took = waits(&mut browser, &shows(0, "$ "));
        println!("click to prompt, {what}: {:.2} s", took.as_secs_f32());
    }
    // As somebody at the keyboard does.
    for key in ["p", "w", "d"] {
        browser.press(key);
    }
    waits(&mut browser, &shows(0, "$ pwd"));
    browser.run("document.querySelector('linux-terminal .reset').click()");
    let took = waits(&mut browser, &format!("!({}) && {}", shows(0, "$ pwd"), shows(0, "$ ")));
    println!("reset: {:.2} s", took.as_secs_f32());
    let faults = browser.events("Runtime.exceptionThrown");
    assert!(faults.is_empty(), "{faults:?}");
}

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
                faults.push(format!("== {} {name}\n{shown}\n== recorded\n{recorded}\n", step.package));
            }
        }
    }
    println!("{count} sessions in {:.0} s", start.elapsed().as_secs_f32());
    assert!(count > 30, "there are only {count}");
    assert!(faults.is_empty(), "{} of {count}\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_session_runs_in_its_page_in_chromium() {
    let Some(mut browser) = chromium("every_session_runs_in_its_page_in_chromium") else { return };
    every_session_runs(&mut browser);
}

#[test]
fn every_session_runs_in_its_page_in_firefox() {
    let name = "every_session_runs_in_its_page_in_firefox";
    if !built(name) {
        return;
    }
    let Some(mut browser) = Firefox::start() else {
        testing::skip(name, "it needs firefox");
        return;
    };
    every_session_runs(&mut browser);
}
