//! A normal user who may use sudo: only the checker runs as root, and nothing of it is left.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::left::{self, Orphans};
use support::user::{User, sudo};
use workshop::pty::Terminal;
use workshop::steps::Step;
use workshop::wait::until;
use workshop::{diff, project};

/// The first build compiles all dependencies, beside other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// What sudo is asked for begins with this.
const PROGRAM: &str = "/mnt/clone/target/debug/workshop ";

/// A user who may use sudo, where the test of this name can have one. They share a clone, so that
/// its dependencies are compiled once.
fn user(test: &str) -> Option<(User, MutexGuard<'static, ()>)> {
    static CLONE: Mutex<()> = Mutex::new(());
    sudo(test).then(|| {
        let one_at_a_time = CLONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        (User::new("sudo"), one_at_a_time)
    })
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The user at a step, with its official source as their own.
fn at_step(user: &User, name: &str) -> String {
    let step = Step::find(name).unwrap();
    assert!(user.workshop(&["catch-up", name]).status.success());
    let source = diff::read(&user.project.folder, step).unwrap();
    saves(user, &source);
    source
}

fn saves(user: &User, source: &str) {
    user.project.write("mine/src/main.rs", source);
    user.owns_all();
}

#[test]
fn only_the_checker_runs_as_root_and_its_verdicts_come_through() {
    let Some((user, _guard)) = user("only_the_checker_runs_as_root_and_its_verdicts_come_through")
    else {
        return;
    };
    let source = at_step(&user, "03");
    assert_eq!(user.asked(), [""; 0], "no root for what is typed and kept");
    let green = user.workshop(&["check"]);
    assert_eq!(green.status.code(), Some(0), "{}", said(&green));
    assert!(said(&green).contains(", all hold"), "{}", said(&green));
    assert!(user.project.read("progress.txt").contains("uts done "));
    asked_once_to_check(&user);
    assert_eq!(user.of_others(), [""; 0].map(PathBuf::from));

    saves(&user, &source.replace("CLONE_NEWUTS", "CLONE_NEWIPC"));
    user.may("");
    let red = user.workshop(&["check"]);
    assert_eq!(red.status.code(), Some(1), "{}", said(&red));
    assert!(said(&red).contains("do not hold") && said(&red).contains("✗ 03"), "{}", said(&red));
    assert!(user.project.read("progress.txt").contains("uts started "));
    asked_once_to_check(&user);

    saves(&user, "broken\n");
    user.may("");
    let broken = user.workshop(&["check"]);
    assert_eq!(broken.status.code(), Some(1), "{}", said(&broken));
    assert!(said(&broken).contains("Mend what the compiler says"), "{}", said(&broken));
    assert_eq!(user.asked(), [""; 0], "no root for what cannot be built");
}

/// One command of ours, and never cargo.
fn asked_once_to_check(user: &User) {
    let asked = user.asked();
    assert!(asked.len() == 1 && asked[0].starts_with(PROGRAM), "{asked:?}");
}

/// `cargo mine` has the finished program started as root, and nothing else.
#[test]
fn what_one_writes_runs_as_root_but_is_compiled_as_oneself() {
    let Some((user, _guard)) = user("what_one_writes_runs_as_root_but_is_compiled_as_oneself")
    else {
        return;
    };
    for (step, root) in [("02", false), ("04", true)] {
        at_step(&user, step);
        user.may("");
        let output = user.runs(&["cargo", "mine", "run", "sh", "-c", "id -u; exit 7"]);
        assert_eq!(output.status.code(), Some(7), "{}", said(&output));
        let id = if root { "\n0\n" } else { "\n65534\n" };
        assert!(said(&output).contains(id), "{}", said(&output));
        let asked = user.asked();
        assert_eq!(asked.len(), usize::from(root), "{asked:?}");
        assert!(asked.iter().all(|it| it.contains("target/debug/mine run sh -c ")), "{asked:?}");
        assert_eq!(user.of_others(), [""; 0].map(PathBuf::from));
    }
}

/// Root that sudo gives, but without the right to create namespaces, as in most containers.
#[test]
fn what_root_cannot_do_is_skipped_through_sudo_too() {
    let Some((mut user, _guard)) = user("what_root_cannot_do_is_skipped_through_sudo_too") else {
        return;
    };
    at_step(&user, "03");
    user.setpriv = vec!["--bounding-set=-sys_admin"];
    let output = user.workshop(&["check"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("skipped, which is no pass"), "{}", said(&output));
    assert!(user.project.read("progress.txt").contains("uts started "));
}

#[test]
fn a_riddle_is_built_by_the_user_and_checked_as_root() {
    let Some((user, _guard)) = user("a_riddle_is_built_by_the_user_and_checked_as_root") else {
        return;
    };
    let sabotage = &Step::find("02").unwrap().sabotage[0];
    let patch = format!("workshop/sabotage/step02/{}.patch", sabotage.name);
    user.project.write(&patch, &fs::read_to_string(project::root().unwrap().join(&patch)).unwrap());
    user.owns_all();
    let output = user.workshop(&["break", "02", &sabotage.name, "--answer"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for red in &sabotage.red {
        assert!(said(&output).contains(&format!("✗ {red:<20} red\n")), "{red}: {}", said(&output));
    }
    asked_once_to_check(&user);
    assert_eq!(user.of_others(), [""; 0].map(PathBuf::from));
}

#[test]
fn workshop_alone_asks_for_root_once_and_then_no_more() {
    let Some((user, _guard)) = user("workshop_alone_asks_for_root_once_and_then_no_more") else {
        return;
    };
    let marker = user.project.folder.join("target/debug/workshop-proved");
    let _ = fs::remove_file(&marker);
    let output = user.workshop(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("sudo may ask for your password now"), "{}", said(&output));
    assert!(said(&output).contains("  ✓ 01 run ") && said(&output).contains("  ✓ 10 network "));
    // It may try first whether sudo gives root at all.
    let asked: Vec<_> = user.asked().into_iter().filter(|it| !it.ends_with("/true")).collect();
    assert!(asked.len() == 1 && asked[0].starts_with(PROGRAM), "{asked:?}");
    assert_eq!(user.of_others(), [""; 0].map(PathBuf::from));
    assert!(marker.exists());

    user.may("");
    let again = user.workshop(&[]);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert!(!said(&again).contains('✓') && said(&again).contains("cargo workshop start 01"));
    assert!(user.asked().iter().all(|it| it.ends_with("/true")), "{:?}", user.asked());
}

#[test]
fn a_sudo_that_refuses_is_told() {
    let Some((user, _guard)) = user("a_sudo_that_refuses_is_told") else { return };
    at_step(&user, "03");
    let before = user.project.read("progress.txt");
    user.may_not();
    let refused = user.workshop(&["check"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let error = String::from_utf8(refused.stderr).unwrap();
    let (reason, ours) = error.split_once("error: ").unwrap();
    assert!(reason.contains("sudo: ") || reason.contains("sudoers"), "{error}");
    assert!(ours.contains("cannot finish the checks: the reason stands above"), "{error}");
    assert!(!String::from_utf8(refused.stdout).unwrap().contains("hold"));
    assert_eq!(user.project.read("progress.txt"), before);
}

#[test]
fn without_sudo_one_is_told_what_to_run_as_root() {
    let Some((user, _guard)) = user("without_sudo_one_is_told_what_to_run_as_root") else { return };
    at_step(&user, "03");
    let words = "env PATH=/mnt/rust/bin:/mnt/clone/bin target/debug/workshop check step03 --built";
    let line = user.line(&words.split(' ').collect::<Vec<_>>());
    let output = Command::new(&line[0]).args(&line[1..]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("error: cannot start sudo: No such file or directory"), "{error}");
    assert!(error.contains(&format!("Run this as root: {PROGRAM}")), "{error}");
}

/// sudo gives its command a terminal of its own, or leaves it on the user's, as it is told.
const PTY: &str = "Defaults use_pty\n";
const NO_PTY: &str = "Defaults !use_pty\n";

/// What there was before a check.
struct Scene {
    tmp: PathBuf,
    programs: [PathBuf; 2],
    orphans: Orphans,
}

impl Scene {
    fn begins(user: &User) -> Self {
        let (tmp, bin) = ["tmp", "target/debug"].map(|it| user.project.folder.join(it)).into();
        let programs = ["workshop", "mine"].map(|it| bin.join(it));
        Self { orphans: Orphans::before(&tmp), tmp, programs }
    }

    fn nothing_is_left(&self, when: &str) {
        until(Duration::from_secs(10), || left::running(&self.programs).is_empty());
        assert_eq!(left::running(&self.programs), [""; 0], "{when}");
        assert_eq!(self.orphans.since(), [""; 0].map(PathBuf::from).into(), "{when}");
        assert_eq!(fs::read_dir(&self.tmp).unwrap().count(), 0, "{when}");
    }
}

/// The user types a command on a terminal; when `play` has ended it, the terminal is as before, and
/// nothing is left.
fn on_a_terminal(user: &User, words: &[&str], when: &str, play: impl FnOnce(&mut Terminal)) {
    let scene = Scene::begins(user);
    let mut terminal = Terminal::start_uncaged(&user.line(words)).unwrap();
    let modes = terminal.modes().unwrap();
    play(&mut terminal);
    scene.nothing_is_left(when);
    assert_eq!(terminal.modes().unwrap(), modes, "{when}");
}

const CHECK: [&str; 2] = ["target/debug/workshop", "check"];

#[test]
fn ctrl_c_leaves_nothing_of_what_runs_as_root() {
    let Some((user, _guard)) = user("ctrl_c_leaves_nothing_of_what_runs_as_root") else { return };
    at_step(&user, "08");
    assert!(user.workshop(&["check"]).status.success(), "all is built");
    for defaults in [PTY, NO_PTY] {
        user.may(defaults);
        for round in 0..4 {
            on_a_terminal(&user, &CHECK, defaults, |terminal| {
                terminal.wait_for(" as step ", PATIENCE).unwrap();
                thread::sleep(Duration::from_millis(round * 150));
                terminal.press("\x03").unwrap();
                assert_eq!(terminal.end(PATIENCE).unwrap(), 130, "{defaults} {}", terminal.text());
                let text = terminal.text();
                assert!(
                    !text.contains("error:") && !text.contains("all hold"),
                    "{defaults} {text}"
                );
            });
        }
    }
}

#[test]
fn ctrl_c_where_sudo_asks_for_a_password_is_the_end() {
    let Some((user, _guard)) = user("ctrl_c_where_sudo_asks_for_a_password_is_the_end") else {
        return;
    };
    at_step(&user, "03");
    assert!(user.workshop(&["check"]).status.success(), "all is built");
    for defaults in [PTY, NO_PTY] {
        user.may_with_password(defaults);
        on_a_terminal(&user, &CHECK, defaults, |terminal| {
            terminal.wait_for("[sudo] password for nobody: ", PATIENCE).unwrap();
            terminal.press("\x03").unwrap();
            assert_eq!(terminal.end(PATIENCE).unwrap(), 130, "{defaults} {}", terminal.text());
            assert!(!terminal.text().contains("hold"), "{defaults} {}", terminal.text());
        });
    }
}

#[test]
fn watching_through_sudo_still_reads_keys() {
    let Some((user, _guard)) = user("watching_through_sudo_still_reads_keys") else { return };
    let source = at_step(&user, "03");
    for defaults in [PTY, NO_PTY] {
        user.may(defaults);
        on_a_terminal(
            &user,
            &["target/debug/workshop", "check", "--watch"],
            defaults,
            |terminal| {
                let keys = "n next  q quit\n";
                let green = terminal.wait_for(keys, PATIENCE).unwrap();
                assert!(green.contains(", all hold"), "{defaults} {green}");
                terminal.press("h").unwrap();
                let hint = terminal.wait_for(keys, PATIENCE).unwrap();
                assert!(hint.contains("Hint 1 of 3"), "{defaults} {hint}");
                saves(&user, &source.replace("CLONE_NEWUTS", "CLONE_NEWIPC"));
                let red = terminal.wait_for(keys, PATIENCE).unwrap();
                assert!(red.contains("do not hold"), "{defaults} {red}");
                terminal.press("q").unwrap();
                assert_eq!(terminal.end(PATIENCE).unwrap(), 1, "{defaults} {}", terminal.text());
            },
        );
        assert_eq!(user.asked().len(), 2, "{defaults}");
        saves(&user, &source);
    }
}

/// Nobody may send a signal to what runs as root, and it ends all the same.
#[test]
fn whoever_ends_the_check_ends_what_runs_as_root() {
    let Some((user, _guard)) = user("whoever_ends_the_check_ends_what_runs_as_root") else {
        return;
    };
    at_step(&user, "08");
    assert!(user.workshop(&["check"]).status.success(), "all is built");
    for defaults in [PTY, NO_PTY] {
        user.may(defaults);
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
            let scene = Scene::begins(&user);
            let line = user.line(&CHECK);
            let mut check = Command::new(&line[0]);
            let mut check = check.args(&line[1..]).stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(check.stdout.take().unwrap()).lines();
            assert!(lines.next().unwrap().unwrap().contains(" as step 08"));
            assert!(lines.next().unwrap().unwrap().contains('✓'));
            kill(Pid::from_raw(check.id().cast_signed()), signal).unwrap();
            let status = check.wait().unwrap();
            assert_eq!(status.signal(), Some(signal as i32), "{defaults} {status}");
            assert!(!lines.map_while(Result::ok).any(|line| line.contains("all hold")));
            scene.nothing_is_left(&format!("{defaults} {signal}"));
        }
    }
}
