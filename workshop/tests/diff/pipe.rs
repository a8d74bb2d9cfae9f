//! In a pipe, and wrong usage.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use workshop::{steps, testing};

use crate::{diff, made_up, project};

/// Feeds a patch to a program in the project, which must take it in silence about trouble.
pub(crate) fn apply(project: &Path, program: &str, args: &[&str], patch: &[u8]) {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(project)
        // Not the workshop's own repository.
        .env("GIT_CEILING_DIRECTORIES", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(patch).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("fuzz"), "{program}: {said}");
}

#[test]
fn patch_and_git_turn_any_step_into_any_other() {
    let project = project("any-two");
    let missing = |program: &&str| Command::new(program).arg("--version").output().is_err();
    if let Some(program) = ["patch", "git"].iter().find(|program| missing(program)) {
        testing::skip("patch_and_git_turn_any_step_into_any_other", &format!("it needs {program}"));
        return;
    }
    for from in steps::all().unwrap() {
        for to in steps::all().unwrap().iter().filter(|to| to.number != from.number) {
            let output = diff(&project, &[&from.title, &to.package]);
            assert_eq!(output.status.code(), Some(0));
            let (before, after) = (made_up(from.number), made_up(to.number));
            for (program, args) in [("patch", &["-p1"][..]), ("git", &["apply"])] {
                apply(&project, program, args, &output.stdout);
                assert_eq!(fs::read_to_string(from.source(&project)).unwrap(), after);
                fs::write(from.source(&project), &before).unwrap();
            }
            fs::write(project.join("mine.rs"), before).unwrap();
            apply(&project, "patch", &["mine.rs"], &output.stdout);
            assert_eq!(fs::read_to_string(project.join("mine.rs")).unwrap(), after);
        }
    }
}

#[test]
fn a_step_does_not_differ_from_itself() {
    let output = diff(&project("itself"), &["5", "pid"]);
    assert_eq!((output.status.code(), output.stdout, output.stderr), (Some(0), vec![], vec![]));
}

#[test]
fn what_is_missing_is_named() {
    let project = project("missing");
    fs::remove_dir_all(project.join("step06-chroot")).unwrap();
    for args in [&["05", "06"][..], &["--stat"]] {
        let output = diff(&project, args);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("step06-chroot/src/main.rs: No such file or directory."), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn wrong_usage_is_status_2() {
    let project = project("usage");
    let alone: [&[&str]; 4] = [&[], &["04"], &["final"], &["--stat", "04", "05"]];
    let together: [&[&str]; 4] =
        [&["04", "11"], &["04", "05", "06"], &["mine", "final"], &["final", "final"]];
    for args in alone.iter().chain(&together) {
        let output = diff(&project, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    let error = String::from_utf8(diff(&project, &["04", "11"]).stderr).unwrap();
    assert!(error.contains("no step '11'") && error.contains("05 pid"), "{error}");
    assert!(error.contains("; or mine, or final"), "{error}");
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_workshop"))
        .current_dir(project("early"))
        .args(["diff", "01", "10"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}

#[test]
fn stat_counts_the_lines() {
    let output = diff(&project("stat"), &["--stat"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(table.contains("01 -> 02      17        0       17      1\n"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 60), "{table}");
}
