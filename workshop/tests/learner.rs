//! A learner on a terminal, from nothing to step 10.
//!
//! Their crate is compiled in a folder of its own, so that the target folder of this workspace stays
//! as it is.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use support::learner::Project;
use support::left::{self, Orphans};
use workshop::checks::mistakes;
use workshop::mountinfo::Mount;
use workshop::pty::Terminal;
use workshop::steps::{self, Sabotage, Step};
use workshop::wait::until;
use workshop::{diff, mountinfo, patch, project, testing};

/// The first build compiles all dependencies, beside other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// A shell on a terminal, in the folder of a workshop, on a machine with a network and mounts of its
/// own.
struct Learner {
    project: Project,
    terminal: Terminal,
    bin: PathBuf,
    /// What there was before the first check
    orphans: Orphans,
    links: Vec<String>,
    mounts: Vec<Mount>,
}

impl Learner {
    fn new(name: &str) -> Self {
        let project = Project::new(name);
        let bin = project.folder.join("target/debug");
        fs::create_dir_all(&bin).unwrap();
        let _ = fs::remove_file(project.folder.join("rootfs"));
        symlink(support::rootfs(), project.folder.join("rootfs")).unwrap();
        let program = bin.join("workshop");
        let _ = fs::remove_file(&program);
        fs::copy(env!("CARGO_BIN_EXE_workshop"), &program).unwrap();
        // Where `cargo workshop` is typed, and root is not to be asked for again.
        fs::write(bin.join("workshop-proved"), "").unwrap();
        let shell = format!("cd '{}' && exec sh", project.folder.display());
        let shell = ["unshare", "--net", "--mount", "/bin/sh", "-c", &shell];
        let mut terminal = Terminal::start_uncaged(&shell.map(OsString::from)).unwrap();
        terminal.press("PS1='ready> ' PAGER=cat TMPDIR=$PWD/tmp; export PAGER TMPDIR\n").unwrap();
        terminal.press("mkdir -p tmp; stty cols 100; unset NO_COLOR; export NO_COLOR=1\n").unwrap();
        terminal.press("workshop() { target/debug/workshop \"$@\"; echo status $?; }\n").unwrap();
        terminal.press("echo here I $((1 + 0))am\n").unwrap();
        terminal.wait_for("here I 1am\n", PATIENCE).unwrap();
        let orphans = Orphans::before(&project.folder.join("tmp"));
        let links = left::links(terminal.process.id());
        let mounts = mounts(&terminal);
        Self { project, terminal, bin, orphans, links, mounts }
    }

    /// Types a command and returns what it showed, if its exit status is this.
    fn types(&mut self, words: &str, status: i32) -> String {
        self.terminal.press(&format!("workshop {words}\n")).unwrap();
        let shown = self.terminal.wait_for("\nstatus ", PATIENCE).unwrap();
        let code = self.terminal.wait_for("\n", PATIENCE).unwrap();
        assert_eq!(code.trim(), status.to_string(), "workshop {words}: {shown}");
        shown
    }

    fn saves(&self, source: &str) {
        self.project.write("mine/src/main.rs", source);
    }

    fn official(&self, step: &Step) -> String {
        diff::read(&self.project.folder, step).unwrap()
    }

    fn wrong(&self, step: &Step, sabotage: &Sabotage) -> String {
        let patch = project::root()
            .unwrap()
            .join(format!("workshop/sabotage/{}/{}.patch", step.package, sabotage.name));
        patch::apply(&self.official(step), &fs::read_to_string(patch).unwrap()).unwrap()
    }
}

/// What a mistake is called, without the line breaks that a terminal puts in.
fn says(shown: &str, sabotage: &Sabotage) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mistake = mistakes::all().find(|it| it.name == sabotage.mistake).unwrap();
    words(shown).contains(&words(mistake.says))
}

fn mounts(terminal: &Terminal) -> Vec<Mount> {
    mountinfo::of(terminal.pid()).unwrap()
}

