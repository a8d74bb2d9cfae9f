//! A supervisor that is killed leaves nothing that `prune` does not find.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use workshop::wait::until;

use crate::machine::{PATIENCE, end, machine, rounds, wait_for};

#[test]
fn killed_at_any_moment_it_leaves_nothing() {
    let Some(machine) = machine("killed_at_any_moment_it_leaves_nothing") else { return };
    let volume = machine.write("data/file", "mine");
    // What a container leaves to the kernel may take it a moment: look before there is any.
    let before = machine.network();
    machine.run("run --rm host true").assert(0, "");
    machine.run("prune").assert(0, "");
    let line = machine
        .line("run --rm -m 64m --cpus 1 --pids-limit 30 -p 8080:80 -v @/data:/data host sleep 60");
    // How often a supervisor is killed.
    for round in 0..rounds(200) {
        let mut process = machine.start(&line);
        // The start takes a few milliseconds; later moments are those of the run.
        sleep(Duration::from_micros(u64::from(round) * 7919 % 12_000));
        process.kill().unwrap();
        process.wait().unwrap();
        let pruned = machine.run("prune");
        pruned.assert(0, "");
        machine.assert_clean();
        machine.assert_network(&before);
    }
    assert_eq!(fs::read_to_string(volume).unwrap(), "mine");
}

#[test]
fn a_first_process_that_is_killed_is_told() {
    let Some(machine) = machine("a_first_process_that_is_killed_is_told") else { return };
    for round in 0..rounds(30) {
        let process = machine.start(&machine.line("run --rm --network none host sleep 60"));
        let supervisor = Pid::from_raw(process.id().cast_signed());
        let children = format!("/proc/{supervisor}/task/{supervisor}/children");
        let child = || {
            let text = fs::read_to_string(&children).unwrap_or_default();
            text.split_whitespace().next().and_then(|pid| pid.parse().ok()).map(Pid::from_raw)
        };
        assert!(until(PATIENCE, || child().is_some()));
        sleep(Duration::from_micros(u64::from(round) * 150));
        kill(child().unwrap(), Signal::SIGKILL).unwrap();
        let ended = end(process, "");
        assert!(matches!(ended.status, 125 | 137), "{ended:?}");
        machine.assert_clean();
    }
}

#[test]
fn prune_leaves_alone_what_runs_and_what_is_kept() {
    let Some(machine) = machine("prune_leaves_alone_what_runs_and_what_is_kept") else { return };
    machine.shell("run --name kept --network none host", "echo kept > /file").assert(0, "");
    let line = machine.line("run --rm --name runs --network none -v @/:/x host sh -c");
    let script = "touch /x/up; while [ ! -e /x/end ]; do sleep 0.02; done; exit 6";
    let line: Vec<_> = line.into_iter().chain([script.into()]).collect();
    let process = machine.start(&line);
    wait_for(&machine.path("up"));
    machine.run("prune").assert(0, "");
    machine.run("rm runs").assert_error(1, "it is running");
    machine.write("end", "");
    end(process, "").assert(6, "");
    let kept = machine.root().join("containers/kept/upper/file");
    assert_eq!(fs::read_to_string(kept).unwrap(), "kept\n");
}

#[test]
fn a_reboot_and_a_damaged_state_are_cleaned_up() {
    let Some(machine) = machine("a_reboot_and_a_damaged_state_are_cleaned_up") else { return };
    machine.shell("run --name old --network none host", "echo kept > /file").assert(0, "");
    let file = machine.root().join("containers/old/state.json");
    let state = fs::read_to_string(&file).unwrap();
    // As if it had been running when the machine went down, and its pid were ours now.
    let pid = format!("\"pid\":{}", std::process::id());
    let old = state.split("\"supervisor\":{").nth(1).unwrap().split(',').next().unwrap();
    let running = state.replace("\"status\":0", "\"status\":null").replace(old, &pid);
    fs::write(&file, &running).unwrap();
    machine.run("prune").assert(0, "");
    assert!(fs::read_to_string(&file).unwrap().contains("\"status\":137"));
    fs::write(&file, &running[..running.len() / 2]).unwrap();
    machine.run("rm old").assert_error(1, "final prune");
    machine.run("prune").assert(0, "");
    machine.assert_clean();
    let empty: PathBuf = machine.root().join("containers/empty");
    fs::create_dir(&empty).unwrap();
    machine.run("prune").assert(0, "");
    assert!(!empty.exists());
}

#[test]
fn two_that_remove_one_container_do_not_fail_each_other() {
    let Some(machine) = machine("two_that_remove_one_container_do_not_fail_each_other") else {
        return;
    };
    for _ in 0..rounds(10) {
        machine.run("run --name twice --network none host true").assert(0, "");
        let lines = [machine.line("rm twice"), machine.line("rm twice"), machine.line("prune")];
        let processes = lines.map(|line| machine.start(&line));
        let [first, second, pruned] = processes.map(|process| end(process, ""));
        pruned.assert(0, "");
        let (done, late) = if first.status == 0 { (first, second) } else { (second, first) };
        done.assert(0, "");
        late.assert_error(1, "there is no container of that name");
        machine.assert_clean();
    }
}

#[test]
fn what_a_killed_run_leaves_can_be_removed_by_name() {
    let Some(machine) = machine("what_a_killed_run_leaves_can_be_removed_by_name") else { return };
    let script = "touch /x/up; sleep 60";
    let words = "run --name killed -v @/:/x --network none host";
    let mut process = machine.start(&machine.script(words, script));
    wait_for(&machine.path("up"));
    process.kill().unwrap();
    process.wait().unwrap();
    machine.run("rm killed").assert(0, "");
    machine.assert_clean();
}
