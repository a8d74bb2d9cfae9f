//! `cargo workshop check`: its exit status, and what it says of itself.

#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Command, Output};

use workshop::testing;

fn check(program: &str, words: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(words).arg(env!("CARGO_BIN_EXE_workshop")).args(["check", "step03", "--built"]);
    command.arg("--rootfs").arg(support::rootfs()).output().unwrap()
}

/// Root without the right to create namespaces, as in most containers.
#[test]
fn what_a_machine_cannot_do_is_skipped_and_a_skip_is_no_pass() {
    if !testing::root("what_a_machine_cannot_do_is_skipped_and_a_skip_is_no_pass") {
        return;
    }
    let weak = ["--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
    let output = check("setpriv", &weak);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("for want of UTS namespace"), "{said}");
    assert!(!said.contains('✓') && said.contains("skipped, which is no pass"), "{said}");
    assert!(said.contains("cargo workshop doctor"), "{said}");
    let output = check("env", &[]);
    assert_eq!(output.status.code(), Some(0));
}

/// What a shell starts in the background ignores Ctrl-C; what is checked need not.
#[test]
fn checks_on_a_terminal_hold_in_the_background_too() {
    if !testing::root("checks_on_a_terminal_hold_in_the_background_too") {
        return;
    }
    let output = check("sh", &["-c", "trap '' INT QUIT; exec \"$0\" \"$@\""]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
}
