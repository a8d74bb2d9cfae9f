//! The machine is as it was: after the checks, and after `clean` has followed a killed step.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::Pid;
use workshop::wait::until;
use workshop::{kernel, mountinfo, project, testing};

/// What is compared is the machine's, so only one test may use it at a time.
static MACHINE: Mutex<()> = Mutex::new(());

/// The folder for the checks' temporary files.
const TEMPORARY: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/checks");

/// What the steps and the checks could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct State {
    mounts: Vec<mountinfo::Mount>,
    links: String,
    routes: String,
    cgroups: Vec<PathBuf>,
    processes: Vec<String>,
    folders: Vec<PathBuf>,
}

impl State {
    fn now() -> Self {
        let run = |words: &[&str]| {
            let output = Command::new("ip").args(words).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let ours = project::binaries().unwrap();
        let is_ours = |pid: &Pid| {
            kernel::link(*pid, "exe").is_ok_and(|exe| {
                Path::new(&exe).parent() == Some(&ours) && !exe.ends_with("workshop")
            })
        };
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let pids = pids.map(Pid::from_raw).filter(is_ours);
        let temporary = fs::read_dir(TEMPORARY).into_iter().flatten().flatten();
        Self {
            mounts: mountinfo::of(nix::unistd::gettid()).unwrap(),
            links: names(&run(&["-brief", "link"])),
            routes: run(&["route"]),
            cgroups: cgroups(Path::new("/sys/fs/cgroup")),
            processes: pids.map(|pid| format!("{:?}", kernel::arguments(pid))).collect(),
            folders: temporary.map(|entry| entry.path()).collect(),
        }
    }
}

/// Only the names: whether a link is up may change at any time.
fn names(links: &str) -> String {
    links.lines().filter_map(|line| line.split_whitespace().next()).collect::<Vec<_>>().join(" ")
}

/// The cgroups with names like those that we make.
fn cgroups(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for below in kernel::cgroups_below(folder) {
        let name = below.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("mydocker-") || name.starts_with("workshop-") {
            found.push(below.clone());
        }
        found.extend(cgroups(&below));
    }
    found
}

#[test]
fn the_checks_leave_the_machine_as_it_was() {
    if !testing::root("the_checks_leave_the_machine_as_it_was") {
        return;
    }
    let _one_at_a_time = MACHINE.lock();
    let rootfs = support::rootfs();
    fs::create_dir_all(TEMPORARY).unwrap();
    let before = State::now();
    let check = Command::new(env!("CARGO_BIN_EXE_workshop"))
        .args(["check", "all", "--built", "--json", "--rootfs"])
        .arg(rootfs)
        .env("TMPDIR", TEMPORARY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{said} {}", String::from_utf8_lossy(&check.stderr));
    let reports: serde_json::Value = serde_json::from_slice(&check.stdout).unwrap();
    let reports = reports.as_array().unwrap();
    assert!(reports.len() > 200, "{} reports", reports.len());
    assert!(reports.iter().all(|report| report["holds"] == true && report["found"] != ""));
    let mut after = State::now();
    until(Duration::from_secs(10), || {
        after = State::now();
        after == before
    });
    assert_eq!(after.links, before.links);
    assert_eq!(after.routes, before.routes);
    assert_eq!(after.cgroups, before.cgroups);
    assert_eq!(after.processes, before.processes);
    assert_eq!(after.folders, before.folders);
    assert_eq!(after.mounts, before.mounts);
}

/// Kills `run` of a step at ever later moments. The next run works all the same, and `clean`
/// removes what is left.
#[test]
fn a_killed_step_leaves_nothing_that_clean_does_not_remove() {
    if !testing::root("a_killed_step_leaves_nothing_that_clean_does_not_remove") {
        return;
    }
    let _one_at_a_time = MACHINE.lock();
    support::rootfs();
    for step in ["step08", "step09", "step10"] {
        // A network and mounts that play the machine's. Only this thread moves.
        let killed = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
            let none: Option<&str> = None;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            kill_often(step);
        });
        killed.join().unwrap();
    }
}

fn kill_often(step: &str) {
    let before = State::now();
    let run = |command: &[&str]| {
        let mut run = Command::new(project::binaries().unwrap().join(step));
        run.args(["run", "--rootfs"]).arg(support::rootfs()).args(command);
        run.stdout(Stdio::null()).spawn().unwrap()
    };
    for moment in 0..15 {
        let mut killed = run(&["sleep", "1000"]);
        thread::sleep(Duration::from_millis(moment * 4));
        killed.kill().unwrap();
        killed.wait().unwrap();
        let next = run(&["true"]).wait().unwrap();
        assert!(next.success(), "{step} after one was killed {moment}: {next}");
    }
    let clean = Command::new(env!("CARGO_BIN_EXE_workshop")).arg("clean").output().unwrap();
    let said = String::from_utf8_lossy(&clean.stdout).into_owned();
    assert!(clean.status.success(), "{clean:?}");
    let mut after = State::now();
    until(Duration::from_secs(5), || {
        after = State::now();
        after.processes == before.processes && !after.links.contains("veth")
    });
    assert_eq!(after.processes, before.processes, "{step}: {said}");
    assert_eq!(after.cgroups, before.cgroups, "{step}: {said}");
    assert_eq!(after.mounts, before.mounts, "{step}: {said}");
    // Any other container on this machine keeps the bridge, and nothing else.
    if !said.contains("kept link mydocker0") {
        assert_eq!(after.links, before.links, "{step}: {said}");
    }
}
