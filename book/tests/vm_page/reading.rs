//! Pages with Linux are for everyone; pages without it do not pay for it.

use std::fs;
use std::thread;
use std::time::Duration;

use book::serve::packed;
use serde_json::json;
use workshop::project;

use crate::small::Small;
use crate::support::Browser;
use crate::{IS_IN_PANE, SITE, STATUS, assets, axe, chromium, says, shows, starts, step, waits};

/// What a page without Linux may load for it, packed.
const ALLOWANCE: usize = 2000;

/// What the browser has complained of: also what the policy forbids.
fn complaints(browser: &Browser) -> Vec<String> {
    let events = ["Runtime.exceptionThrown", "Log.entryAdded"];
    events.iter().flat_map(|it| browser.events(it)).map(ToString::to_string).collect()
}

/// What a page has asked for that is not the book's.
fn foreign(browser: &Browser) -> Vec<String> {
    let own = |url: &String| {
        url.starts_with(&SITE.0) || url.starts_with("data:") || url.starts_with("blob:")
    };
    let requests = browser.events("Network.requestWillBeSent");
    let urls = requests.iter().map(|it| it["request"]["url"].as_str().unwrap().to_string());
    urls.filter(|url| !own(url)).collect()
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn pages_without_a_terminal_pay_next_to_nothing() {
    if assets("pages_without_a_terminal_pay_next_to_nothing").is_none() {
        return;
    }
    for entry in fs::read_dir(&SITE.1).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let page = fs::read_to_string(&path).unwrap_or_default();
        if !name.ends_with(".html") || page.contains("<linux-terminal") {
            continue;
        }
        for word in ["linux-terminal", "data-run", "data-session", "data-lacks", "\"vm/vm."] {
            assert!(!page.contains(word), "{name} has {word}");
        }
    }
    // So what they pay is what all pages load.
    let theme = project::root().unwrap().join("book/theme");
    let mut paid = 0;
    for file in ["reader.js", "book.css", "figures.css"] {
        let text = fs::read_to_string(theme.join(file)).unwrap();
        let without: String = match text.split_once("    // Linux is loaded") {
            Some((before, after)) => format!("{before}{}", after.split_once("\n\n").unwrap().1),
            None => text.clone(),
        };
        assert!(!without.contains("linux"), "{file} has more for Linux than is counted");
        paid += packed(text.as_bytes()).unwrap().len() - packed(without.as_bytes()).unwrap().len();
    }
    println!("a page without Linux pays for it: {paid} B");
    assert!(paid > 0 && paid < ALLOWANCE, "{paid} bytes");
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn a_book_without_linux_says_how_to_get_it() {
    let small = Small::new();
    small.write(
        "src/one.md",
        "# One\n\n{{#step 05}}\n\n{{#session step05 pid}}\n\n```console\n$ echo $$\n```\n",
    );
    // It has no pages of other steps, which the bar of the steps names.
    assert!(small.build().unwrap_err().contains("leads nowhere"));
    let page = fs::read_to_string(small.root().join("out/one.html")).unwrap();
    assert!(page.contains("cargo run -p book -- vm"), "{page}");
    for word in ["linux-terminal", "data-run", "data-session"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn the_policy_forbids_nothing_that_a_page_does() {
    let Some(mut browser) = chromium("the_policy_forbids_nothing_that_a_page_does") else { return };
    for page in ["introduction.html", "glossary.html", "print.html"] {
        browser.open(&format!("{}{page}", SITE.0));
        assert_eq!(complaints(&browser), [""; 0], "{page}");
        assert_eq!(foreign(&browser), [""; 0], "{page}");
    }
    starts(&mut browser, &step(8));
    assert_eq!(complaints(&browser), [""; 0]);
    assert_eq!(foreign(&browser), [""; 0]);
    // It is there, and it is strict.
    let inline = "document.body.append(Object.assign(document.createElement('script'), {textContent: 'ran = 1'})), typeof ran";
    assert_eq!(browser.run(inline), "undefined");
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn everyone_can_use_linux_in_a_page() {
    let name = "everyone_can_use_linux_in_a_page";
    let Some(axe) = axe::script(name) else { return };
    let Some(mut browser) = chromium(name) else { return };
    browser.call("Page.setBypassCSP", &json!({"enabled": true}));
    for (width, dark) in [(1700, false), (1200, true), (390, false), (390, true)] {
        browser.looks(width, dark);
        starts(&mut browser, &step(5));
        browser.run(
            "document.querySelector('linux-terminal').run('cargo run -p step05 run /bin/bash', 0)",
        );
        waits(&mut browser, &shows(0, "root@container"));
        // What has just appeared in the picture is still pale.
        let moves =
            "document.querySelector('live-picture').getAnimations({ subtree: true }).length";
        waits(&mut browser, &format!("{moves} === 0"));
        browser.run(&axe);
        let found = browser.run(&axe::complaints(false));
        assert_eq!(found, json!([]), "{width}, dark {dark}");
        let wide = browser.run("document.documentElement.scrollWidth - innerWidth");
        assert!(wide.as_f64().unwrap() <= 0.0, "{width}: it is {wide} pixels too wide");
        let columns =
            browser.run("document.querySelector('linux-terminal').panes[0].terminal.cols");
        assert!(
            columns.as_u64().unwrap() >= if width > 1000 { 76 } else { 36 },
            "{width}: {columns}"
        );
    }
}

/// A pane has the size of its place when it is first looked at, too.
#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn panes_are_alike_wherever_they_stand_alone() {
    let name = "panes_are_alike_wherever_they_stand_alone";
    let Some(mut browser) = chromium(name) else { return };
    for width in [390, 1200] {
        browser.looks(width, false);
        starts(&mut browser, &step(5));
        browser.run("document.querySelector('linux-terminal').run('echo seen', 1)");
        waits(&mut browser, &shows(1, "\nseen"));
        let sizes = "document.querySelector('linux-terminal').panes.map((it) => `${it.terminal.cols} x ${it.terminal.rows}`)";
        let sizes = browser.run(sizes);
        assert_eq!(sizes[0], sizes[1], "{width}");
    }
}

/// Below the text one pane stands beside the picture; beside the text all stand one below the other.
#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn panes_and_picture_have_room_on_every_page_that_is_wide() {
    let name = "panes_and_picture_have_room_on_every_page_that_is_wide";
    let Some(mut browser) = chromium(name) else { return };
    starts(&mut browser, &step(8));
    for (width, panes, picture) in [(1200, 1, 350), (1680, 2, 550)] {
        browser.looks(width, false);
        let shown = "[...document.querySelectorAll('linux-terminal .pane')].filter((it) =>
            it.checkVisibility({ visibilityProperty: true }) && it.clientWidth > 600 && it.clientHeight > 150).length";
        waits(&mut browser, &format!("{shown} === {panes}"));
        let room = "document.querySelector('live-picture').clientWidth";
        assert!(browser.run(room).as_u64().unwrap() > picture, "{width}: {}", browser.run(room));
    }
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn on_a_phone_it_comes_to_what_is_run() {
    let Some(mut browser) = chromium("on_a_phone_it_comes_to_what_is_run") else { return };
    browser.looks(390, false);
    browser.open(&step(5));
    waits(&mut browser, "document.querySelector('linux-terminal .start')");
    browser.run("document.querySelectorAll('main details').forEach((it) => { it.open = true; })");
    browser.run("document.querySelector('figure.session .run-button').click()");
    let linux = "document.querySelector('linux-terminal')";
    waits(&mut browser, &shows(0, "$ unshare --pid"));
    let follows = "nextElementSibling.matches('figure.session')";
    assert_eq!(browser.run(&format!("{linux}.{follows}")), true);
    assert_eq!(
        browser.run(&format!("getComputedStyle({linux}.querySelector('.linux')).position")),
        "relative"
    );
    // It stays in sight when what is around it is folded, and when the page becomes wide.
    browser.run(&format!("{linux}.closest('details').open = false"));
    waits(&mut browser, &format!("{linux}.checkVisibility()"));
    browser.looks(1200, false);
    waits(&mut browser, &format!("{linux}.previousElementSibling.matches('link')"));
    assert_eq!(
        browser.run(&format!("getComputedStyle({linux}.querySelector('.linux')).position")),
        "fixed"
    );
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn keys_alone_start_it_lead_in_and_out_again() {
    let Some(mut browser) = chromium("keys_alone_start_it_lead_in_and_out_again") else { return };
    browser.open(&step(5));
    waits(&mut browser, "document.querySelector('linux-terminal .start')");
    browser.run("document.querySelector('linux-terminal .start').focus()");
    browser.press("\r");
    waits(&mut browser, IS_IN_PANE);
    browser.run("document.querySelector('nav.steps .run-button').focus()");
    for place in [true, false, true] {
        browser.key("F6");
        assert_eq!(browser.run(&format!("Boolean({IS_IN_PANE})")), place);
    }
    // mdBook's keys are the shell's there: n shows no notes.
    browser.press("n");
    waits(&mut browser, &shows(0, "$ n"));
    assert_eq!(browser.run("document.documentElement.classList.contains('with-notes')"), false);
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn buttons_type_what_stands_beside_them() {
    let Some(mut browser) = chromium("buttons_type_what_stands_beside_them") else { return };
    // They start it, too.
    browser.open(&step(7));
    waits(&mut browser, "document.querySelector('nav.steps .run-button')");
    browser.run("document.querySelector('nav.steps .run-button').click()");
    waits(&mut browser, &shows(0, "root@container:/# "));
    let prompt = "[...document.querySelectorAll('.screen')].find((it) => it.textContent.includes('tmpfs scratch'))";
    browser.run(&format!("{prompt}.querySelector('.run-button').click()"));
    waits(
        &mut browser,
        &format!(
            "{} || {}",
            shows(0, "mount -t tmpfs scratch"),
            shows(1, "mount -t tmpfs scratch")
        ),
    );
    // What needs a compiler has none.
    assert_eq!(
        browser.run(
            "[...document.querySelectorAll('.run-button')].filter((it) => /mine|diff|start/.test(it.getAttribute('aria-label'))).length"
        ),
        0
    );
    browser.run("document.querySelector('linux-terminal .check').click()");
    waits(&mut browser, &shows(1, "cargo workshop check 07"));
    // Who has chosen so needs no click on the next page.
    browser.run("document.querySelector('linux-terminal .always input').click()");
    browser.open(&step(8));
    waits(&mut browser, &shows(0, "$ "));
    browser.run("document.querySelector('linux-terminal .riddles button').click()");
    waits(&mut browser, &shows(1, "$ cargo workshop break 08 "));
    waits(&mut browser, IS_IN_PANE);
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn what_is_typed_fast_arrives_whole() {
    let Some(mut browser) = chromium("what_is_typed_fast_arrives_whole") else { return };
    starts(&mut browser, &step(5));
    let text = "echo 0123456789abcdefghijklmnopqrstuvwxyz";
    for letter in text.chars() {
        browser.press(&letter.to_string());
    }
    waits(&mut browser, &shows(0, &format!("$ {text}")));
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn what_is_for_the_host_is_typed_there() {
    let Some(mut browser) = chromium("what_is_for_the_host_is_typed_there") else { return };
    browser.open(&step(10));
    waits(&mut browser, "document.querySelector('nav.steps .run-button')");
    browser.run("document.querySelector('nav.steps .run-button').click()");
    waits(&mut browser, &shows(0, "root@container:/# "));
    browser.run("document.querySelector('[aria-label=\"Run ip netns list\"]').click()");
    waits(&mut browser, &shows(1, "$ ip netns list"));
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn of_two_buttons_the_last_one_counts() {
    let Some(mut browser) = chromium("of_two_buttons_the_last_one_counts") else { return };
    browser.open(&step(5));
    waits(&mut browser, "document.querySelector('figure.session .run-button')");
    // Both while Linux has not started.
    browser.run("document.querySelector('figure.session .run-button').click()");
    browser.run("document.querySelector('nav.steps .run-button').click()");
    waits(&mut browser, &shows(0, "root@container:~# "));
    // Time enough to type more.
    thread::sleep(Duration::from_secs(3));
    let row = "document.querySelector('linux-terminal').panes[0].row()";
    assert_eq!(browser.run(&format!("{row} < 4 && {STATUS} === ''")), true);
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn what_was_typed_is_not_thrown_away_unasked() {
    let name = "what_was_typed_is_not_thrown_away_unasked";
    let Some(mut browser) = chromium(name) else { return };
    starts(&mut browser, &step(5));
    browser.press("p");
    waits(&mut browser, &shows(0, "$ p"));
    browser.run("document.querySelector('figure.session .run-button').click()");
    waits(&mut browser, &says("as it was at first"));
    assert_eq!(browser.run(&shows(0, "$ p")), true);
    browser.run("document.querySelector('linux-terminal .ways button').click()");
    waits(&mut browser, &shows(0, "$ unshare --pid"));
    assert_eq!(browser.run(&shows(0, "$ p\n")), false);
}
