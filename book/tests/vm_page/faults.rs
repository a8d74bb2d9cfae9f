//! What can go wrong is provoked, said in a line, and has a way on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::Browser;
use crate::{IS_IN_PANE, SITE, STATUS, chromium, says, shows, starts, step, waits};

const BUTTON: &str = "document.querySelector('linux-terminal .ways button').click()";

/// Opens a page on which a script has run before all others, and clicks.
fn clicks(browser: &mut Browser, script: &str) {
    let params = json!({"source": script});
    let script = browser.call("Page.addScriptToEvaluateOnNewDocument", &params);
    browser.open(&step(5));
    waits(browser, "document.querySelector('linux-terminal .start')");
    browser.run("document.querySelector('linux-terminal .start').click()");
    let params = json!({"identifier": script["identifier"]});
    browser.call("Page.removeScriptToEvaluateOnNewDocument", &params);
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn a_browser_without_webassembly_or_memory_is_told() {
    let name = "a_browser_without_webassembly_or_memory_is_told";
    let Some(mut browser) = chromium(name) else { return };
    clicks(&mut browser, "delete globalThis.WebAssembly");
    waits(&mut browser, &says("this browser has no WebAssembly"));
    // As a browser refuses memory, once.
    clicks(
        &mut browser,
        "const make = WebAssembly.instantiate;
        WebAssembly.instantiate = () => {
            WebAssembly.instantiate = make;
            return Promise.reject(new RangeError('could not allocate'));
        };",
    );
    waits(&mut browser, &says("there is too little memory"));
    browser.run(BUTTON);
    waits(&mut browser, &shows(0, "$ "));
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn a_failed_download_can_be_tried_again() {
    let Some(mut browser) = chromium("a_failed_download_can_be_tried_again") else { return };
    for file in ["state.bin.zst", "libv86.mjs", "xterm.css", "linux.mjs"] {
        let blocked = json!({"urls": [format!("*{file}*")]});
        browser.call("Network.setBlockedURLs", &blocked);
        clicks(&mut browser, "");
        waits(&mut browser, &says("Linux does not start in this page"));
        assert_eq!(browser.run(&says(file)), true, "{file}: {}", browser.run(STATUS));
        browser.call("Network.setBlockedURLs", &json!({"urls": []}));
        browser.run(BUTTON);
        waits(&mut browser, &shows(0, "$ "));
    }
}

/// Serves what the book's server does; but the connection breaks in the middle of the first state.
fn breaks_off(listener: &TcpListener) {
    let server = SITE.0.trim_start_matches("http://").trim_end_matches('/');
    let mut broken = false;
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut question =
            BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let first = question.next().unwrap_or_default();
        question.take_while(|line| !line.is_empty()).for_each(drop);
        let mut answer = Vec::new();
        let mut upstream = TcpStream::connect(server).unwrap();
        // The question for the next build, which waits, has no answer here.
        if first.contains("/.changed") {
            continue;
        }
        write!(upstream, "{first}\r\n\r\n").unwrap();
        upstream.read_to_end(&mut answer).unwrap();
        if first.contains("state.bin.zst") && !std::mem::replace(&mut broken, true) {
            answer.truncate(answer.len() / 2);
        }
        // A browser that has hung up wants none.
        let _ = stream.write_all(&answer);
    }
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn a_download_that_breaks_off_can_be_tried_again() {
    let name = "a_download_that_breaks_off_can_be_tried_again";
    let Some(mut browser) = chromium(name) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || breaks_off(&listener));
    browser.open(&step(5).replace(&SITE.0, &address));
    waits(&mut browser, "document.querySelector('linux-terminal .start')");
    browser.run("document.querySelector('linux-terminal .start').click()");
    waits(&mut browser, &says("state.bin.zst cannot be loaded"));
    browser.run(BUTTON);
    waits(&mut browser, &shows(0, "$ "));
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn a_machine_that_hangs_is_noticed_and_begun_anew() {
    let Some(mut browser) = chromium("a_machine_that_hangs_is_noticed_and_begun_anew") else {
        return;
    };
    starts(&mut browser, &step(5));
    browser.run("document.querySelector('linux-terminal').vm.stop()");
    browser.press("p");
    waits(&mut browser, &says("Linux does not answer"));
    browser.run(BUTTON);
    waits(&mut browser, &format!("{} && {}", shows(0, "$ "), IS_IN_PANE));
    browser.press("q");
    waits(&mut browser, &shows(0, "$ q"));
    assert_eq!(browser.run(&says("answer")), false);
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn what_comes_too_late_wakes_no_machine() {
    let Some(mut browser) = chromium("what_comes_too_late_wakes_no_machine") else { return };
    starts(&mut browser, &step(5));
    let late = "(async () => {
        const linux = document.querySelector('linux-terminal');
        const { vm } = linux;
        await linux.reset();
        vm.bus.send('virtio-console0-input-bytes', new Uint8Array([10]));
        return 'sent';
    })()";
    assert_eq!(browser.run(late), "sent");
}

/// Starts went wrong where v86 guessed the time, as it does when its clock says the same twice: see
/// `ticks` in linux.mjs.
#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn linux_starts_every_time_in_a_page_that_has_been_open_for_long() {
    let name = "linux_starts_every_time_in_a_page_that_has_been_open_for_long";
    let Some(mut browser) = chromium(name) else { return };
    clicks(
        &mut browser,
        "const now = performance.now.bind(performance); performance.now = () => 3.6e6 + now();
        const make = WebAssembly.instantiate;
        WebAssembly.instantiate = (code, imports) => {
            globalThis.clock ??= imports.env?.microtick;
            return make(code, imports);
        };",
    );
    waits(&mut browser, &shows(0, "$ "));
    // In nanoseconds, as the processor counts.
    let rises = "(() => {
        const read = () => Math.floor(clock() * 1e6);
        let last = read();
        return [...Array(100_000)].every(() => last < (last = read()));
    })()";
    assert_eq!(browser.run(rises), true);
    for start in 0..40 {
        // Not always at the same moment of a tick.
        thread::sleep(Duration::from_millis(start * 7 % 50));
        let started = browser.run("document.querySelector('linux-terminal').reset()");
        assert_eq!(started, true, "start {start}: {}", browser.run(STATUS));
    }
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn a_reset_while_it_starts_leaves_one_machine() {
    let Some(mut browser) = chromium("a_reset_while_it_starts_leaves_one_machine") else { return };
    starts(&mut browser, &step(5));
    let resets = "(async () => {
        const linux = document.querySelector('linux-terminal');
        const first = linux.reset();
        while (linux.vm || !linux.ready) {
            await new Promise((done) => setTimeout(done));
        }
        return await linux.reset() && first;
    })()";
    assert_eq!(browser.run(resets), true);
    // Each machine brings two.
    assert_eq!(browser.run("document.querySelectorAll('linux-terminal .xterm').length"), 2);
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn a_second_tab_has_a_machine_of_its_own_and_is_told() {
    let name = "a_second_tab_has_a_machine_of_its_own_and_is_told";
    let Some(mut browser) = chromium(name) else { return };
    starts(&mut browser, &step(5));
    assert_eq!(browser.run(&says("tab")), false);
    let inside =
        "document.querySelector('iframe.other').contentDocument?.querySelector('linux-terminal')";
    browser.run(
        "document.body.append(Object.assign(document.createElement('iframe'),
        {className: 'other', src: location.href, width: 800, height: 800}))",
    );
    waits(&mut browser, &format!("{inside}?.start"));
    browser.run(&format!("{inside}.start()"));
    waits(&mut browser, &format!("{inside}.status.textContent.includes('another tab')"));
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn linux_stops_while_nobody_looks() {
    let Some(mut browser) = chromium("linux_stops_while_nobody_looks") else { return };
    starts(&mut browser, &step(5));
    let runs = "document.querySelector('linux-terminal').vm.is_running()";
    for hidden in [true, false] {
        browser.run(&format!(
            "Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}});
            document.dispatchEvent(new Event('visibilitychange'))"
        ));
        waits(&mut browser, &format!("{runs} === {}", !hidden));
    }
    browser.press("p");
    waits(&mut browser, &shows(0, "$ p"));
}