/// Neither processes nor folders, cgroups, links and mounts.
fn nothing_is_left_of_checks(learner: &Learner) {
    let left = fs::read_dir(learner.project.folder.join("tmp")).unwrap().flatten();
    assert_eq!(left.map(|it| it.path()).collect::<Vec<_>>(), [""; 0].map(PathBuf::from));
    let programs = fs::read_dir(&learner.bin).unwrap().flatten().map(|it| it.path());
    assert_eq!(left::running(&programs.collect::<Vec<_>>()), [""; 0]);
    assert_eq!(learner.orphans.since(), [""; 0].map(PathBuf::from).into());
    assert_eq!(left::links(learner.terminal.process.id()), learner.links);
    assert_eq!(mounts(&learner.terminal), learner.mounts);
}

fn number(step: &Step) -> String {
    format!("{:02}", step.number)
}

#[test]
fn a_learner_goes_from_nothing_to_step_10() {
    if !testing::root("a_learner_goes_from_nothing_to_step_10") {
        return;
    }
    let mut learner = Learner::new("ladder");
    let home = learner.types("", 0);
    assert!(home.contains("cargo workshop start 01"), "{home}");
    assert!(learner.types("check", 1).contains("cargo workshop start 01"));
    for round in 0..2 {
        for step in steps::all().unwrap() {
            let name = number(step);
            let begun = if round == 0 || step.number > 1 { "start" } else { "start 01" };
            let started = learner.types(begun, 0);
            assert!(started.contains(&format!("Step {name}, {}", step.title)), "{started}");
            if step.number > 1 {
                assert!(started.contains("is your own code"), "{started}");
            }
            // The starting point builds, and is what the step before was.
            let red = learner.types("check", 1);
            assert!(red.contains("do not hold") && !red.contains("could not compile"), "{red}");
            if round == 0 {
                errs(&mut learner, step);
                interrupts(&mut learner, step);
            }
            learner.saves(&learner.official(step));
            let green = learner.types("check", 0);
            assert!(green.contains(", all hold"), "{green}");
            assert!(learner.types("diff mine", 0).contains("No line of code differs"));
            tries(&mut learner, step);
            let progress = learner.project.read("progress.txt");
            assert!(progress.contains(&format!("{} done ", step.title)), "{progress}");
        }
        assert!(learner.types("start", 1).contains("step 10 was the last one"));
    }
    let home = learner.types("", 0);
    assert_eq!(home.matches("(done)").count(), 10, "{home}");
    nothing_is_left_of_checks(&learner);
}

/// Their own container, as the book says to start it.
fn tries(learner: &mut Learner, step: &Step) {
    let words = if step.number == 1 { "Hello, world" } else { "echo Hello, world" };
    learner.terminal.press(&format!("cargo mine run {words}; echo status $?\n")).unwrap();
    let shown = learner.terminal.wait_for("\nstatus 0\n", PATIENCE).unwrap();
    assert!(shown.contains("Running [") && shown.contains("Hello, world"), "{shown}");
    if step.title == "network" {
        // Of what they run themselves the bridge stays, and nothing else.
        learner.terminal.press("ip link delete mydocker0; echo status $?\n").unwrap();
        learner.terminal.wait_for("status 0\n", PATIENCE).unwrap();
    }
}

/// A typical mistake, what the checks say of it, and the hints.
fn errs(learner: &mut Learner, step: &Step) {
    let sabotage = &step.sabotage[0];
    learner.saves(&learner.wrong(step, sabotage));
    let red = learner.types("check", 1);
    assert!(says(&red, sabotage), "{}: {red}", sabotage.name);
    assert!(red.contains("expected") && red.contains("the kernel says"), "{red}");
    assert!(red.contains("see it by hand") && red.contains("cargo workshop hint"), "{red}");
    let first = learner.types("hint", 0);
    let nudges: Vec<_> = steps::all().unwrap().iter().flat_map(|step| &step.nudge).collect();
    let nudge = nudges.iter().find(|nudge| nudge.red.contains(&sabotage.red[0])).unwrap();
    assert!(first.contains("Hint 1 of 3") && first.contains(&nudge.hint[..40]), "{first}");
    assert!(learner.types("hint", 0).contains("Hint 2 of 3"));
    assert!(learner.types("hint", 0).contains("Hint 3 of 3"));
    assert!(learner.types("diff mine", 0).contains('+'));
    // What is wrong for the compiler is shown in its words.
    learner.saves("fn main() { let x: u8 = \"\"; }\n");
    let broken = learner.types("check", 1);
    assert!(broken.contains("error[E0308]: mismatched types"), "{broken}");
    assert!(broken.contains("Mend what the compiler says above"), "{broken}");
}

