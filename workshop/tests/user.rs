//! A normal user: what works without root, and what is said where it does not.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
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

const NOBODY: [&str; 5] =
    ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
const ROOT: [&str; 1] = ["/usr/bin/env"];

/// A workshop in which cargo's runner is the real one; sudo and the programs tell how they were
/// started.
struct Runner {
    folder: tempfile::TempDir,
}

impl Runner {
    fn new() -> Self {
        let runner = Self { folder: tempfile::tempdir().unwrap() };
        fs::set_permissions(runner.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let text = fs::read_to_string(project::root().unwrap().join(".cargo/as-root")).unwrap();
        runner.script(".cargo/as-root", &text);
        runner.script("bin/sudo", "#!/bin/sh\necho sudo \"$@\"\n");
        runner
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What is said when somebody has cargo start a program.
    fn says(&self, program: &str, user: &[&str]) -> String {
        self.script(program, "#!/bin/sh\necho itself \"$@\"\n");
        let mut command = Command::new(user[0]);
        command.args(&user[1..]).arg(self.path(".cargo/as-root")).arg(self.path(program));
        command.args(["run", "a b"]).current_dir("/").env_remove("NO_COLOR");
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let folder = format!("{}/", self.folder.path().display());
        String::from_utf8(output.stdout).unwrap().replace(&folder, "")
    }
}

/// The runner asks sudo for the steps that need root, and for nothing else.
#[test]
fn the_runner_asks_sudo_only_where_root_is_needed() {
    if !testing::root("the_runner_asks_sudo_only_where_root_is_needed") {
        return;
    }
    let runner = Runner::new();
    for step in steps::all().unwrap() {
        let expected = match step.needs.contains(&Need::Root) {
            false => "itself run a b\n".to_string(),
            true => format!("sudo -- {} run a b\n", step.package),
        };
        assert_eq!(runner.says(&step.package, &NOBODY), expected);
        assert_eq!(runner.says(&step.package, &ROOT), "itself run a b\n", "root needs no sudo");
    }
    for other in ["workshop", "step05-1f2e3d", "transcripts-0a1b2c"] {
        assert_eq!(runner.says(other, &NOBODY), "itself run a b\n");
    }
}

/// The attendee's own needs root from the moment on at which it makes namespaces.
#[test]
fn the_runner_asks_sudo_for_mine_once_it_makes_namespaces() {
    if !testing::root("the_runner_asks_sudo_for_mine_once_it_makes_namespaces") {
        return;
    }
    let runner = Runner::new();
    let mine = "target/debug/mine";
    assert_eq!(runner.says(mine, &NOBODY), "itself run a b\n", "there is no source");
    for step in steps::all().unwrap() {
        let source = project::root().unwrap().join(&step.folder).join("src/main.rs");
        runner.script("mine/src/main.rs", &fs::read_to_string(source).unwrap());
        let expected = match step.needs.contains(&Need::Root) {
            false => "itself run a b\n".to_string(),
            true => format!("sudo -- {mine} run a b\n"),
        };
        assert_eq!(runner.says(mine, &NOBODY), expected, "{}", step.title);
        assert_eq!(runner.says(mine, &ROOT), "itself run a b\n", "root needs no sudo");
    }
    // Theirs may be in several files.
    runner.script("mine/src/main.rs", "mod namespaces;\n");
    assert_eq!(runner.says(mine, &NOBODY), "itself run a b\n");
    runner.script("mine/src/namespaces/mod.rs", "unshare(CLONE_NEWUTS);\n");
    assert_eq!(runner.says(mine, &NOBODY), format!("sudo -- {mine} run a b\n"));
    // Whoever is to do without colours does so as root, too; and without sudo it is tried as it is.
    let plain = [&["/usr/bin/env", "NO_COLOR=1"], &NOBODY[..]].concat();
    let expected = format!("sudo --preserve-env=NO_COLOR -- {mine} run a b\n");
    assert_eq!(runner.says(mine, &plain), expected);
    let lacking = [&["/usr/bin/env", "PATH=/nowhere"], &NOBODY[..]].concat();
    assert_eq!(runner.says(mine, &lacking), "itself run a b\n");
}
