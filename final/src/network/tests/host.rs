//! What containers change on the host, and that it is put back.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use super::publish::{ask_tcp, sneak};
use super::support::{Namespace, Stage, output, patiently};
use super::with_ports;
use crate::network::{Mode, Plan, attach, detach, intent, settle};

const VALUES: &str = "cat /proc/sys/net/ipv4/ip_forward
    cat /proc/sys/net/ipv4/conf/mydocker0/route_localnet";

#[test]
fn the_last_container_puts_everything_back() {
    Stage::play("the_last_container_puts_everything_back", |stage| {
        let plain = stage.start("plain", &Plan::default());
        assert_eq!(output(VALUES), "1\n0\n");
        let web = stage.start("web", &with_ports(&["8080:80"]));
        assert_eq!(output(VALUES), "1\n1\n");
        assert!(output("nft list table ip mydocker").contains("dnat to 10.20.30.3:80"));
        web.end(stage);
        assert!(!output("nft list table ip mydocker").contains("dnat to"));
        // What is open to the host's own network for published ports is not open to containers.
        let private = TcpListener::bind("127.0.0.1:9000").unwrap();
        private.set_nonblocking(true).unwrap();
        assert!(plain.run(|| sneak(ask_tcp, "10.20.30.1", "127.0.0.1:9000")).is_err());
        assert_eq!(private.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(settle().is_empty());
        plain.run(|| output("ping -c1 -W2 192.0.2.1"));
        plain.end(stage);
        assert!(settle().is_empty());
        assert_eq!(output("cat /proc/sys/net/ipv4/ip_forward"), "0\n");
        assert_eq!(output("ip link show mydocker0 || echo none"), "none\n");
        assert_eq!(output("nft list tables"), "");
    });
}

#[test]
fn what_was_there_before_stays() {
    Stage::play("what_was_there_before_stays", |stage| {
        output(
            "ip link add mydocker0 address 02:42:0a:14:1e:01 type bridge
             ip address add 10.20.30.1/24 dev mydocker0; ip link set mydocker0 up
             echo 1 > /proc/sys/net/ipv4/ip_forward
             nft add table ip another",
        );
        stage.start("guest", &with_ports(&["8080:80"])).end(stage);
        assert!(settle().is_empty());
        assert_eq!(output(VALUES), "1\n0\n");
        assert_eq!(output("nft list tables"), "table ip another\n");
        output(
            "ip link show mydocker0; ip link delete mydocker0; nft delete table ip another
             echo 0 > /proc/sys/net/ipv4/ip_forward",
        );
    });
}

#[test]
fn a_bridge_that_others_use_stays() {
    Stage::play("a_bridge_that_others_use_stays", |stage| {
        let container = stage.start("first", &Plan::default());
        output("ip link add guest master mydocker0 type veth peer name guest0");
        container.end(stage);
        assert!(settle().is_empty());
        output("ip link show mydocker0; ip link delete guest; ip link delete mydocker0");
    });
}

#[test]
fn a_run_heals_what_somebody_broke() {
    Stage::play("a_run_heals_what_somebody_broke", |stage| {
        let first = stage.start("first", &with_ports(&["8080:80"]));
        output("ip link delete mydocker0; nft flush ruleset");
        let second = stage.start("second", &Plan::default());
        // Also for those who were there before.
        second.run(|| output("ping -c1 -W2 10.20.30.2; ping -c1 -W2 192.0.2.2"));
        let server = first.serve_tcp(80);
        assert_eq!(ask_tcp("127.0.0.1:8080").unwrap(), "hello");
        server.join().unwrap();
        first.end(stage);
        second.end(stage);
    });
}

#[test]
fn a_network_that_is_in_the_way_is_named() {
    Stage::play("a_network_that_is_in_the_way_is_named", |stage| {
        let ways = [
            ("ip address add 10.20.30.9/32 dev wan", "10.20.30.9/32 already leads to wan"),
            ("ip address add 10.0.0.1/8 dev wan", "10.0.0.1/8 already leads to wan"),
            ("ip route add 10.20.0.0/16 dev wan", "10.20.0.0/16 already leads to wan"),
            ("ip route add 10.20.30.128/25 dev wan", "10.20.30.128/25 already leads to wan"),
        ];
        for (add, error) in ways {
            output(add);
            let attachment = intent(&Plan::default(), "refused", stage.root).unwrap();
            let refused = attach(&attachment, Namespace::new().as_fd()).unwrap_err();
            assert!(refused.to_string().contains(error), "{refused}");
            assert!(detach(&attachment, stage.root).0.is_empty());
            output(&add.replace(" add ", " delete "));
        }
        // A default route is in nobody's way, even when a VPN writes it in two halves.
        output("ip route add 0.0.0.0/1 via 192.0.2.2; ip route add default via 192.0.2.2");
        stage.start("welcome", &Plan::default()).end(stage);
        output("ip route delete 0.0.0.0/1; ip route delete default");
    });
}

#[test]
fn a_port_that_is_taken_is_refused() {
    Stage::play("a_port_that_is_taken_is_refused", |stage| {
        let refused = |ports: &[&str]| {
            intent(&with_ports(ports), "refused", stage.root).unwrap_err().to_string()
        };
        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let error = refused(&["8080:80"]);
        let owner = format!("(process {})", std::process::id());
        assert!(error.contains("Address already in use") && error.contains(&owner), "{error}");
        // Not in the way: another address, another protocol.
        stage.start("beside", &with_ports(&["192.0.2.1:8080:80", "8080:80/udp"])).end(stage);
        drop(server);
        patiently(|| TcpListener::bind("0.0.0.0:8080"));
        let web = stage.start("web", &with_ports(&["8080:80"]));
        let error = refused(&["127.0.0.1:8080:81"]);
        assert!(error.contains("the container web of --root"), "{error}");
        let error = refused(&["81:80", "81:81"]);
        assert!(error.contains("81:80/tcp wants the same port"), "{error}");
        let error = refused(&["198.51.100.1:81:80"]);
        assert!(error.contains("198.51.100.1 is no address of this host"), "{error}");
        web.end(stage);
    });
}

#[test]
fn a_host_that_cannot_forward_still_has_a_bridge() {
    Stage::play("a_host_that_cannot_forward_still_has_a_bridge", |stage| {
        let host = Namespace::here();
        let in_a_sandbox = |plan: &Plan, inside: &Namespace| {
            let sandbox = || {
                host.enter();
                unshare(CloneFlags::CLONE_NEWNS).unwrap();
                output("mount --make-rprivate /; mount --bind /proc/sys /proc/sys");
                output("mount -o remount,bind,ro /proc/sys");
                let attachment = intent(plan, "sandboxed", stage.root).unwrap();
                let attached = attach(&attachment, inside.as_fd());
                (attachment, attached)
            };
            std::thread::scope(|scope| scope.spawn(sandbox).join().unwrap())
        };
        let inside = Namespace::new();
        let (attachment, attached) = in_a_sandbox(&Plan::default(), &inside);
        let warning = attached.unwrap().concat();
        assert!(warning.contains("reaches only this host: cannot write 1 to"), "{warning}");
        inside.run(|| output("ping -c1 -W2 10.20.30.1"));
        drop(inside);
        assert!(detach(&attachment, stage.root).0.is_empty());
        // But a port that nobody could reach is an error.
        let (attachment, attached) = in_a_sandbox(&with_ports(&["80:80"]), &Namespace::new());
        let error = attached.unwrap_err().to_string();
        assert!(error.contains("net/ipv4/ip_forward: Read-only file system"), "{error}");
        assert!(detach(&attachment, stage.root).0.is_empty());
    });
}

#[test]
fn without_a_bridge_there_is_only_lo() {
    Stage::play("without_a_bridge_there_is_only_lo", |stage| {
        let none = Plan { mode: Mode::None, ..Plan::default() };
        let container = stage.start("alone", &none);
        let links = container.run(|| output("ip -brief link; ping -c1 -W2 127.0.0.1 >/dev/null"));
        assert_eq!(links.lines().count(), 1, "{links}");
        container.end(stage);
        let plan = Plan { mode: Mode::None, ..with_ports(&["80:80"]) };
        let error = intent(&plan, "refused", stage.root).unwrap_err().to_string();
        assert!(error.contains("with --network none"), "{error}");
        // The host's network is not touched at all.
        let host = Plan { mode: Mode::Host, ..Plan::default() };
        stage.start("open", &host).end(stage);
        assert!(settle().is_empty());
    });
}

#[test]
fn a_firewall_that_drops_what_is_forwarded_is_named_once() {
    Stage::play("a_firewall_that_drops_what_is_forwarded_is_named_once", |stage| {
        let warnings = |name: &str| {
            let attachment = intent(&Plan::default(), name, stage.root).unwrap();
            let namespace = Namespace::new();
            let warnings = attach(&attachment, namespace.as_fd()).unwrap().concat();
            // What it says is so.
            let expected = warnings.is_empty() && name != "second";
            let patience = if expected { "-w5" } else { "-w1" };
            let reached = namespace.run(|| {
                Command::new("ping").args(["-qc1", patience, "192.0.2.2"]).output().unwrap().status
            });
            assert_eq!(reached.success(), expected, "{name}: {warnings}");
            (attachment, warnings)
        };
        let nft = "nft 'add table inet guard; add chain inet guard route { type filter hook forward priority 0; policy drop; }'";
        let docker = "-P FORWARD DROP; iptables -N DOCKER-USER; iptables -I FORWARD -j DOCKER-USER";
        let walls = [
            (
                nft.to_owned(),
                "nft insert rule inet guard route iifname mydocker0 accept;",
                "nft delete table inet guard",
            ),
            (
                "iptables -P FORWARD DROP".into(),
                "iptables -I FORWARD -i mydocker0 -j ACCEPT;",
                "nft delete table ip filter",
            ),
            (
                format!("iptables {docker}"),
                "iptables -I DOCKER-USER -i mydocker0 -j ACCEPT;",
                "nft delete table ip filter",
            ),
            (
                "iptables-legacy -P FORWARD DROP".into(),
                "iptables-legacy -I FORWARD -i mydocker0 -j ACCEPT;",
                "iptables-legacy -F; iptables-legacy -P FORWARD ACCEPT",
            ),
        ];
        for (build, cure, tear_down) in walls {
            output(&build);
            let (first, told) = warnings("first");
            assert!(told.contains(cure), "{told}");
            let (second, silence) = warnings("second");
            assert_eq!(silence, "");
            let (_, cure) = told.split_once("Let it pass: ").unwrap();
            output(cure);
            for attachment in [first, second] {
                assert!(detach(&attachment, stage.root).0.is_empty());
            }
            assert!(settle().is_empty());
            // Who has followed the advice is not told again.
            let (third, silence) = warnings("third");
            assert_eq!(silence, "");
            assert!(detach(&third, stage.root).0.is_empty());
            assert!(settle().is_empty());
            output(tear_down);
        }
    });
}
