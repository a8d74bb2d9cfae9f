//! Containers on the bridge: who reaches whom, and what becomes of the host's network.

use std::fs;

use crate::inside::play;
use crate::machine::{Machine, end, machine, wait_for};

/// Another host, 192.0.2.2, that the machine reaches as 192.0.2.1.
const NEIGHBOUR: &str = "ip netns add other
    ip link add wan type veth peer name wan netns other
    ip address add 192.0.2.1/24 dev wan; ip link set wan up
    ip -n other address add 192.0.2.2/24 dev wan; ip -n other link set wan up
    ip -n other link set lo up";

const PLAIN: &str = "run --rm host true";

/// Asks for a port with nothing but bash, and repeats the answer.
fn ask(protocol: &str, ip: &str, port: u16) -> String {
    // In one read: what is left of a datagram then is lost.
    let talk = "echo hi >&3 && dd bs=99 count=1 status=none <&3";
    format!("bash -c 'exec 3<>/dev/{protocol}/{ip}/{port} && {talk}'")
}

#[test]
fn a_published_port_is_reached_and_the_world_is() {
    let Some(machine) = machine("a_published_port_is_reached_and_the_world_is") else { return };
    machine.host(NEIGHBOUR);
    let before = machine.network();
    let options =
        "run --rm --init --name web -p 8080:80 -p 8080:80/udp -p 127.0.0.1:9090:80 -v @/:/x";
    let process = machine.start(&machine.line(&play("serve", options)));
    wait_for(&machine.path("served"));
    let from_other = |ask: String| machine.host(&format!("ip netns exec other timeout 5 {ask}"));
    assert_eq!(from_other(ask("tcp", "192.0.2.1", 8080)), "hello 192.0.2.2\n");
    assert_eq!(from_other(ask("udp", "192.0.2.1", 8080)), "hello 192.0.2.2\n");
    for (ip, port) in [("127.0.0.1", 8080), ("192.0.2.1", 8080), ("127.0.0.1", 9090)] {
        assert!(machine.host(&ask("tcp", ip, port)).starts_with("hello "), "{ip}:{port}");
        assert!(machine.host(&ask("udp", ip, 8080)).starts_with("hello "), "{ip}");
    }
    let closed = ask("tcp", "192.0.2.1", 9090);
    assert_eq!(from_other(format!("{closed} 2>/dev/null || echo closed")), "closed\n");
    // From a container: to the port, to that container itself, and out into the world.
    let script = format!("{}; {}", ask("tcp", "192.0.2.1", 8080), ask("tcp", "10.20.30.2", 80));
    machine
        .shell(
            "run --rm --ip 10.20.30.9 host",
            &format!("{script}; ping -qc1 192.0.2.2 >/dev/null"),
        )
        .assert(0, "hello 10.20.30.1\nhello 10.20.30.9");
    // Who else wants the port, a container or a program of the host?
    machine.run("run --rm -p 8080:1 host true").assert_error(125, "the container web");
    machine.run("run --rm -p 8081:80 --network host host true").assert_error(125, "--network host");
    machine.stop(process);
    let gone = ask("tcp", "192.0.2.1", 8080);
    assert_eq!(from_other(format!("{gone} 2>/dev/null || echo gone")), "gone\n");
    machine.run("prune").assert(0, "");
    machine.assert_network(&before);
    machine.host("ip link delete wan; ip netns delete other; umount /run/netns");
    machine.assert_clean();
}

#[test]
fn a_port_that_a_program_of_the_host_has_is_refused() {
    let Some(machine) = machine("a_port_that_a_program_of_the_host_has_is_refused") else { return };
    let options = "run --rm --init --network host -v @/:/x";
    let process = machine.start(&machine.line(&play("serve", options)));
    wait_for(&machine.path("served"));
    machine.run("run --rm -p 80:80 host true").assert_error(125, "Address already in use");
    machine.run("run --rm -p 80:80/udp host true").assert_error(125, "Address already in use");
    machine.run("run --rm -p 192.0.2.77:8080:80 host true").assert_error(125, "192.0.2.77");
    for port in ["0:80", "80:0", "70000:80", "80:70000", "80", "-1:80", "80:80/sctp"] {
        let ended = machine.run(&format!("run --rm -p={port} host true"));
        assert_eq!(ended.status, 2, "{port}: {ended:?}");
    }
    machine.stop(process);
    machine.run("prune").assert(0, "");
    machine.assert_clean();
}

