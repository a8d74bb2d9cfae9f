//! The checks are checked: each stage passes what holds for it, lacks what the next one brings, and
//! a program that only says the right words gets nowhere.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::runtime;
use workshop::checks::{self, Bench, Check, Kind, Stage};
use workshop::container::Subject;
use workshop::{project, testing};

/// Every stage after the first, with the one before it.
fn pairs() -> impl Iterator<Item = (Stage, Stage)> {
    stages().zip(stages().skip(1))
}

fn stages() -> impl Iterator<Item = Stage> {
    (1..=10).map(Stage::Step).chain([Stage::Final])
}

fn official(stage: Stage) -> Subject {
    match stage {
        Stage::Step(step) => {
            Subject::step(project::binaries().unwrap().join(format!("step{step:02}")))
        }
        Stage::Final => runtime(),
    }
}

/// The names of the checks that do not hold, with what was found.
fn red<'a>(checks: impl Iterator<Item = &'a Check>, subject: &Subject) -> Vec<(&'a str, String)> {
    let rootfs = support::rootfs();
    let bench = match subject.words.last().is_some_and(|word| word == "host") {
        true => Bench::with_image(subject).unwrap(),
        false => Bench::new(rootfs).unwrap(),
    };
    checks
        .map(|check| (check.name, check.run(&bench, subject).unwrap()))
        .filter(|(_, verdict)| !verdict.holds)
        .map(|(name, verdict)| (name, format!("{}; expected {}", verdict.found, verdict.expected)))
        .collect()
}

fn new_at(stage: Stage) -> impl Iterator<Item = &'static Check> {
    checks::all().filter(move |check| check.since == stage && check.kind == Kind::New)
}

#[test]
fn every_stage_brings_at_least_three_new_checks() {
    for stage in stages() {
        assert!(new_at(stage).count() >= 3, "{stage}");
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
fn every_stage_passes_what_holds_for_it() {
    if !testing::root("every_stage_passes_what_holds_for_it") {
        return;
    }
    for stage in stages() {
        assert_eq!(red(checks::valid_at(stage), &official(stage)), [], "{stage}");
    }
}

#[test]
fn every_stage_lacks_what_the_next_one_brings() {
    if !testing::root("every_stage_lacks_what_the_next_one_brings") {
        return;
    }
    // What step 10 lacks of `final` has tests of its own.
    for (stage, next) in pairs().filter(|(_, next)| *next != Stage::Final) {
        let red = red(new_at(next), &official(stage));
        let red: Vec<_> = red.iter().map(|(name, _)| *name).collect();
        let expected: Vec<_> = new_at(next).map(|check| check.name).collect();
        assert_eq!(red, expected, "{stage} against the new checks of {next}");
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
[ $# -gt 0 ] || { echo usage >&2; exit 2; }
echo "Running [$*] as $$"
echo "Limiting to 20 processes: /sys/fs/cgroup/pids/mydocker-$$ (cgroup v1)"
echo "Running in child [$*] as 1"
echo container
"#;
    fs::write(&binary, script).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let talker = Subject::step(binary);
    let first = Stage::Step(1);
    assert_eq!(red(checks::valid_at(first), &talker), [], "words are all that step 01 asks for");
    for (_, stage) in pairs() {
        // All of them, but what the words are about.
        let red = red(new_at(stage), &talker);
        let words = ["says-child"];
        let passed: Vec<_> = new_at(stage)
            .map(|check| check.name)
            .filter(|name| !red.iter().any(|(red, _)| red == name) && !words.contains(name))
            .collect();
        assert_eq!(passed, [""; 0], "{stage}");
    }
}
