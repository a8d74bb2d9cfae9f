//! The live picture: what the agent in the machine tells while a container starts, forks to its limit
//! and ends, in Node; and what is drawn of it, in Chromium.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/assets.rs"]
mod assets;
mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use assets::assets;
use book::serve::Book;
use book::vm;
use data_encoding::BASE64;
use serde_json::{Value, json};
use support::Browser;
use workshop::{project, testing};

/// The agent takes less of the guest, in percent; on a quiet machine it is less than half of this.
const SHARE: f64 = 20.0;

/// A picture's script and style are smaller, unpacked, in bytes.
const SIZE: u64 = 26_000;

/// What is typed, and how it is told in the end.
const CONTAINER: &str = "\
1>  ==> it.processes.length === 2 && it.processes.every((one) => Object.keys(one.ns).length === 0)
1> cargo run -p step10 run ==> it.processes.some((one) => one.command === '/bin/sh') && it.cgroups.length === 1
1> echo foobar > test; rm /etc/passwd ==> it.overlays[0]?.written.length === 2
1> ping -c 2 10.20.30.1 > /dev/null ==> it.links.some((link) => link.name === 'eth0' && link.sent >= 4)
1> i=0; while [ $i -lt 30 ]; do sleep 12345 & i=$((i + 1)); done ==> it.cgroups[0]?.pids.refused > 0 && it.processes.filter((one) => one.command === 'sleep 12345').length === 18
1> exit ==> it.processes.length === 2 && it.processes.every((one) => Object.keys(one.ns).length === 0) && it.cgroups.length === 0 && it.links.length === 2
";

/// A page that holds nothing else.
const PAGE: &str = "<!doctype html><html class='js light' lang=en><meta charset=utf-8><title>Linux</title>\
    <meta name=viewport content='width=device-width'><style>CSS body { margin: 12px; background: var(--bg); }</style>\
    <script type=module src=vm/vm.mjs></script><script type=module src=vm/picture.mjs></script>\
    <main><h1>Linux</h1><live-picture></live-picture><div style='overflow: auto'><linux-terminal></linux-terminal></div></main>";

/// How long something may take to be drawn.
const LIMIT: Duration = Duration::from_secs(30);

