//! The book in a real browser: every page, light and dark, narrow and wide.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/axe.rs"]
mod axe;
#[path = "support/small.rs"]
mod small;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use book::build;
use book::serve::Book;
use serde_json::json;
use small::Small;
use support::Browser;
use workshop::{project, testing};

/// The book as it lies on the disk: the address of its folder and the names of its pages.
static BOOK: LazyLock<(String, Vec<String>)> = LazyLock::new(|| {
    let root = project::root().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browsed");
    let pages = build::build(&root, Some(&folder)).unwrap_or_else(|error| panic!("{error:#}"));
    let summary = fs::read_to_string(root.join("book/src/SUMMARY.md")).unwrap();
    let name = |line: &str| Some(line.split_once("](")?.1.split_once(".md)")?.0.to_string());
    (format!("file://{}/", pages.display()), summary.lines().filter_map(name).collect())
});

/// Chromium, unless it is missing.
fn browser(test: &str) -> Option<Browser> {
    let there = Command::new("chromium").arg("--version").output().is_ok();
    (there || testing::skip(test, "it needs chromium")).then(Browser::start)
}

fn address(page: &str) -> String {
    format!("{}{page}.html", BOOK.0)
}

#[test]
fn every_page_loads_without_a_fault_in_every_look() {
    let Some(mut browser) = browser("every_page_loads_without_a_fault_in_every_look") else {
        return;
    };
    let mut faults = Vec::new();
    for (width, dark) in [(390, false), (390, true), (1600, false), (1600, true)] {
        browser.looks(width, dark);
        for page in &BOOK.1 {
            browser.open(&address(page));
            let mut fault =
                |what: String| faults.push(format!("{page}, {width}, dark {dark}: {what}"));
            for event in ["Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"] {
                browser.events(event).iter().for_each(|said| fault(said.to_string()));
            }
            for request in browser.events("Network.requestWillBeSent") {
                let url = request["request"]["url"].as_str().unwrap();
                if !url.starts_with(&BOOK.0) && !url.starts_with("data:") {
                    fault(format!("it asks for {url}"));
                }
            }
            let wide = browser.run("document.documentElement.scrollWidth - innerWidth");
            if wide.as_f64().unwrap() > 0.0 {
                fault(format!("it is {wide} pixels too wide"));
            }
            let is_dark = browser.run("document.documentElement.classList.contains('navy')");
            assert_eq!(is_dark, dark, "{page}");
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn switches_work_and_are_remembered() {
    let Some(mut browser) = browser("switches_work_and_are_remembered") else { return };
    browser.looks(1600, false);
    browser.open(&address("step05-pid"));
    let (beside, notes) = (
        "getComputedStyle(document.querySelector('figure.diff .lines:not(.sides)')).display",
        "document.documentElement.classList.contains('with-notes')",
    );
    assert_eq!(browser.run(beside), "block");
    assert_eq!(browser.run(notes), false);
    browser.run("document.querySelector('button.sides').click()");
    browser.press("n");
    assert_eq!(browser.run(beside), "none");
    assert_eq!(browser.run(notes), true);
    // The dark one, though the system is light.
    browser.run("document.getElementById('mdbook-theme-toggle').click()");
    browser.run("document.getElementById('mdbook-theme-navy').click()");
    browser.open(&address("step06-chroot"));
    assert_eq!(browser.run(beside), "none");
    assert!(browser.run("document.querySelectorAll('.sides .pair').length").as_u64().unwrap() > 5);
    assert_eq!(browser.run(notes), true);
    assert_eq!(browser.run("document.documentElement.classList.contains('navy')"), true);
    browser.run("document.querySelector('button.sides').click()");
    browser.press("n");
    assert_eq!(browser.run(beside), "block");
    assert_eq!(browser.run(notes), false);
    let themes =
        "[...document.querySelectorAll('button.theme')].map((it) => it.textContent).join()";
    assert_eq!(browser.run(themes), "System,Light,Dark");
    // In the search bar n is a letter.
    browser.press("s");
    browser.run("document.getElementById('mdbook-searchbar').focus()");
    browser.press("n");
    assert_eq!(browser.run(notes), false);
}

#[test]
fn folds_open_and_close() {
    let Some(mut browser) = browser("folds_open_and_close") else { return };
    browser.open(&address("step06-chroot"));
    let line = "document.querySelector('details.unchanged .line').checkVisibility()";
    assert_eq!(browser.run(line), false);
    browser.run("document.querySelector('details.unchanged summary').click()");
    assert_eq!(browser.run(line), true);
    browser.run("document.querySelector('details.unchanged summary').click()");
    browser.run("dispatchEvent(new Event('beforeprint'))");
    assert_eq!(browser.run(line), true);
    browser.run("dispatchEvent(new Event('afterprint'))");
    assert_eq!(browser.run(line), false);
}

#[test]
fn commands_are_copied_without_prompt_and_output() {
    let Some(mut browser) = browser("commands_are_copied_without_prompt_and_output") else {
        return;
    };
    browser.open(&address("step03-uts"));
    let permissions = json!(["clipboardReadWrite", "clipboardSanitizedWrite"]);
    browser.call("Browser.grantPermissions", &json!({"permissions": permissions}));
    for (button, start) in [
        (".screen button.copy", "cargo run -p step02"),
        ("nav.steps button.copy", "cargo run -p step03 run"),
        ("figcaption button.copy", "cargo workshop diff 02 03"),
    ] {
        browser.run(&format!("document.querySelector('{button}').click()"));
        let copied = browser.run(
            "new Promise((done) => setTimeout(done, 200)).then(() => navigator.clipboard.readText())",
        );
        let copied = copied.as_str().unwrap();
        assert!(copied.starts_with(start) && !copied.contains("$ "), "{button}: {copied}");
    }
}

#[test]
fn search_finds_a_page() {
    let Some(mut browser) = browser("search_finds_a_page") else { return };
    browser.open(&format!("{}?search=CLONE_NEWPID", address("step01-run")));
    let start = Instant::now();
    let found = "document.querySelectorAll('#mdbook-searchresults li').length";
    while browser.run(found) == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing is found");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_page_reloads_when_its_source_changes() {
    let Some(mut browser) = browser("a_page_reloads_when_its_source_changes") else { return };
    let small = Small::new();
    let pages = small.build().unwrap();
    let book = Book::listen(small.root(), &pages, 0).unwrap();
    let address = book.address();
    thread::spawn(move || book.serve());
    browser.open(&format!("{address}one.html"));
    let title = "document.querySelector('main h1')?.textContent";
    assert_eq!(browser.run(title), "One");
    // The watcher has looked at the sources as they were.
    thread::sleep(Duration::from_secs(1));
    small.write("src/one.md", "# Another\n");
    let start = Instant::now();
    while browser.run(title) != "Another" {
        assert!(start.elapsed() < Duration::from_secs(60), "it is not reloaded");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn everyone_can_read_every_page() {
    let name = "everyone_can_read_every_page";
    let Some(axe) = axe::script(name) else { return };
    let Some(mut browser) = browser(name) else { return };
    let mut faults: BTreeMap<String, String> = BTreeMap::new();
    for dark in [false, true] {
        browser.looks(1600, dark);
        for page in &BOOK.1 {
            browser.open(&address(page));
            browser.run(&axe);
            // With everything unfolded.
            browser.run(
                "document.querySelectorAll('main details').forEach((it) => { it.open = true; })",
            );
            browser.run("document.documentElement.classList.add('with-notes')");
            // Dark pages differ in their colours only.
            let found = browser.run(&axe::complaints(dark));
            for fault in found.as_array().unwrap() {
                let fault = fault.as_str().unwrap();
                let kind = fault.split(':').next().unwrap().to_string();
                faults.entry(format!("{kind}, dark {dark}")).or_insert(format!("{page}: {fault}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_book_is_served_on_loopback() {
    let Some(mut browser) = browser("the_book_is_served_on_loopback") else { return };
    let root = project::root().unwrap();
    let pages = BOOK.0.trim_start_matches("file://");
    let book = Book::listen(&root, Path::new(pages), 0).unwrap();
    let address = book.address();
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    thread::spawn(move || book.serve());
    for page in ["", "step05-pid.html", "glossary.html"] {
        browser.open(&format!("{address}{page}"));
        assert_eq!(browser.run("document.querySelectorAll('main h1').length > 0"), true, "{page}");
    }
    browser.open(&format!("{address}../Cargo.toml"));
    assert_eq!(browser.run("document.body.textContent"), "no such page");
}