/// Ctrl-C while it compiles, and while the checks run.
fn interrupts(learner: &mut Learner, step: &Step) {
    learner.saves(&format!("{}// Once more.\n", learner.official(step)));
    for appears in ["Compiling mine", " as step "] {
        learner.terminal.press("workshop check\n").unwrap();
        learner.terminal.wait_for(appears, PATIENCE).unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(step.number) * 20));
        learner.terminal.press("\x03").unwrap();
        learner.terminal.press("\necho $((40 + 2))\n").unwrap();
        learner.terminal.wait_for("42\n", PATIENCE).unwrap();
        nothing_is_left_of_checks(learner);
    }
}

#[test]
fn a_learner_watches() {
    if !testing::root("a_learner_watches") {
        return;
    }
    let mut learner = Learner::new("watch");
    let step = Step::find("03").unwrap();
    learner.types("catch-up 03", 0);
    let before = learner.terminal.modes().unwrap();
    learner.terminal.press("workshop check --watch\n").unwrap();
    let keys = "h hint  d diff against the official step  n next  q quit\n";
    let red = learner.terminal.wait_for(keys, PATIENCE).unwrap();
    assert!(red.contains("do not hold"), "{red}");
    learner.terminal.press("h").unwrap();
    let hint = learner.terminal.wait_for(keys, PATIENCE).unwrap();
    assert!(hint.contains("Hint 1 of 3 for step 03, uts, since uts-namespace was red"), "{hint}");
    learner.terminal.press("d").unwrap();
    let difference = learner.terminal.wait_for(keys, PATIENCE).unwrap();
    assert!(difference.contains("CLONE_NEWUTS"), "{difference}");
    learner.saves("broken\n");
    assert!(learner.terminal.wait_for(keys, PATIENCE).unwrap().contains("error: "));
    learner.saves(&learner.official(step));
    let green = learner.terminal.wait_for(keys, PATIENCE).unwrap();
    assert!(green.contains(", all hold"), "{green}");
    learner.terminal.press("n").unwrap();
    let next = learner.terminal.wait_for(keys, PATIENCE).unwrap();
    assert!(next.contains("Step 04, child: mine/src/main.rs is your own code"), "{next}");
    learner.terminal.press("n").unwrap();
    let stay = learner.terminal.wait_for(keys, PATIENCE).unwrap();
    assert!(stay.contains("its checks did not all hold yet"), "{stay}");
    let reads_keys = || learner.terminal.modes().unwrap() != before;
    assert!(until(PATIENCE, reads_keys), "keys are read one by one");
    learner.terminal.press("q").unwrap();
    learner.terminal.wait_for("status 1\n", PATIENCE).unwrap();
    assert_eq!(learner.terminal.modes().unwrap(), before, "the terminal is as it was");
    assert_eq!(learner.types("hint 03", 0).matches("Hint").count(), 1, "and one can type");
    nothing_is_left_of_checks(&learner);
}

/// Every known mistake, typed by a learner, is told by its name's explanation.
#[test]
fn a_learner_types_the_known_mistakes() {
    if !testing::root("a_learner_types_the_known_mistakes") {
        return;
    }
    let mut learner = Learner::new("mistakes");
    for step in steps::all().unwrap() {
        learner.types(&format!("catch-up {}", number(step)), 0);
        // The first has been typed by the learner on the ladder.
        for sabotage in &step.sabotage[1..] {
            learner.saves(&learner.wrong(step, sabotage));
            let red = learner.types(&format!("check {}", number(step)), 1);
            assert!(says(&red, sabotage), "{} {}: {red}", step.title, sabotage.name);
        }
    }
    nothing_is_left_of_checks(&learner);
}
