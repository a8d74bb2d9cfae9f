//! `cargo workshop bench`, for real but short. How fast anything is, no test says.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use std::{env, io};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use workshop::wait::until;
use workshop::{kernel, project, testing};

fn possible(test: &str) -> bool {
    testing::root(test) && (has("hyperfine") || testing::skip(test, "it needs hyperfine"))
}

fn has(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The bench, with a place of its own for temporary files.
struct Bench {
    temporary: TempDir,
    child: Child,
}

impl Bench {
    fn start(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let rootfs = support::rootfs();
        let temporary = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_workshop"));
        // The build that is there: the release build takes long.
        command.arg("bench").args(args).arg("--rootfs").arg(rootfs).arg("--bin");
        command.arg(project::binaries().unwrap().join("final")).env("TMPDIR", temporary.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(&mut command);
        Self { temporary, child: command.spawn().unwrap() }
    }

    fn run(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Output {
        let before = links();
        let bench = Self::start(args, prepare);
        let pid = bench.child.id();
        let output = bench.child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(left(pid, bench.temporary.path()), Vec::<PathBuf>::new());
        assert_eq!(links(), before);
        output
    }
}

fn links() -> BTreeSet<PathBuf> {
    fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Temporary files, cgroups and mounts of a bench.
fn left(pid: u32, temporary: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    cgroups(Path::new("/sys/fs/cgroup"), &format!("workshop-{pid}-"), &mut found);
    let mounts = workshop::mountinfo::own().unwrap();
    let rootfs = support::rootfs();
    let ours = |path: &PathBuf| path.starts_with(temporary) || path.starts_with(rootfs);
    found.extend(mounts.into_iter().map(|mount| mount.point).filter(ours));
    found
}

fn cgroups(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for below in kernel::cgroups_below(folder) {
        if below.file_name().unwrap().to_string_lossy().starts_with(name) {
            found.push(below.clone());
        }
        cgroups(&below, name, found);
    }
}

#[test]
fn every_contestant_gets_its_figures() {
    if !possible("every_contestant_gets_its_figures") {
        return;
    }
    let names = ["final-none", "final", "crun-limits", "bwrap", "unshare"];
    let output =
        Bench::run(&["--json", "--runs", "2", "--only", &names.join(",")], |_: &mut Command| {});
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["contestants"].as_array().unwrap();
    let measured: Vec<_> = rows.iter().map(|row| row["times"]["name"].as_str().unwrap()).collect();
    let program = |name: &str| name.split('-').next().unwrap().to_string();
    let expected: Vec<_> =
        names.into_iter().filter(|name| name.starts_with("final") || has(&program(name))).collect();
    assert_eq!(measured, expected, "{report:#}");
    for row in rows {
        for figure in ["hot_ms", "cold_ms", "clean_ms"] {
            let milliseconds = row[figure].as_f64().unwrap();
            assert!(milliseconds > 0.1 && milliseconds < 10_000.0, "{figure} {row:#}");
        }
        for (kind, runs) in [("hot", 8), ("cold", 2), ("clean", 2)] {
            assert_eq!(row["times"][kind].as_array().unwrap().len(), runs, "{kind} {row:#}");
        }
        assert!(row["does"]["namespaces"].as_u64().unwrap() >= 6);
    }
    let missing = report["missing"].as_array().unwrap();
    assert_eq!(missing.len() + rows.len(), names.len());
    let of = |of: &str, to: &str| {
        let ratios = report["ratios"].as_array().unwrap();
        ratios.iter().find(|ratio| ratio["of"] == of && ratio["to"] == to).cloned()
    };
    let ratio = of("final-none", "unshare").unwrap();
    let cold = |name| {
        let row = rows.iter().find(|row| row["times"]["name"] == name).unwrap();
        row["cold_ms"].as_f64().unwrap()
    };
    let expected = cold("final-none") / cold("unshare");
    assert!((ratio["cold"].as_f64().unwrap() - expected).abs() < 1e-9, "{ratio}");
    assert_eq!(of("final", "crun-limits").is_some(), has("crun"));
    assert!(report["supervisor_private_bytes"]["is"].as_u64().unwrap() > 100_000);
    let size = project::binaries().unwrap().join("final").metadata().unwrap().len();
    assert_eq!(report["binary_bytes"]["is"], size);
}

#[test]
fn the_table_fits_and_says_who_cannot_run() {
    if !possible("the_table_fits_and_says_who_cannot_run") {
        return;
    }
    let programs = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let program = programs.path().join(name);
        fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("bwrap", "echo a warning >&2; echo no such luck >&2; exit 3");
    // Fit to be measured, and then no more.
    let count = programs.path().join("count").display().to_string();
    script("runc", &format!("echo >> {count}; [ $(wc -l < {count}) -lt 3 ] || exit 3"));
    let path = env::var_os("PATH").unwrap();
    let folders = [programs.path().to_path_buf()].into_iter().chain(env::split_paths(&path));
    let path = env::join_paths(folders).unwrap();
    let output =
        Bench::run(&["--runs", "1", "--only", "bwrap,runc,final-none,unshare"], |command| {
            command.env("PATH", path);
        });
    let table = String::from_utf8(output.stdout).unwrap();
    let why = "not measured bwrap: it does not run here, exit status: 3: no such luck";
    assert!(table.lines().any(|line| line == why), "{table}");
    assert!(table.lines().any(|line| line.starts_with("final-none / unshare")), "{table}");
    let late =
        |line: &str| line.starts_with("not measured runc: cannot measure runc run --bundle ");
    assert!(table.lines().any(late), "{table}");
    let mut table = table.lines().filter(|line| !late(line));
    assert!(table.all(|line| line.chars().count() <= 80), "{table:?}");
}

#[test]
fn interrupted_it_leaves_nothing() {
    if !possible("interrupted_it_leaves_nothing") {
        return;
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let before = links();
        let mut bench = Bench::start(&["--only", "final"], |_| {});
        let pid = bench.child.id();
        let folder = bench.temporary.path().to_path_buf();
        let measures = || folder.join(format!("workshop-{pid}-0/hyperfine.json")).exists();
        assert!(until(Duration::from_secs(60), measures), "it never began");
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
        let status = bench.child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal as i32), "{status}");
        let said = io::read_to_string(bench.child.stderr.take().unwrap()).unwrap();
        assert!(said.starts_with(&format!("stopped by {signal}")), "{said}");
        assert_eq!(left(pid, &folder), Vec::<PathBuf>::new());
        assert_eq!(links(), before);
    }
}
