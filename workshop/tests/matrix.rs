//! The checks are checked: each step passes what holds for it, lacks what the next one brings, and
//! a program that only says the right words gets nowhere.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use workshop::checks::{self, Bench, Check, Kind};
use workshop::container::Subject;
use workshop::{project, testing};

fn official(step: u8) -> Subject {
    let binary = project::binaries().unwrap().join(format!("step{step:02}"));
    Subject { binary, words: vec!["run".into()] }
}

/// The names of the checks that do not hold, with what was found.
fn red<'a>(checks: impl Iterator<Item = &'a Check>, subject: &Subject) -> Vec<(&'a str, String)> {
    let bench = Bench::new(support::rootfs()).unwrap();
    checks
        .map(|check| (check.name, check.run(&bench, subject).unwrap()))
        .filter(|(_, verdict)| !verdict.holds)
        .map(|(name, verdict)| (name, format!("{}; expected {}", verdict.found, verdict.expected)))
        .collect()
}

fn new_at(step: u8) -> impl Iterator<Item = &'static Check> {
    checks::all().filter(move |check| check.since == step && check.kind == Kind::New)
}

#[test]
fn every_step_brings_at_least_three_new_checks() {
    for step in 1..=10 {
        assert!(new_at(step).count() >= 3, "step {step:02}");
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = checks::all().map(|check| check.name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn every_step_passes_what_holds_for_it() {
    if !testing::root("every_step_passes_what_holds_for_it") {
        return;
    }
    for step in 1..=10 {
        assert_eq!(red(checks::valid_at(step), &official(step)), [], "step {step:02}");
    }
}

#[test]
fn every_step_lacks_what_the_next_one_brings() {
    if !testing::root("every_step_lacks_what_the_next_one_brings") {
        return;
    }
    for step in 1..10 {
        let red = red(new_at(step + 1), &official(step));
        let red: Vec<_> = red.iter().map(|(name, _)| *name).collect();
        let expected: Vec<_> = new_at(step + 1).map(|check| check.name).collect();
        assert_eq!(red, expected, "step {step:02} against the new checks of the next");
    }
}

#[test]
fn words_alone_are_not_enough() {
    if !testing::root("words_alone_are_not_enough") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("talker");
    let script = r#"#!/bin/sh
[ "$1" = run ] || { echo usage >&2; exit 2; }
shift
[ "$1" = --rootfs ] && shift 2
echo "Running [$*] as $$"
echo "Limiting to 20 processes: /sys/fs/cgroup/pids/mydocker-$$ (cgroup v1)"
echo "Running in child [$*] as 1"
echo container
"#;
    fs::write(&binary, script).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let talker = Subject { binary, words: vec!["run".into()] };
    assert_eq!(red(checks::valid_at(1), &talker), [], "words are all that step 01 asks for");
    for step in 2..=10 {
        // All of them, but what the words are about.
        let red = red(new_at(step), &talker);
        let words = ["says-child"];
        let passed: Vec<_> = new_at(step)
            .map(|check| check.name)
            .filter(|name| !red.iter().any(|(red, _)| red == name) && !words.contains(name))
            .collect();
        assert_eq!(passed, [""; 0], "step {step:02}");
    }
}
