//! The Linux of the page, without a browser: Node restores the saved machine and types what the
//! steps' sessions type. On cgroup v2, and without root.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use workshop::transcript::{END, redact};
use workshop::{project, steps, testing};

/// A page loads no more before it has a prompt, packed as servers do.
const WIRE: usize = 7_000_000;

/// The folder of the assets, unless they have not been built.
fn assets(test: &str) -> Option<PathBuf> {
    let site = project::root().unwrap().join("target/book-vm/site");
    let there = site.join("state.bin.zst").is_file();
    (there || testing::skip(test, "it needs the Linux of the page: cargo run -p book -- vm"))
        .then_some(site)
}

/// The steps' sessions: their paths, without the ending.
fn sessions(root: &Path) -> Vec<PathBuf> {
    let folders = steps::all().unwrap().iter().map(|step| root.join(&step.folder).join("tests"));
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap().flatten());
    let mut sessions: Vec<_> = files.map(|file| file.path().with_extension("")).collect();
    sessions.retain(|path| path.with_extension("session").is_file());
    sessions.sort();
    sessions
}

/// What was recorded on cgroup v2, without what insta writes above.
fn recorded(session: &Path) -> String {
    let name = session.file_name().unwrap().to_str().unwrap();
    let file = session.with_file_name("snapshots").join(format!("{name}.snap"));
    let text = fs::read_to_string(file).unwrap();
    text.splitn(3, "---\n").nth(2).unwrap().trim_end().to_string()
}

#[test]
#[ignore = "it needs minutes of building before: cargo run -p book -- vm"]
fn the_steps_sessions_look_the_same_in_the_page() {
    let Some(assets) = assets("the_steps_sessions_look_the_same_in_the_page") else { return };
    let root = project::root().unwrap();
    let sessions = sessions(&root);
    let start = Instant::now();
    let mut node = Command::new("node");
    node.arg(root.join("book/vm/play.mjs")).arg(&assets);
    node.args(sessions.iter().map(|session| session.with_extension("session")));
    let output = node.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    print!("{} sessions in {:.0} s\n{said}", sessions.len(), start.elapsed().as_secs_f32());
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut faults = Vec::new();
    for (session, transcript) in sessions.iter().zip(text.split(END)) {
        let name = session.strip_prefix(&root).unwrap().display().to_string();
        // The panes are consoles, where the recorded ones were pseudo-terminals.
        let transcript = transcript.replace("hvc0 ", "pts/0").replace("hvc1 ", "pts/0");
        let shown = redact(transcript.trim(), Path::new("/workshop"));
        if shown.trim_end() != recorded(session) {
            faults.push(format!("== {name}\n{shown}\n== recorded\n{}\n", recorded(session)));
        }
    }
    assert!(faults.is_empty(), "{} of {}\n{}", faults.len(), sessions.len(), faults.join("\n"));
}

#[test]
#[ignore = "it needs minutes of building before: cargo run -p book -- vm"]
fn a_page_loads_little() {
    let Some(assets) = assets("a_page_loads_little") else { return };
    let size = book::vm::site::wire_size(&assets).unwrap();
    println!("over the wire until the prompt: {} kB, of which the state {} kB", size / 1000, {
        fs::metadata(assets.join("state.bin.zst")).unwrap().len() / 1000
    });
    assert!(size < WIRE, "{size} bytes");
}
