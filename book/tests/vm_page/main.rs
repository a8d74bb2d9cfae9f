//! Linux in the book's pages, in Chromium and in Firefox.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/assets.rs"]
mod assets;
#[path = "../support/axe.rs"]
mod axe;
mod faults;
#[path = "../support/firefox.rs"]
mod firefox;
mod reading;
#[path = "../support/seen.rs"]
mod seen;
mod sessions;
#[path = "../support/small.rs"]
mod small;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use assets::assets;
use book::build;
use book::serve::Book;
use serde_json::Value;
use support::Browser;
use workshop::steps;
use workshop::{project, testing};

/// How long the page may take to a prompt: several times of what it takes on a quiet machine.
const START: Duration = Duration::from_secs(30);

/// The browser takes less of a core while nobody types: on a quiet machine a tenth or less.
const IDLE: f64 = 0.2;

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

/// Starts the Linux of a page.
fn starts(browser: &mut Browser, address: &str) {
    browser.open(address);
    waits(browser, "document.querySelector('linux-terminal .start')");
    browser.run("document.querySelector('linux-terminal .start').click()");
    waits(browser, IS_IN_PANE);
}

/// The address of a step's page.
fn step(number: usize) -> String {
    format!("{}{}.html", SITE.0, steps::all().unwrap()[number - 1].folder)
}

/// The names of the pages with Linux, in order. The first one is index.html, too.
fn pages_with_linux() -> Vec<String> {
    let pages = fs::read_dir(&SITE.1).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = pages
        .filter(|path| path.extension().is_some_and(|it| it == "html"))
        .filter(|path| fs::read_to_string(path).unwrap().matches("<linux-terminal").count() == 1)
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_string())
        .collect();
    pages.retain(|name| name != "index");
    pages.sort();
    for step in steps::all().unwrap() {
        assert!(pages.contains(&step.folder), "{} has no Linux", step.folder);
    }
    pages
}

/// Chromium, if it and Linux are there.
fn chromium(test: &str) -> Option<Browser> {
    let there = assets(test).is_some()
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

/// Whether keys go to Linux.
const IS_IN_PANE: &str = "document.activeElement.closest('linux-terminal .pane')";

const STATUS: &str = "document.querySelector('linux-terminal [role=status]').textContent";

fn says(text: &str) -> String {
    format!("{STATUS}.includes({text:?})")
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
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
    waits(&mut browser, IS_IN_PANE);
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

/// The machine's clock ticks and its agent looks around, and that is all.
#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn linux_that_waits_takes_little_of_a_core() {
    let name = "linux_that_waits_takes_little_of_a_core";
    let Some(mut browser) = chromium(name) else { return };
    starts(&mut browser, &step(5));
    waits(&mut browser, &shows(0, "$ "));
    // For a while the browser still compiles what has run often.
    let mut shares = (0..6).map(|_| {
        let (before, start) = (cpu_time(browser.process.id()), Instant::now());
        thread::sleep(Duration::from_secs(8));
        let spent = cpu_time(browser.process.id()).saturating_sub(before);
        let share = spent.div_duration_f64(start.elapsed());
        println!("a machine that waits: {:.1} % of a core", share * 100.0);
        share
    });
    assert!(shares.any(|share| share > 0.0 && share < IDLE));
}

/// The time that a process and all below it have spent on a processor.
fn cpu_time(process: u32) -> Duration {
    let (mut processes, mut ticks) = (vec![process.to_string()], 0);
    while let Some(pid) = processes.pop() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name: utime and stime, of the process and of children it has waited for.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
        ticks += fields.take(4).filter_map(|it| it.parse::<u64>().ok()).sum::<u64>();
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            processes.extend(children.split_whitespace().map(String::from));
        }
    }
    // USER_HZ, which proc(5) counts in, is 100.
    Duration::from_millis(ticks * 10)
}
