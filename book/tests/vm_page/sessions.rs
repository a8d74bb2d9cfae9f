//! Every session that a page can run is run by its button, in the page, and compared with what was
//! recorded.

use std::fs;
use std::time::Instant;

use workshop::{project, testing};

use crate::firefox::Firefox;
use crate::seen;
use crate::{Page, SITE, STATUS, assets, chromium, pages_with_linux, waits};

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
        let begin = Instant::now();
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
        println!("{name} after {:.1} s", begin.elapsed().as_secs_f32());
        match played.last_mut() {
            // The next part of the same.
            Some(last) if last.name == name => last.shown += shown,
            _ => played.push(Played { name: name.to_string(), shown: shown.to_string() }),
        }
    }
    played
}

/// What was recorded on cgroup v2 for a page, without what insta writes above.
fn recorded(page: &str, name: &str) -> String {
    let root = project::root().unwrap();
    let file = |folder: &str| root.join(folder).join(format!("tests/snapshots/{name}.snap"));
    // A step's page is named after its folder.
    let text = fs::read_to_string(file(page)).or_else(|_| fs::read_to_string(file("book")));
    text.unwrap().splitn(3, "---\n").nth(2).unwrap().to_string()
}

/// Plays everything on every page with Linux, and compares.
fn every_session_runs(browser: &mut dyn Page) {
    let (start, mut count, mut faults) = (Instant::now(), 0, Vec::new());
    for page in pages_with_linux() {
        for Played { name, shown } in plays(browser, &format!("{}{page}.html", SITE.0)) {
            count += 1;
            let (shown, recorded) = (seen::shown(&shown), seen::seen(&recorded(&page, &name)));
            if shown != recorded {
                faults.push(format!("== {page} {name}\n{shown}\n== recorded\n{recorded}\n"));
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
