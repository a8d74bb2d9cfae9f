//! The Linux of the page, without a browser: Node restores the saved machine and types what the
//! pages' sessions type. On cgroup v2, and without root.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/assets.rs"]
mod assets;
#[path = "support/seen.rs"]
mod seen;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use assets::assets;
use book::linux;
use book::vm::site::LOADED;
use seen::{seen, shown};
use workshop::checks::{self, Stage};
use workshop::project;
use workshop::steps::{self, Step};
use workshop::transcript::{END, lines};

/// A page loads no more before it has a prompt, packed as servers do.
const WIRE: usize = 5_000_000;

/// The sessions that pages with Linux show and can run: their paths, without the ending.
fn sessions(root: &Path) -> Vec<PathBuf> {
    let mut sessions = BTreeSet::new();
    for entry in fs::read_dir(root.join("book/src")).unwrap() {
        let text = fs::read(entry.unwrap().path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let Some(at) = ["{{#step ", "{{#linux}}"].iter().find_map(|it| text.find(it)) else {
            continue;
        };
        for directive in text[at..].split("{{#session ").skip(1) {
            let words: Vec<_> = directive.split([' ', '}']).take(2).collect();
            let folder = match words[0] {
                "book" => "book",
                step => &Step::find(step).unwrap().folder,
            };
            sessions.insert(root.join(folder).join("tests").join(words[1]));
        }
    }
    let plays = |path: &PathBuf| {
        let session = fs::read_to_string(path.with_extension("session")).unwrap();
        lines(&session, 2).all(|line| linux::lacks(line).is_none())
    };
    sessions.into_iter().filter(plays).collect()
}

/// What was recorded on cgroup v2, without what insta writes above.
fn recorded(session: &Path) -> String {
    let name = session.file_name().unwrap().to_str().unwrap();
    let file = session.with_file_name("snapshots").join(format!("{name}.snap"));
    let text = fs::read_to_string(file).unwrap();
    text.splitn(3, "---\n").nth(2).unwrap().to_string()
}

/// Plays sessions in the machine, each in a new one, and returns what they showed.
fn play(root: &Path, assets: &Path, sessions: &[PathBuf]) -> Vec<String> {
    let start = Instant::now();
    let mut node = Command::new("node");
    let output =
        node.arg(root.join("book/vm/play.mjs")).arg(assets).args(sessions).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    print!("{} sessions in {:.0} s\n{said}", sessions.len(), start.elapsed().as_secs_f32());
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(END).take(sessions.len()).map(str::to_string).collect()
}

/// Types lines in a new machine.
fn types(assets: &Path, lines: &[String]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("typed.session");
    fs::write(&session, lines.join("\n")).unwrap();
    play(&project::root().unwrap(), assets, &[session]).remove(0)
}

#[test]
fn all_sessions_look_the_same_in_the_page() {
    let Some(assets) = assets("all_sessions_look_the_same_in_the_page") else { return };
    let root = project::root().unwrap();
    let sessions = sessions(&root);
    let files: Vec<_> = sessions.iter().map(|it| it.with_extension("session")).collect();
    let transcripts = play(&root, &assets, &files);
    let mut faults = Vec::new();
    for (session, transcript) in sessions.iter().zip(transcripts) {
        let name = session.strip_prefix(&root).unwrap().display().to_string();
        let shown = shown(&transcript);
        let recorded = seen(&recorded(session));
        if shown != recorded {
            faults.push(format!("== {name}\n{shown}\n== recorded\n{recorded}\n"));
        }
    }
    assert!(sessions.len() > 30, "there are only {}", sessions.len());
    assert!(faults.is_empty(), "{} of {}\n{}", faults.len(), sessions.len(), faults.join("\n"));
}

#[test]
fn every_step_passes_its_checks_in_the_page() {
    let Some(assets) = assets("every_step_passes_its_checks_in_the_page") else { return };
    let all = steps::all().unwrap();
    let line = |step: &Step| format!("1> cargo workshop check {:02}; echo status $?", step.number);
    let shown = types(&assets, &all.iter().map(line).collect::<Vec<_>>());
    println!("{shown}");
    for step in all {
        let count = checks::valid_at(Stage::Step(step.number)).count();
        let head = format!("as step {:02}, {}\n", step.number, step.title);
        let (_, after) = shown.split_once(&head).unwrap();
        let (part, _) = after.split_once("\nstatus ").unwrap();
        assert_eq!(part.matches("  ✓ ").count(), count, "step {:02}: {part}", step.number);
        assert!(part.ends_with(&format!("{count} checks, all hold")), "{part}");
    }
    assert_eq!(shown.matches("\nstatus 0\n").count(), all.len());
}

#[test]
fn riddles_turn_red_in_the_page_what_they_name() {
    let Some(assets) = assets("riddles_turn_red_in_the_page_what_they_name") else { return };
    let riddles: Vec<_> =
        [1, 6, 10].iter().map(|number| &steps::all().unwrap()[number - 1]).collect();
    let line = |step: &&Step| {
        let name = &step.sabotage[0].name;
        format!("1> cargo workshop break {:02} {name} --answer; echo status $?", step.number)
    };
    let shown = types(&assets, &riddles.iter().map(line).collect::<Vec<_>>());
    println!("{shown}");
    for (step, shown) in riddles.iter().zip(shown.split("\nstatus 0\n")) {
        let red: Vec<_> = shown.lines().filter_map(|line| line.strip_prefix("  ✗ ")).collect();
        let red: Vec<_> = red.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(red, step.sabotage[0].red, "step {:02}: {shown}", step.number);
    }
}

/// Riddle `swap` of step 05 makes a process that is the first in its namespace too late.
#[test]
fn while_a_riddle_is_asked_the_step_is_the_wrong_one() {
    let Some(assets) = assets("while_a_riddle_is_asked_the_step_is_the_wrong_one") else { return };
    let step = "cargo run -p step05 run /bin/true";
    let lines = [
        format!("2> {step}"),
        "1> cargo workshop break 05 swap ...".to_string(),
        format!("2> sleep 5; {step}"),
        "1> process-1".to_string(),
        format!("2> {step}"),
        "1> cargo workshop break 05 swap ...".to_string(),
        "1> ^C".to_string(),
        format!("2> {step}"),
    ];
    let shown = types(&assets, &lines);
    println!("{shown}");
    let firsts = shown.lines().filter(|line| line.starts_with("Running in child"));
    let firsts: Vec<_> = firsts.map(|line| line.ends_with(" as 1")).collect();
    assert_eq!(firsts, [true, false, true, true]);
    assert!(shown.contains("process-1            red, as you said"));
}

#[test]
fn a_page_loads_little() {
    let Some(assets) = assets("a_page_loads_little") else { return };
    let size = book::vm::site::wire_size(&assets).unwrap();
    println!("over the wire until the prompt: {} kB, of which the state {} kB", size / 1000, {
        fs::metadata(assets.join("state.bin.zst")).unwrap().len() / 1000
    });
    assert!(size < WIRE, "{size} bytes");
}

/// What a page does: it restores the machine, and types.
const TYPES: &str = r#"
const { Pane, PROMPT, restore } = await import(process.argv[1]);
const vm = await restore(process.argv[2]);
const pane = new Pane(vm, 0);
await new Promise((done) => vm.add_listener("emulator-started", done));
pane.press("echo $((6 * 7))\n");
await pane.until("42\n");
await pane.until(PROMPT);
process.exit();
"#;

/// Kills programs while a slow connection brings them. A question that is taken back (108) is answered
/// first: an answer after that would come into memory that others have by then.
const KILLS: &str = r#"
const { Pane, PROMPT, restore, sleep } = await import(process.argv[1]);
const vm = await restore(process.argv[2]);
const pane = new Pane(vm, 0);
await new Promise((done) => vm.add_listener("emulator-started", done));
const { virtqueue, fs: files } = vm.v86.cpu.devices.virtio_9p;
const open = files.OpenInode.bind(files);
files.OpenInode = async (...what) => {
    await sleep(200);
    return open(...what);
};
const [asked, pop, answer] = [new Map(), virtqueue.pop_request, virtqueue.used_set_entry];
virtqueue.pop_request = () => {
    const request = pop.call(virtqueue);
    const bytes = request.cpu.read_blob(request.read_buffers[0].addr_low, 9);
    asked.set(request.head_idx, { type: bytes[4], tag: bytes[5] + 256 * bytes[6], takesBack: bytes[7] + 256 * bytes[8] });
    return request;
};
let count = 0;
virtqueue.used_set_entry = (index, head, length) => {
    const { type, takesBack } = asked.get(head);
    asked.delete(head);
    if (type === 108) {
        count += 1;
        if ([...asked.values()].some((it) => it.type !== 108 && it.tag === takesBack)) {
            throw new Error("what is taken back is not answered yet");
        }
    }
    answer.call(virtqueue, index, head, length);
};
pane.press(`sleep 0; for program in mawk cmp diff find free head ldd sort; do
    $program --version > /dev/null & sleep 0.1; kill -KILL $!; wait
done; sleep 1; echo $((6 * 7))\n`);
await pane.until("\n42\n");
process.exit(count > 0 ? 0 : 1);
"#;

#[test]
fn programs_that_are_killed_while_they_are_fetched_leave_linux_whole() {
    let name = "programs_that_are_killed_while_they_are_fetched_leave_linux_whole";
    let Some(assets) = assets(name) else { return };
    plays(KILLS, &assets);
}

#[test]
fn the_prompt_is_there_before_any_file_is_fetched() {
    let Some(assets) = assets("the_prompt_is_there_before_any_file_is_fetched") else { return };
    let without = tempfile::tempdir().unwrap();
    for name in LOADED {
        symlink(assets.join(name), without.path().join(name)).unwrap();
    }
    plays(TYPES, without.path());
}

/// Runs a script with these assets.
fn plays(script: &str, assets: &Path) {
    let machine = project::root().unwrap().join("book/vm/machine.mjs");
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-e", script]).arg(machine).arg(assets);
    let output = node.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
