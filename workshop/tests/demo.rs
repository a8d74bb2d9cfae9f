//! The demonstrations: what they play is what the book shows, and nothing is left of them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::LocalFlags;
use workshop::pty::Terminal;
use workshop::steps::{self, Step};
use workshop::transcript::{self, redact};
use workshop::{kernel, project, testing};

const PATIENCE: Duration = Duration::from_secs(60);

/// Those that its chapter shows under "Run it", in the same order.
#[test]
fn every_demo_plays_sessions_of_its_chapter() {
    let root = project::root().unwrap();
    for step in steps::all().unwrap() {
        let chapter = root.join(format!("book/src/{}.md", step.folder));
        let chapter = fs::read_to_string(chapter).unwrap();
        let run_it = chapter.split("\n## ").find(|part| part.starts_with("Run it\n")).unwrap();
        let mut shown = run_it.lines();
        assert!(!step.demo.is_empty(), "{} has no demo", step.package);
        for name in &step.demo {
            let line = format!("{{{{#session {} {name}}}}}", step.package);
            assert!(shown.any(|it| it == line), "`Run it` in {}.md: {line}", step.folder);
            assert!(root.join(&step.folder).join(format!("tests/{name}.session")).is_file());
        }
    }
}

#[test]
fn every_demo_looks_as_it_was_recorded() {
    if !testing::root("every_demo_looks_as_it_was_recorded") {
        return;
    }
    for step in steps::all().unwrap() {
        let temporary = tempfile::tempdir().unwrap();
        let demo = Command::new(env!("CARGO_BIN_EXE_workshop"))
            .args(["demo", &step.package, "--auto", "--built", "--rootfs"])
            .arg(support::rootfs())
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let place = temporary.path().join(format!("workshop-{}-", demo.id()));
        let output = demo.wait_with_output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{shown}");
        let (nothing, sessions) = split(step, &shown);
        assert_eq!((nothing, sessions.len()), ("", step.demo.len()), "{shown}");
        for (index, (name, session)) in step.demo.iter().zip(sessions).enumerate() {
            let session = redact(session, Path::new(&format!("{}{index}", place.display())));
            transcript::holds(name, || assert_eq!(as_recorded(&session), recorded(step, name)));
        }
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }
}

/// What stands before the first session's title, and below each.
fn split<'a>(step: &Step, mut shown: &'a str) -> (&'a str, Vec<&'a str>) {
    let mut parts = Vec::new();
    for name in &step.demo {
        let title = format!("── step {:02}: {name} ──\n", step.number);
        let (before, after) = shown.split_once(&title).unwrap_or_else(|| panic!("{shown}"));
        parts.push(before);
        shown = after;
    }
    parts.push(shown);
    (parts[0], parts.split_off(1))
}

/// As a transcript says it.
fn as_recorded(session: &str) -> String {
    let text = session.strip_prefix("\n── first terminal ──\n").unwrap_or(session);
    let text = text.replace("── first terminal ──", "== first terminal");
    text.replace("── second terminal ──", "== second terminal").trim().to_string()
}

fn recorded(step: &Step, name: &str) -> String {
    let folder = project::root().unwrap().join(&step.folder).join("tests");
    let name = transcript::recorded(&folder, name);
    let snapshot = fs::read_to_string(folder.join(format!("snapshots/{name}.snap"))).unwrap();
    let (_, transcript) = snapshot.split_once("\n---\n").unwrap();
    transcript.trim().to_string()
}

/// A demo on a terminal, and somebody who presses keys.
struct Show {
    terminal: Terminal,
    temporary: tempfile::TempDir,
}

impl Show {
    fn starts(step: &str) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut words = vec![OsString::from("env"), "TMPDIR=".into()];
        words[1].push(temporary.path());
        words.extend([env!("CARGO_BIN_EXE_workshop"), "demo", step, "--built"].map(Into::into));
        words.extend(["--rootfs".into(), support::rootfs().into()]);
        let mut show = Self { terminal: Terminal::start_uncaged(&words).unwrap(), temporary };
        show.shows("q or Ctrl-C ends");
        show
    }

    fn shows(&mut self, text: &str) {
        self.terminal.wait_for(text, PATIENCE).unwrap();
    }

    fn presses(&mut self, keys: &str) {
        self.terminal.press(keys).unwrap();
    }

    /// It ends with this status, and everything is as it was.
    fn ends(&mut self, status: i32) {
        assert_eq!(self.terminal.end(PATIENCE).unwrap(), status, "{}", self.terminal.text());
        let untouched = Terminal::start_uncaged(&["true".into()]).unwrap();
        assert_eq!(self.terminal.modes().unwrap(), untouched.modes().unwrap());
        assert_eq!(fs::read_dir(self.temporary.path()).unwrap().count(), 0);
        let name = format!("workshop-{}-", self.terminal.process.id());
        let left = cgroups(Path::new("/sys/fs/cgroup"), &name);
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The cgroups below a folder whose names begin so.
fn cgroups(folder: &Path, name: &str) -> Vec<PathBuf> {
    let below = kernel::cgroups_below(folder);
    let is_one = |cgroup: &PathBuf| {
        cgroup.file_name().is_some_and(|it| it.display().to_string().starts_with(name))
    };
    let mut found: Vec<PathBuf> = below.iter().filter(|it| is_one(it)).cloned().collect();
    found.extend(below.iter().flat_map(|cgroup| cgroups(cgroup, name)));
    found
}

#[test]
fn a_key_types_the_next_line() {
    if !testing::root("a_key_types_the_next_line") {
        return;
    }
    let mut show = Show::starts("01");
    show.shows("$ ");
    thread::sleep(Duration::from_millis(200));
    assert!(show.terminal.text().ends_with("$ "), "it waits: {}", show.terminal.text());
    let modes = show.terminal.modes().unwrap().local_flags;
    assert!(!modes.intersects(LocalFlags::ECHO | LocalFlags::ISIG), "{modes:?}");
    show.presses(" ");
    show.shows("cargo run -p step01 run Hello, world\nRunning [Hello, world]\n$ ");
    show.presses("\n");
    show.shows("two words]\n$ ");
    show.presses("x");
    thread::sleep(Duration::from_millis(200));
    assert!(show.terminal.text().ends_with("$ "), "x is no key: {}", show.terminal.text());
    show.presses("s");
    show.shows("$ echo $?\n2\n");
    show.ends(0);
}

/// In the middle of a container, of a typed line, and from outside.
#[test]
fn whoever_stops_it_finds_everything_as_it_was() {
    if !testing::root("whoever_stops_it_finds_everything_as_it_was") {
        return;
    }
    let mut show = Show::starts("05");
    show.shows("$ ");
    show.presses("q");
    show.ends(0);

    let mut show = Show::starts("08");
    show.shows("$ ");
    show.presses("\n");
    show.shows("cargo");
    show.presses("\x03");
    show.ends(128 + 2);
    assert!(!show.terminal.text().contains("Running"), "{}", show.terminal.text());

    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut show = Show::starts("10");
        show.shows("$ ");
        show.presses("\n");
        show.shows("# ");
        kill(show.terminal.pid(), signal).unwrap();
        show.ends(128 + signal as i32);
    }
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let demo = Command::new(env!("CARGO_BIN_EXE_workshop"))
        .args(["demo", "05", "--built"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(demo.stderr).unwrap();
    assert_eq!(demo.status.code(), Some(1));
    assert_eq!(
        said,
        "error: cannot wait for a key between the commands: stdin is no terminal. To go on without: --auto\n"
    );
    assert!(demo.stdout.is_empty());
}
