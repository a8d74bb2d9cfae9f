//! The Linux of the page, in Chromium.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use book::serve::Book;
use book::vm;
use support::Browser;
use workshop::{project, testing};

/// A page that holds nothing else.
const PAGE: &str = "<!doctype html><meta charset=utf-8><title>Linux</title>\
    <script type=module src=vm/vm.mjs></script><linux-terminal></linux-terminal>";

/// What the terminal shows.
const TEXT: &str = "(() => { const buffer = document.querySelector('linux-terminal').terminal?.buffer.active;
    return [...Array(buffer?.length ?? 0).keys()].map((it) => buffer.getLine(it).translateToString(true)).join('\\n'); })()";

/// How long the page may take to a prompt: several times of what it takes on a quiet machine.
const COLD: Duration = Duration::from_secs(20);

fn waits_for(browser: &mut Browser, text: &str) -> Duration {
    let start = Instant::now();
    loop {
        let shown = browser.run(TEXT);
        let shown = shown.as_str().unwrap();
        if shown.contains(text) {
            return start.elapsed();
        }
        assert!(start.elapsed() < COLD, "no {text:?} after {COLD:?}: {shown}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "it needs minutes of building before: cargo run -p book -- vm"]
fn linux_starts_in_a_page_on_a_click() {
    let name = "linux_starts_in_a_page_on_a_click";
    let root = project::root().unwrap();
    let pages = tempfile::tempdir().unwrap();
    vm::add_to(&root, pages.path()).unwrap();
    if !pages.path().join("vm").is_dir() {
        testing::skip(name, "it needs the Linux of the page: cargo run -p book -- vm");
        return;
    }
    if Command::new("chromium").arg("--version").output().is_err() {
        testing::skip(name, "it needs chromium");
        return;
    }
    fs::write(pages.path().join("index.html"), PAGE).unwrap();
    let book = Book::listen(&root, pages.path(), 0).unwrap();
    let address = book.address();
    thread::spawn(move || book.serve());
    let mut browser = Browser::start();
    browser.looks(1000, false);
    for what in ["cold", "cached"] {
        browser.open(&address);
        assert!(
            browser
                .run("document.querySelector('button').textContent")
                .as_str()
                .unwrap()
                .contains(" MB)")
        );
        let start = Instant::now();
        browser.run("document.querySelector('button').click()");
        waits_for(&mut browser, "$ ");
        println!("click to prompt, {what}: {:.2} s", start.elapsed().as_secs_f32());
    }
    browser.run(
        "document.querySelector('linux-terminal').type(0, 'cargo run -p step05 run /bin/bash\\n')",
    );
    waits_for(&mut browser, "root@container:~# ");
    browser.run("document.querySelector('linux-terminal').type(0, 'echo pid $$\\n')");
    waits_for(&mut browser, "pid 2");
    browser.run("document.querySelector('linux-terminal').reset()");
    waits_for(&mut browser, "$ ");
    // As somebody at the keyboard does.
    for key in ["p", "w", "d"] {
        browser.press(key);
    }
    waits_for(&mut browser, "$ pwd");
    let faults = browser.events("Runtime.exceptionThrown");
    assert!(faults.is_empty(), "{faults:?}");
}
