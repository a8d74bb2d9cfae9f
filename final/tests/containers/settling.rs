//! What containers change on the host's network, and that it is put back.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use workshop::wait::until;

use crate::machine::{Machine, PATIENCE, end, machine, wait_for};

/// What the machine's network looks like.
fn network(machine: &Machine) -> String {
    shell(
        machine,
        "ip -o link | cut -d' ' -f2; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward
         find /run/containers-from-scratch -mindepth 2",
    )
}

/// What a line of shell on the machine says.
fn shell(machine: &Machine, script: &str) -> String {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    let output = machine.cage.inside(move || command.output().unwrap()).unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Starts a container that is up until it is told to end by a file.
fn start(machine: &Machine, root: &Path, name: &str) -> std::process::Child {
    let mut line = machine.line(&format!("run --rm --name {name} -v @/:/x host sh -c"));
    line[2] = root.into();
    line.push(format!("touch /x/{name}; while [ ! -e /x/end-{name} ]; do sleep 0.02; done").into());
    let process = machine.start(&line);
    wait_for(&machine.path(name));
    process
}

#[test]
fn the_last_container_puts_the_host_back() {
    let Some(machine) = machine("the_last_container_puts_the_host_back") else { return };
    shell(&machine, "echo 0 > /proc/sys/net/ipv4/ip_forward");
    let before = network(&machine);
    let first = start(&machine, &machine.root(), "first");
    machine.run("run --rm -p 8080:80 host true").assert(0, "");
    std::thread::sleep(Duration::from_millis(2500));
    // Not as long as there is one.
    let during = network(&machine);
    assert!(during.contains("mydocker0:\n") && during.contains("table ip mydocker"), "{during}");
    machine.write("end-first", "");
    end(first, "").assert(0, "");
    assert!(until(PATIENCE, || network(&machine) == before), "{}", network(&machine));
    machine.assert_clean();
}

#[test]
fn nobody_waits_for_the_one_who_puts_the_host_back() {
    let Some(machine) = machine("nobody_waits_for_the_one_who_puts_the_host_back") else { return };
    let before = network(&machine);
    // It holds neither the pipe nor the terminal, nor what the shell has open besides.
    let line = machine.line("run --rm host echo done");
    let script = "exec 7>&1; \"$@\" | cat; : a descriptor of its own; \"$@\" 2>&1 | cat";
    let mut words: Vec<OsString> = ["sh", "-c", script, "-"].map(OsString::from).into();
    words.extend(line);
    let start = Instant::now();
    end(machine.start(&words), "").assert(0, "done\ndone");
    assert!(start.elapsed() < Duration::from_millis(1900), "{:?}", start.elapsed());
    let settlers = machine.cage.processes();
    assert_eq!(settlers.len(), 1, "{settlers:?}");
    assert!(until(PATIENCE, || network(&machine) == before), "{}", network(&machine));
}

#[test]
fn a_start_while_the_host_is_put_back_finds_a_network() {
    let Some(machine) = machine("a_start_while_the_host_is_put_back_finds_a_network") else {
        return;
    };
    let before = network(&machine);
    // The host is put back two seconds after each: these come just before, meanwhile and after.
    for round in 0..8 {
        machine
            .shell("run --rm host", "ping -qc1 -W2 10.20.30.1 >/dev/null && echo reached")
            .assert(0, "reached");
        std::thread::sleep(Duration::from_millis(1950 + 15 * round));
    }
    assert!(until(PATIENCE, || network(&machine) == before), "{}", network(&machine));
    machine.assert_clean();
}

#[test]
fn containers_of_two_roots_share_the_network() {
    let Some(machine) = machine("containers_of_two_roots_share_the_network") else { return };
    let before = network(&machine);
    let other = machine.path("other");
    machine.write("other/images/host.json", &{
        std::fs::read_to_string(machine.root().join("images/host.json")).unwrap()
    });
    let theirs = start(&machine, &other, "web");
    // What belongs to them stays: their address, the bridge, the way out.
    let during = network(&machine);
    machine.run("prune").assert(0, "");
    assert_eq!(network(&machine), during);
    machine.run("run --rm --ip 10.20.30.2 host true").assert_error(125, "web of --root");
    machine.shell("run --rm host", "ping -qc1 10.20.30.2 >/dev/null && echo up").assert(0, "up");
    // With its supervisor gone, nothing is left that anybody needs.
    let mut theirs = theirs;
    theirs.kill().unwrap();
    theirs.wait().unwrap();
    machine.run("prune").assert(0, "");
    assert!(until(PATIENCE, || network(&machine) == before), "{}", network(&machine));
    let mut line = machine.line("prune");
    line[2] = other.into();
    end(machine.start(&line), "").assert(0, "");
}