#[test]
fn what_a_run_changes_on_the_host_is_put_back() {
    let Some(machine) = machine("what_a_run_changes_on_the_host_is_put_back") else { return };
    for forward in ["0", "1"] {
        machine.host(&format!("echo {forward} > /proc/sys/net/ipv4/ip_forward"));
        let before = machine.network();
        let first = waiting(&machine, "first");
        // The second to go is the last one.
        machine.run("run --rm -p 8080:80 host true").assert(0, "");
        assert_eq!(machine.host("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
        machine.run("prune").assert(0, "");
        assert!(machine.host("ip -o link show mydocker0").contains(",UP"));
        first.end(&machine);
        machine.run("prune").assert(0, "");
        machine.assert_network(&before);
    }
    // Neither is anything touched that was there before and belongs to others.
    machine.host("nft add table ip other; ip link add mydocker1 type bridge; ip link set lo up");
    let before = machine.network();
    machine.run(PLAIN).assert(0, "");
    machine.run("prune").assert(0, "");
    machine.assert_network(&before);
    machine.assert_clean();
}

/// A container that runs until it is told to end.
struct Waiting(std::process::Child, String);

fn waiting(machine: &Machine, name: &str) -> Waiting {
    let script = format!("touch /x/{name}-up; while [ ! -e /x/{name}-end ]; do sleep 0.02; done");
    let process =
        machine.start(&machine.script(&format!("run --rm --name {name} -v @/:/x host"), &script));
    wait_for(&machine.path(&format!("{name}-up")));
    Waiting(process, name.to_string())
}

impl Waiting {
    fn end(self, machine: &Machine) {
        let told = machine.write(&format!("{}-end", self.1), "");
        end(self.0, "").assert(0, "");
        fs::remove_file(told).unwrap();
        fs::remove_file(machine.path(&format!("{}-up", self.1))).unwrap();
    }
}

#[test]
fn a_bridge_that_goes_in_the_middle_of_a_run_comes_back_with_the_next() {
    let Some(machine) =
        machine("a_bridge_that_goes_in_the_middle_of_a_run_comes_back_with_the_next")
    else {
        return;
    };
    let before = machine.network();
    let first = waiting(&machine, "first");
    machine.host("ip link delete mydocker0");
    machine
        .shell("run --rm host", "ping -qc1 -W5 10.20.30.2 >/dev/null && echo reached")
        .assert(0, "reached");
    machine.host("ip link delete mydocker0");
    first.end(&machine);
    machine.run("prune").assert(0, "");
    machine.assert_network(&before);
    machine.assert_clean();
}

#[test]
fn when_all_addresses_are_taken_it_is_said_and_they_come_back() {
    let Some(machine) = machine("when_all_addresses_are_taken_it_is_said_and_they_come_back")
    else {
        return;
    };
    let before = machine.network();
    let first = waiting(&machine, "first");
    // As if 252 more had been started, and killed.
    machine.host(&format!(
        "cd $(dirname $(find /run {} -name 10.20.30.2))
         for host in $(seq 3 254); do cp -P 10.20.30.2 10.20.30.$host; done",
        machine.root().display()
    ));
    machine.run(PLAIN).assert_error(125, "containers have all from 10.20.30.2 to 10.20.30.254");
    machine.run("run --rm --ip 10.20.30.77 host true").assert_error(125, "the container first");
    machine.run("run --rm --network none host true").assert(0, "");
    first.end(&machine);
    machine.shell("run --rm host", "ip -o addr show eth0 | grep -c '10.20.30.2/24'").assert(0, "1");
    machine.run("prune").assert(0, "");
    machine.run("run --rm --ip 10.20.30.77 host true").assert(0, "");
    machine.run("prune").assert(0, "");
    machine.assert_network(&before);
    machine.assert_clean();
}

#[test]
fn a_network_in_the_way_is_named_and_left_alone() {
    let Some(machine) = machine("a_network_in_the_way_is_named_and_left_alone") else { return };
    machine.host("ip link add wan type veth peer name far; ip address add 10.20.30.9/25 dev wan");
    let before = machine.network();
    machine.run(PLAIN).assert_error(125, "10.20.30.9/25 already leads to wan");
    machine.run("run --rm --network none host true").assert(0, "");
    machine.run("prune").assert(0, "");
    machine.assert_network(&before);
    machine.assert_clean();
}

#[test]
fn neither_nft_nor_ip_need_to_be_installed() {
    let Some(machine) = machine("neither_nft_nor_ip_need_to_be_installed") else { return };
    let before = machine.network();
    let mut line: Vec<_> = ["env", "PATH=/nowhere"].map(Into::into).into();
    line.extend(machine.script("run --rm -p 8080:80 host", "ping -qc1 10.20.30.1 >/dev/null"));
    end(machine.start(&line), "").assert(0, "");
    machine.run("prune").assert(0, "");
    machine.assert_network(&before);
}

#[test]
fn where_forwarding_is_dropped_the_host_is_still_reached() {
    let Some(machine) = machine("where_forwarding_is_dropped_the_host_is_still_reached") else {
        return;
    };
    machine.host(
        "nft add table ip filter
         nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'",
    );
    let before = machine.network();
    let ended = machine.shell("run --rm host", "ping -qc1 10.20.30.1 >/dev/null && echo reached");
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "reached\n"), "{ended:?}");
    machine.run("prune").assert(0, "");
    machine.assert_network(&before);
}
