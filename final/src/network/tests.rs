//! Everything runs for real, in network namespaces that play the host and its containers.

mod support;

use std::os::fd::AsFd;

use support::{Namespace, Stage, output};

use super::*;

fn plan() -> Plan {
    Plan::default()
}

#[test]
fn a_container_gets_an_address_and_a_way_out() {
    let Some(stage) = Stage::set("a_container_gets_an_address_and_a_way_out") else { return };
    stage.host.run({
        let root = stage.root.path().to_owned();
        move || {
            let inside = Namespace::new();
            let attachment = intent(&plan(), "first", &root).unwrap();
            assert_eq!(attachment.ip, Some(Ipv4Addr::new(10, 20, 30, 2)));
            assert_eq!(attach(&attachment, inside.as_fd(), &root).unwrap(), Vec::<String>::new());
            let seen = inside.run(|| {
                output("ip -brief address; ip route; cat /sys/class/net/eth0/address || true")
            });
            assert!(seen.contains("10.20.30.2/24"), "{seen}");
            assert!(seen.contains("default via 10.20.30.1 dev eth0"), "{seen}");
            inside.run(|| output("ping -c1 -W2 10.20.30.1"));
            output("ping -c1 -W2 10.20.30.2");
            assert_eq!(output("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
            drop(inside);
            assert!(detach(&attachment, &root).is_empty());
            assert_eq!(output("cat /proc/sys/net/ipv4/ip_forward").trim(), "0");
            assert!(prune(&root, |_| true).is_empty());
            assert!(!output("ip link").contains("mydocker0:"));
        }
    });
}
