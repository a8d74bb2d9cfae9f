//! Everything runs for real, in network namespaces that play the host, its containers and others.

mod address;
mod host;
mod publish;
mod support;

use support::{Stage, output};

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
