//! Somebody's own container against the steps.

use std::fs;

use crate::pipe::apply;
use crate::terminal::on_terminal;
use crate::{diff, made_up, mine, project};

#[test]
fn mine_that_is_not_there_is_to_be_started() {
    let project = project("no-mine");
    for args in [&["mine"][..], &["mine", "05"], &["04", "mine"]] {
        let output = diff(&project, args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("cargo workshop start 01"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn mine_is_held_against_the_step_one_is_at() {
    let project = project("mine");
    let mark = "    // TODO(you): Say 5.\n";
    let marked =
        made_up(4).replace("    println!(\"4\");\n", &format!("    println!(\"4\");\n{mark}"));
    mine(&project, &marked);
    let (text, status) = on_terminal(&project, 80, "PAGER= NO_COLOR=1", "mine");
    assert!(status == 0 && text.starts_with("--- mine/src/main.rs\n+++ step05-pid/"), "{text}");
    assert!(text.contains("+    println!(\"5\");") && !text.contains("TODO"), "{text}");
    let (text, _) = on_terminal(&project, 80, "PAGER=", "04 mine");
    assert_eq!(text, "No line of code differs:\n  step04-child/src/main.rs\n  mine/src/main.rs\n");
    let patch = diff(&project, &["mine"]).stdout;
    apply(&project, "patch", &["-p1"], &patch);
    assert_eq!(fs::read_to_string(project.join("mine/src/main.rs")).unwrap(), made_up(5));
    assert!(diff(&project, &["mine", "pid"]).stdout.is_empty());
}