#[test]
#[ignore = "minutes in two browsers, asked for by name: see book/README.md"]
fn back_from_another_page_linux_goes_on_or_can_be_started() {
    let name = "back_from_another_page_linux_goes_on_or_can_be_started";
    let Some(mut browser) = chromium(name) else { return };
    starts(&mut browser, &step(5));
    browser.press("p");
    waits(&mut browser, &shows(0, "$ p"));
    browser.run("location.href = 'glossary.html'");
    waits(
        &mut browser,
        "location.pathname === '/glossary.html' && document.readyState === 'complete'",
    );
    browser.run("history.back()");
    waits(&mut browser, "document.querySelector('linux-terminal .start')");
    let kept = browser.run("document.querySelector('linux-terminal').matches('.runs')") == true;
    println!(
        "the browser has kept the page: {kept} {:?}",
        browser.events("Page.backForwardCacheNotUsed")
    );
    if kept {
        waits(&mut browser, &says("goes on where it was"));
        browser.run("document.querySelector('linux-terminal').panes[0].terminal.focus()");
        browser.press("q");
        waits(&mut browser, &shows(0, "$ pq"));
    } else {
        browser.run("document.querySelector('linux-terminal .start').click()");
        waits(&mut browser, &shows(0, "$ "));
    }
    // As a browser says it to a page that it keeps.
    for event in ["pagehide", "pageshow"] {
        browser.run(&format!(
            "dispatchEvent(new PageTransitionEvent('{event}', {{persisted: true}}))"
        ));
        let runs = "document.querySelector('linux-terminal').vm.is_running()";
        waits(&mut browser, &format!("{runs} === {}", event == "pageshow"));
    }
    waits(&mut browser, &says("goes on where it was"));
}