/// Types lines into the machine, and returns what the agent told after each, and what Node said.
fn told(assets: &Path, lines: &str) -> (Vec<Value>, String) {
    let script = project::root().unwrap().join("book/tests/picture.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(assets).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = node.stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), said)
}

/// The elements of a list that fit.
fn which(of: &Value, fits: impl Fn(&Value) -> bool) -> Vec<&Value> {
    of.as_array().unwrap().iter().filter(|it| fits(it)).collect()
}

#[test]
fn a_container_is_told_from_its_start_to_its_end() {
    let Some(assets) = assets("a_container_is_told_from_its_start_to_its_end") else { return };
    let (told, said) = told(&assets, CONTAINER);
    print!("{said}");
    let [before, runs, written, pings, full, after, cpu] = told.try_into().unwrap();

    // Its first process is 1 in there, in namespaces that its parent only shares in part.
    let first = which(&runs["processes"], |it| it["pids"][1] == 1)[0];
    let parent = which(&runs["processes"], |it| it["pid"] == first["parent"])[0];
    for kind in ["mnt", "net", "uts"] {
        assert_eq!(first["ns"][kind], parent["ns"][kind], "{kind}");
        assert!(runs["host"][kind] != first["ns"][kind] && first["ns"][kind].is_u64(), "{kind}");
    }
    assert!(parent["ns"]["pid"].is_null() && first["ns"]["pid"].is_u64());
    assert_eq!(parent["pids"], json!([parent["pid"]]));
    assert_eq!(first["root"], "/run/merged");
    assert_eq!(first["cgroup"], format!("/mydocker-{}", parent["pid"]));
    assert_eq!(runs["hostnames"][first["ns"]["uts"].to_string()], "container");
    assert_eq!(runs["hostnames"][runs["host"]["uts"].to_string()], "host");

    // The layers of its root, and the way out.
    let overlay = &runs["overlays"][0];
    let layers = [&overlay["ns"], &overlay["at"], &overlay["upper"], &overlay["written"]];
    assert_eq!(json!(layers), json!([first["ns"]["mnt"], "/run/merged", "/run/upper", []]));
    assert_eq!(written["overlays"][0]["written"], json!(["-/etc/passwd", "/test"]));
    let bridge = which(&pings["links"], |it| it["kind"] == "bridge")[0];
    let port = which(&pings["links"], |it| it["master"] == bridge["index"])[0];
    let eth0 = which(&pings["links"], |it| it["name"] == "eth0")[0];
    assert_eq!(bridge["addresses"], json!(["10.20.30.1/24"]));
    assert_eq!(port["peer"], json!({"ns": first["ns"]["net"], "index": eth0["index"]}));
    assert_eq!(eth0["peer"], json!({"ns": port["ns"], "index": port["index"]}));
    assert_eq!(eth0["addresses"], json!(["10.20.30.40/24"]));
    assert!(port["received"].as_u64().unwrap() >= 4, "{port}");

    // The fork bomb.
    let pids = &full["cgroups"][0]["pids"];
    assert_eq!(json!([pids["current"], pids["max"]]), json!([20, 20]));
    assert_eq!(which(&full["processes"], |it| it["ns"]["pid"] == first["ns"]["pid"]).len(), 20);

    // Nothing of it is left but the bridge.
    assert_eq!(which(&after["links"], |it| it["kind"] != "loopback").len(), 1);
    assert_eq!(after["overlays"], json!([]));
    assert_eq!(after["processes"], before["processes"]);

    let share = cpu["share"].as_f64().unwrap();
    println!("the agent takes {share:.1} % of the guest");
    assert!(share < SHARE, "{share} %");
}

/// Waits until the page says yes.
fn until(browser: &mut Browser, what: &str) {
    let start = Instant::now();
    while browser.run(what) != true {
        let shown = "document.querySelector('live-picture').innerText";
        assert!(start.elapsed() < LIMIT, "never {what}: {}", browser.run(shown));
        thread::sleep(Duration::from_millis(50));
    }
}

/// Types a line into the container's pane.
fn types(browser: &mut Browser, line: &str) {
    let keys = json!(format!("{line}\n"));
    browser.run(&format!("document.querySelector('linux-terminal').panes[0].press({keys})"));
}

/// Keeps pictures of the page, narrow and wide, light and dark.
fn takes_pictures(browser: &mut Browser, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("picture");
    fs::create_dir_all(&folder).unwrap();
    for (width, dark) in [(390, false), (390, true), (1200, true), (1200, false)] {
        browser.looks(width, false);
        let theme = if dark { "navy" } else { "light" };
        browser.run(&format!("document.documentElement.className = 'js {theme}'"));
        let wide = browser.run("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= width.into(), "{name} is {wide} wide at {width}");
        // What has just appeared does so for a moment.
        thread::sleep(Duration::from_secs(1));
        let clip = browser.run("(({ x, y, width, height }) => ({ x, y, width, height, scale: 1 }))(document.querySelector('live-picture').getBoundingClientRect())");
        let whole = json!({"captureBeyondViewport": true, "clip": clip});
        let picture = browser.call("Page.captureScreenshot", &whole);
        let bytes = BASE64.decode(picture["data"].as_str().unwrap().as_bytes()).unwrap();
        fs::write(folder.join(format!("{name}-{width}-{theme}.png")), bytes).unwrap();
    }
}

#[test]
fn the_picture_shows_what_the_reader_types() {
    let name = "the_picture_shows_what_the_reader_types";
    let Some(assets) = assets(name) else { return };
    let size =
        ["picture.mjs", "picture.css"].map(|file| assets.join(file).metadata().unwrap().len());
    println!("the picture: {size:?} bytes");
    assert!(size.iter().sum::<u64>() < SIZE, "{size:?}");
    if Command::new("chromium").arg("--version").output().is_err() {
        testing::skip(name, "it needs chromium");
        return;
    }
    let root = project::root().unwrap();
    let pages = tempfile::tempdir().unwrap();
    vm::add_to(&root, pages.path()).unwrap();
    let css = fs::read_to_string(root.join("book/theme/book.css")).unwrap();
    fs::write(pages.path().join("index.html"), PAGE.replace("CSS", &css)).unwrap();
    let book = Book::listen(&root, pages.path(), 0).unwrap();
    let address = book.address();
    thread::spawn(move || book.serve());
    let mut browser = Browser::start();
    browser.looks(1200, false);
    browser.call("Emulation.setScrollbarsHidden", &json!({"hidden": true}));
    browser.open(&address);
    browser.run("document.querySelector('linux-terminal').start()");
    let count = |what: &str, number: u32| {
        format!("document.querySelectorAll('live-picture {what}').length === {number}")
    };
    until(&mut browser, &count(".room", 1));
    takes_pictures(&mut browser, "host");

    // Two rooms, one in the other, which differ in the kinds that are their own.
    types(&mut browser, "cargo run -p step10 run");
    for (room, kinds) in
        [(".host > .room > .room", "pid"), (".host > .room", "mnt uts net"), (".host", "")]
    {
        until(
            &mut browser,
            &format!(
                "[...document.querySelectorAll('{room} > .spaces .own b')].map((it) => it.textContent).join(' ') === '{kinds}'"
            ),
        );
    }
    until(&mut browser, &count(".pairs li", 1));
    let news = browser.run("document.querySelector('.news').textContent");
    assert!(news.as_str().unwrap().contains("new"), "{news}");

    types(&mut browser, "echo foobar > test; rm /etc/passwd; ping -c 2 10.20.30.1");
    until(
        &mut browser,
        "document.querySelector('.layers .upper').textContent.includes('/etc/passwd removed, /test')",
    );
    until(&mut browser, "document.querySelector('.wire').textContent.match(/\\d+/)[0] >= 4");
    takes_pictures(&mut browser, "container");
    types(&mut browser, "i=0; while [ $i -lt 30 ]; do sleep 12345 & i=$((i + 1)); done");
    until(&mut browser, &count(".boxes.full .taken", 20));
    until(
        &mut browser,
        "document.querySelector('live-picture').textContent.includes('sleep 12345 × 18')",
    );
    takes_pictures(&mut browser, "full");

    // The same as text, with the keyboard alone.
    let hidden = "document.querySelector('.drawing').checkVisibility() === false";
    assert_eq!(browser.run(hidden), false);
    browser.run("document.querySelector('live-picture button').focus()");
    browser.press(" ");
    until(&mut browser, hidden);
    let text = browser.run("document.querySelector('.telling').innerText");
    for part in [
        "Room with its own pid",
        "inside 1: /proc/self/exe child",
        "20 of 20 processes: full",
        "veth",
    ] {
        assert!(text.as_str().unwrap().contains(part), "no {part:?} in {text}");
    }
    takes_pictures(&mut browser, "text");
    browser.press(" ");

    types(&mut browser, "exit");
    until(&mut browser, &count(".room", 1));
    until(&mut browser, &count(".card", 1));
    let news = browser.run("document.querySelector('.news').textContent");
    assert!(news.as_str().unwrap().contains("one: "), "{news}");
    let faults = browser.events("Runtime.exceptionThrown");
    assert!(faults.is_empty(), "{faults:?}");
}
