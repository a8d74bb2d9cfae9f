//! `cargo workshop` alone: it proves every step once, and shows the ladder whatever comes of that.
//!
//! The steps have been built already: cargo only notes what it is asked to build.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::learner::Project;
use workshop::steps::{self, Step};
use workshop::{project, testing};

/// A workshop on a machine on which it has never run.
struct Home {
    project: Project,
    bin: PathBuf,
}

impl Home {
    fn new(name: &str) -> Self {
        let project = Project::new(name);
        let bin = project.folder.join("target/debug");
        let _ = fs::remove_dir_all(&bin);
        fs::create_dir_all(&bin).unwrap();
        let _ = fs::remove_file(project.folder.join("rootfs"));
        symlink(support::rootfs(), project.folder.join("rootfs")).unwrap();
        copy(Path::new(env!("CARGO_BIN_EXE_workshop")), &bin.join("workshop"));
        for step in steps::all().unwrap() {
            let built = project::binaries().unwrap().join(&step.package);
            symlink(built, bin.join(&step.package)).unwrap();
        }
        let home = Self { project, bin };
        home.cargo("echo \"$@\" >> target/debug/builds");
        home
    }

    fn cargo(&self, does: &str) {
        script(&self.bin.join("cargo"), does);
    }

    /// Runs it as root, with what setpriv(1) leaves of that.
    fn visit(&self, setpriv: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.args(setpriv).arg("--").arg(self.bin.join("workshop"));
        command.env("CARGO", self.bin.join("cargo")).env("NO_COLOR", "1");
        command.current_dir(&self.project.folder).output().unwrap()
    }

    fn is_proved(&self) -> bool {
        self.bin.join("workshop-proved").exists()
    }

    /// What cargo has been asked for since this was asked last.
    fn builds(&self) -> Vec<String> {
        let path = self.bin.join("builds");
        let builds = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        builds.lines().map(str::to_string).collect()
    }
}

// By other programs: a test beside this one could start something while a file is open here, and
// nothing can be run that somebody may write to.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

fn script(path: &Path, does: &str) {
    let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
    let written = Command::new("sh").args(["-c", write]).arg(path).arg(does).status();
    assert!(written.unwrap().success());
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The lines that tell what became of a step.
fn proofs(said: &str) -> Vec<&str> {
    let marked = |line: &&str| ["  ✓ ", "  ✗ ", "  - "].iter().any(|it| line.starts_with(it));
    said.lines().take_while(|line| *line != "The ladder").filter(marked).collect()
}

fn ends_with_the_ladder(said: &str) {
    let (_, ladder) = said.split_once("\nThe ladder\n").unwrap();
    for step in steps::all().unwrap() {
        assert!(ladder.contains(&format!("  {:02} {} ", step.number, step.title)), "{said}");
    }
    assert!(ladder.contains("Write your own  cargo workshop start 01\n"), "{said}");
}

#[test]
fn every_step_is_proved_once() {
    if !testing::root("every_step_is_proved_once") {
        return;
    }
    let home = Home::new("home-once");
    let first = home.visit(&[]);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    let text = said(&first);
    let proofs = proofs(&text);
    assert_eq!(proofs.len(), 10, "{text}");
    for (step, proof) in steps::all().unwrap().iter().zip(proofs) {
        assert!(proof.starts_with(&format!("  ✓ {:02} {} ", step.number, step.title)), "{proof}");
        assert!(proof.split_whitespace().nth(3).is_some(), "what the kernel says: {proof}");
    }
    ends_with_the_ladder(&text);
    let builds = home.builds();
    assert_eq!(builds.len(), 1, "{builds:?}");
    for step in steps::all().unwrap() {
        assert!(builds[0].contains(&format!("--package {}", step.package)), "{builds:?}");
    }
    assert!(home.is_proved());

    let second = home.visit(&[]);
    assert_eq!(second.status.code(), Some(0), "{}", said(&second));
    assert_eq!(self::proofs(&said(&second)), [""; 0]);
    ends_with_the_ladder(&said(&second));
    assert_eq!(home.builds(), [""; 0]);
}

#[test]
fn a_wrong_step_is_shown_until_it_is_mended() {
    if !testing::root("a_wrong_step_is_shown_until_it_is_mended") {
        return;
    }
    let home = Home::new("home-wrong");
    let right = fs::read_link(home.bin.join("step03")).unwrap();
    fs::remove_file(home.bin.join("step03")).unwrap();
    // It runs the command, in no namespace of its own.
    script(&home.bin.join("step03"), "echo \"Running [$*]\"; shift; exec \"$@\"");
    for _ in 0..2 {
        let output = home.visit(&[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let text = said(&output);
        let red: Vec<_> = proofs(&text).into_iter().filter(|it| it.starts_with("  ✗ ")).collect();
        assert!(red.len() == 1 && red[0].starts_with("  ✗ 03 uts "), "{text}");
        assert!(text.contains("What is wrong there: cargo workshop check all\n"), "{text}");
        ends_with_the_ladder(&text);
        assert!(!home.is_proved());
    }
    fs::remove_file(home.bin.join("step03")).unwrap();
    symlink(right, home.bin.join("step03")).unwrap();
    assert_eq!(home.visit(&[]).status.code(), Some(0));
    assert!(home.is_proved());
}

#[test]
fn what_cannot_be_built_is_not_proved() {
    if !testing::root("what_cannot_be_built_is_not_proved") {
        return;
    }
    let home = Home::new("home-broken");
    home.cargo("echo 'error: it does not compile' >&2; exit 101");
    let output = home.visit(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.starts_with("error: it does not compile\n"), "{error}");
    assert!(error.contains("error: cannot prove the steps: cannot build step01, "), "{error}");
    assert_eq!(proofs(&said(&output)), [""; 0]);
    ends_with_the_ladder(&String::from_utf8(output.stdout).unwrap());
    assert!(!home.is_proved());
}

/// Root without the right to create namespaces, as in most containers.
#[test]
fn what_a_machine_cannot_run_is_skipped_and_is_not_wrong() {
    if !testing::root("what_a_machine_cannot_run_is_skipped_and_is_not_wrong") {
        return;
    }
    let home = Home::new("home-weak");
    let output = home.visit(&["--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = said(&output);
    let proofs = proofs(&text);
    assert_eq!(proofs.len(), 10, "{text}");
    let uts = Step::find("03").unwrap();
    let uts = proofs.iter().find(|it| it.contains(&format!(" {:02} ", uts.number))).unwrap();
    assert!(uts.starts_with("  - 03 uts ") && uts.contains("skipped, for want of "), "{text}");
    assert!(proofs.iter().all(|it| !it.starts_with("  ✗ ")), "{text}");
    assert!(text.contains("What is missing here: cargo workshop doctor\n"), "{text}");
    ends_with_the_ladder(&text);
    // It will lack the same the next time.
    assert!(home.is_proved());
}
