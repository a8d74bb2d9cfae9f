//! A normal user: what works without root, and what is said where it does not.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use workshop::steps::{self, Need};
use workshop::{project, testing};

/// Runs a step as a normal user: as the one who runs the test, or, if that is root, as nobody.
fn as_user(step: &str, words: &[&str]) -> Output {
    support::rootfs();
    // Nobody may not be able to see the folder in which the steps were built.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join(step);
    // Not with fs::copy: a test beside this one could start a program while the file is open.
    let copy =
        Command::new("cp").arg(project::binaries().unwrap().join(step)).arg(&program).status();
    assert!(copy.unwrap().success());
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(words).current_dir("/").output().unwrap()
}

#[test]
fn the_first_two_steps_work() {
    let output = as_user("step01", &["run", "Hello,", "world"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "Running [Hello, world]\n");
    let output = as_user("step02", &["run", "sh", "-c", "echo it works; exit 7"]);
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("it works\n"));
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn the_others_say_how_to_get_root() {
    for step in ["step03", "step04", "step05", "step06", "step07", "step08", "step09", "step10"] {
        let output = as_user(step, &["run", "true"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{step}: {error}");
        assert_eq!(error.lines().count(), 1, "{step}: {error}");
        assert!(error.starts_with("error: cannot create a "), "{step}: {error}");
        assert!(
            error.contains("Operation not permitted. Run it as root: sudo "),
            "{step}: {error}"
        );
        assert!(error.trim_end().ends_with(&format!("/{step} run ...")), "{step}: {error}");
    }
}

/// The runner asks sudo for the steps that need root, and for nothing else.
#[test]
fn the_runner_asks_sudo_only_where_root_is_needed() {
    if !testing::root("the_runner_asks_sudo_only_where_root_is_needed") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("sudo", "#!/bin/sh\necho sudo \"$@\"\n");
    let runner = fs::read_to_string(project::root().unwrap().join(".cargo/as-root")).unwrap();
    script("as-root", &runner);
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let says = |program: &str, user: &[&str]| {
        script(program, "#!/bin/sh\necho itself \"$@\"\n");
        let program = folder.path().join(program);
        let line = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        let mut words = line(user);
        words.push(folder.path().join("as-root").display().to_string());
        words.push(program.display().to_string());
        words.extend(line(&["run", "a b"]));
        let output = Command::new(&words[0]).args(&words[1..]).env("PATH", &path).output().unwrap();
        String::from_utf8(output.stdout).unwrap().replace(&shown(folder.path()), "")
    };
    let nobody = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    for step in steps::all().unwrap() {
        let asked = says(&step.package, &nobody);
        let expected = match step.needs.contains(&Need::Root) {
            false => "itself run a b\n".to_string(),
            true => format!("sudo -- {} run a b\n", step.package),
        };
        assert_eq!(asked, expected);
        assert_eq!(
            says(&step.package, &["/usr/bin/env"]),
            "itself run a b\n",
            "root needs no sudo"
        );
    }
    for other in ["workshop", "step05-1f2e3d", "transcripts-0a1b2c"] {
        assert_eq!(says(other, &nobody), "itself run a b\n");
    }
}

fn shown(folder: &Path) -> String {
    format!("{}/", folder.display())
}
