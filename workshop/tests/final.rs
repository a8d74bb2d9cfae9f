//! Each check of `final`'s own turns red where what it looks for is missing: in step 10, or in a
//! spoilt `final`.

#![allow(clippy::unwrap_used)]

mod support;

use std::ffi::OsString;

use support::runtime;
use workshop::cage::Cage;
use workshop::checks::{self, Bench, Check, Stage};
use workshop::container::Subject;
use workshop::{project, testing};

/// What step 10 does not do.
const STEP_10_LACKS: [&str; 17] = [
    "command-is-1",
    "signals-forwarded",
    "ipc-namespace",
    "cgroup-namespace",
    "pivot-root",
    "no-way-out",
    "devices",
    "device-links",
    "mknod",
    "sysfs",
    "masked-paths",
    "read-only-paths",
    "host-put-back",
    "capabilities",
    "seccomp",
    "descriptors",
    "own-binary",
];

/// What it does not do, and has no words to be asked for.
const STEP_10_CANNOT_BE_ASKED: [&str; 14] = [
    "own-failure",
    "init-reaps",
    "init-status",
    "own-terminal",
    "raw-terminal",
    "own-job-control",
    "hostname-option",
    "rootfs-folder",
    "memory-limit",
    "cpu-limit",
    "limits-removed",
    "ip-option",
    "published-port",
    "prune",
];

/// What it does, too.
const STEP_10_HAS: [&str; 2] = ["arguments-arrive", "killed-from-outside"];

/// What makes of `final` one that is not as good.
enum Spoil {
    /// Options that give a container more than it should have.
    Add(&'static [&'static str]),
    /// An option that is not heeded.
    Drop(&'static str),
    /// One that takes a value.
    DropWithValue(&'static str),
    /// A script that gets the command line.
    Script(&'static str),
}

use Spoil::{Add, Drop, DropWithValue, Script};

/// Each with the checks that must notice it.
const SPOILT: [(Spoil, &[&str]); 21] = [
    (
        Add(&["--privileged"]),
        &[
            "cgroup-namespace",
            "devices",
            "mknod",
            "sysfs",
            "masked-paths",
            "read-only-paths",
            "capabilities",
            "seccomp",
        ],
    ),
    (Add(&["--cap-add", "NET_ADMIN"]), &["capabilities"]),
    (Add(&["--cap-add", "SYS_ADMIN"]), &["seccomp"]),
    (Add(&["--security-opt", "seccomp=unconfined"]), &["seccomp"]),
    (Add(&["--init"]), &["command-is-1"]),
    (Drop("--rm"), &["arguments-arrive"]),
    (Drop("--init"), &["init-reaps", "init-status"]),
    (Drop("-t"), &["own-terminal", "raw-terminal", "own-job-control"]),
    (DropWithValue("--hostname"), &["hostname-option"]),
    (DropWithValue("--memory"), &["memory-limit"]),
    (DropWithValue("--cpus"), &["cpu-limit"]),
    (DropWithValue("--ip"), &["ip-option"]),
    (DropWithValue("--publish"), &["published-port"]),
    (Script(r#""$@"; status=$?; [ $status = 125 ] && exit 1; exit $status"#), &["own-failure"]),
    (
        Script(r#""$@"; status=$?; [ $status = 137 ] && exit 9; exit $status"#),
        &["killed-from-outside"],
    ),
    (Script(r#""$@"; stty raw -echo"#), &["raw-terminal"]),
    (Script(r#""$@"; ip link add left type veth"#), &["host-put-back"]),
    (Script(r#"case "$*" in *\ prune) exit 0; esac; exec "$@""#), &["prune"]),
    // Whoever is killed removes nothing.
    (Script(r#"mkfifo in; exec 3<>in; "$@" <&3 & cat; kill -9 $!"#), &["limits-removed"]),
    // The folder itself instead of an overlay over it.
    (
        Script(r#"until [ -d "$1/bin" ]; do shift; done; dir=$1; shift; exec chroot "$dir" "$@""#),
        &["rootfs-folder"],
    ),
    // It is still there when the container has gone.
    (Script(r#"sleep 100 & "$@""#), &["prune"]),
];

impl Spoil {
    fn apply(&self, runtime: &Subject) -> Subject {
        // What is dropped, and the word after it if it is a value.
        let drop = |option, value| {
            format!(
                r#"for word do shift; [ $skip ] && skip= && continue
                   case $word in {option}) skip={value}; continue; esac
                   set -- "$@" "$word"; done; exec "$@""#
            )
        };
        let script = match self {
            Add(options) => return runtime.with(options),
            Drop(option) => drop(option, ""),
            DropWithValue(option) => drop(option, "1"),
            Script(script) => script.to_string(),
        };
        let words = ["-c", &script, "sh"].map(OsString::from).into_iter();
        let line = runtime.command_line::<&str>(&[]);
        Subject { binary: "/bin/sh".into(), words: words.chain(line).collect() }
    }
}

fn own() -> impl Iterator<Item = &'static Check> {
    checks::all().filter(|check| check.since == Stage::Final)
}

#[test]
fn every_check_is_known_to_fail() {
    let spoilt: Vec<&str> = SPOILT.iter().flat_map(|(_, names)| *names).copied().collect();
    for Check { name, .. } in own() {
        let known = STEP_10_LACKS.contains(name) || spoilt.contains(name);
        assert!(known, "nothing shows that {name} can fail");
    }
}

#[test]
fn step_10_lacks_what_final_brings() {
    if !testing::root("step_10_lacks_what_final_brings") {
        return;
    }
    let bench = Bench::new(support::rootfs()).unwrap();
    let step = Subject::step(project::binaries().unwrap().join("step10"));
    for check in own() {
        let Check { name, .. } = check;
        let verdict = check.run(&bench, &step).unwrap();
        let lacks = STEP_10_LACKS.contains(name);
        let refuses = STEP_10_CANNOT_BE_ASKED.contains(name);
        assert_eq!(verdict.holds, STEP_10_HAS.contains(name), "{name}: {verdict:?}");
        assert_eq!(verdict.holds, !lacks && !refuses, "{name}");
        assert!(!lacks || !verdict.found.contains("unexpected argument"), "{name}: {verdict:?}");
    }
}

#[test]
fn what_is_spoilt_is_noticed() {
    if !testing::root("what_is_spoilt_is_noticed") {
        return;
    }
    support::rootfs();
    let bench = Bench::with_image(&runtime()).unwrap();
    for (spoil, names) in &SPOILT {
        for name in *names {
            let check = own().find(|check| check.name == *name).unwrap();
            let verdict = check.run(&bench, &spoil.apply(&runtime())).unwrap();
            assert!(!verdict.holds, "{name}: {verdict:?}");
        }
    }
    // Cgroups of one that was killed.
    let words = ["--root", "root", "prune"].map(OsString::from).into();
    let prune = Subject { binary: runtime().binary, words };
    let pruned = prune.run::<&str>(&Cage::build(bench.folder()).unwrap(), &[]).unwrap();
    assert_eq!(pruned.status, 0, "{pruned:?}");
}
