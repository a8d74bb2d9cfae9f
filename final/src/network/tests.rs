//! Everything runs for real, in network namespaces that play the host, its containers and others.

mod address;
mod host;
mod publish;
mod support;

use std::collections::HashSet;

use support::{Namespace, Stage, output};

use super::*;

/// A container with nothing but these published ports.
fn with_ports(ports: &[&str]) -> Plan {
    Plan { ports: ports.iter().map(|port| port.parse().unwrap()).collect(), ..Plan::default() }
}

#[test]
fn a_container_gets_an_address_and_a_way_out() {
    Stage::play("a_container_gets_an_address_and_a_way_out", |stage| {
        let container = stage.start("first", &Plan::default());
        assert_eq!(container.attachment.ip, Some(Ipv4Addr::new(10, 20, 30, 2)));
        let seen = container.run(|| output("ip -brief address; ip route; ip link show eth0"));
        assert!(seen.contains("10.20.30.2/24"), "{seen}");
        assert!(seen.contains("default via 10.20.30.1 dev eth0"), "{seen}");
        assert!(seen.contains("02:42:0a:14:1e:02"), "{seen}");
        container.run(|| output("ping -c1 -W2 10.20.30.1; ping -c1 -W2 127.0.0.1"));
        output("ping -c1 -W2 10.20.30.2");
        container.end(stage);
    });
}

#[test]
fn many_containers_start_at_once() {
    Stage::play("many_containers_start_at_once", |stage| {
        let home = Namespace::here();
        let start = &|thread: usize| -> Vec<_> {
            home.enter();
            (0..10).map(|n| stage.start(&format!("c{thread}-{n}"), &Plan::default())).collect()
        };
        let containers: Vec<Vec<_>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|thread| scope.spawn(move || start(thread))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let containers: Vec<_> = containers.into_iter().flatten().collect();
        let hosts: HashSet<_> = containers.iter().map(|it| it.attachment.ip.unwrap()).collect();
        assert_eq!(hosts.len(), 60);
        for ip in hosts {
            output(&format!("ping -c1 -W2 {ip}"));
        }
        for container in containers {
            container.end(stage);
        }
    });
}
