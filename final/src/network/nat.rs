//! Address translation: containers reach the world under the host's address, and the world reaches
//! their published ports. One table of nf_tables(8) does it, and touches nobody else's:
//!
//! ```text
//! table ip mydocker {
//!     chain postrouting {
//!         type nat hook postrouting priority srcnat
//!         ip saddr 10.20.30.0/24 oifname != "mydocker0" masquerade
//!         # With published ports: the answer has to come back through the host.
//!         ip saddr 127.0.0.0/8 oifname "mydocker0" masquerade
//!         ip saddr 10.20.30.0/24 oifname "mydocker0" ct status dnat masquerade
//!     }
//!     chain forward {
//!         type filter hook forward priority filter
//!         # What is not published is not reached from other hosts.
//!         iifname != "mydocker0" oifname "mydocker0" ct state new ct status ! dnat drop
//!     }
//!     chain loopback {
//!         type filter hook prerouting priority raw
//!         # route_localnet would let containers reach what listens on the host's 127.0.0.1. It stays
//!         # until the last container has gone, and so does this.
//!         iifname != "lo" ip daddr 127.0.0.0/8 drop
//!     }
//!     chain ports {
//!         tcp dport 8080 dnat to 10.20.30.2:80
//!     }
//!     chain prerouting {
//!         type nat hook prerouting priority dstnat
//!         fib daddr type local jump ports
//!     }
//!     chain output { ... the same, for what the host itself sends ... }
//! }
//! ```
//!
//! A packet must please every table: another one may drop what this one forwards, see
//! [`firewall`](super::firewall).

use std::net::Ipv4Addr;

use anyhow::Result;
use nix::errno::Errno;
use nix::libc::{
    NF_INET_FORWARD, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING, NF_INET_PRE_ROUTING,
    NF_IP_PRI_FILTER, NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC, NF_IP_PRI_RAW,
};

use super::netlink::Message;
use super::nftables::{
    self, Hook, add_base_chain, add_chain, add_rule, add_table, delete_table, get_table,
};
use super::port::Port;
use super::{BRIDGE, failed};

const TABLE: &str = "mydocker";

/// The leading bytes of the containers' addresses, and of the host's own.
const CONTAINERS: &[u8] = &[10, 20, 30];
const LOOPBACK: &[u8] = &[127];

const POSTROUTING: Hook = ("postrouting", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC);
const FORWARD: Hook = ("forward", "filter", NF_INET_FORWARD, NF_IP_PRI_FILTER);
const PREROUTING: Hook = ("prerouting", "nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST);
const OUTPUT: Hook = ("output", "nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST);
const GUARD: Hook = ("loopback", "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW);

/// Whether the table is there.
pub(super) fn exists() -> bool {
    nftables::open().and_then(|mut socket| socket.ask(get_table(TABLE), |_| {})).is_ok()
}

/// Makes the table anew, in one transaction: it follows from the ports that are published now.
pub(super) fn apply(ports: &[(Ipv4Addr, Port)]) -> Result<()> {
    let mut messages = Vec::new();
    if exists() {
        messages.push(delete_table(TABLE));
    }
    messages.push(add_table(TABLE));
    messages.extend(reach_out());
    if !ports.is_empty() {
        messages.extend(publish(ports));
    }
    nftables::open().and_then(|mut socket| socket.commit(messages)).map_err(|error| {
        let cure = "Does the kernel have nf_tables? Load it: modprobe -a nf_tables nft_chain_nat \
                    nft_masq nft_ct nft_fib_ipv4";
        failed(format!("translate addresses for {BRIDGE}"), error, cure)
    })
}

/// Removes the table.
pub(super) fn remove() -> Result<()> {
    if !exists() {
        return Ok(());
    }
    match nftables::open().and_then(|mut socket| socket.commit([delete_table(TABLE)])) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => {
            let cure = format!("Try: nft delete table ip {TABLE}");
            Err(failed(format!("remove the table {TABLE} of nf_tables"), error, &cure))
        }
    }
}

/// From the containers to the world, and not to the host's own 127.0.0.1.
fn reach_out() -> impl Iterator<Item = Message> {
    [
        add_base_chain(TABLE, POSTROUTING),
        add_rule(TABLE, POSTROUTING.0, |packet| {
            packet.saddr(CONTAINERS).oifname_not(BRIDGE).masquerade()
        }),
        add_base_chain(TABLE, FORWARD),
        add_rule(TABLE, FORWARD.0, |packet| {
            packet.iifname_not(BRIDGE).oifname(BRIDGE).ct_new().ct_not_dnat().drop()
        }),
        add_base_chain(TABLE, GUARD),
        add_rule(TABLE, GUARD.0, |packet| packet.iifname_not("lo").daddr(LOOPBACK).drop()),
    ]
    .into_iter()
}

/// From the world, the host and the containers to published ports.
fn publish(ports: &[(Ipv4Addr, Port)]) -> impl Iterator<Item = Message> {
    let redirects = ports.iter().map(|(ip, port)| {
        add_rule(TABLE, "ports", |packet| {
            let packet = match &port.ip {
                Some(ip) => packet.daddr(&ip.octets()),
                None => packet,
            };
            packet.dport(port.protocol, port.host).dnat(*ip, port.container)
        })
    });
    let ways = [PREROUTING, OUTPUT].into_iter().flat_map(|hook| {
        let dports = add_rule(TABLE, hook.0, |packet| packet.daddr_is_local().jump("ports"));
        [add_base_chain(TABLE, hook), dports]
    });
    let answers = [
        add_rule(TABLE, POSTROUTING.0, |packet| {
            packet.saddr(LOOPBACK).oifname(BRIDGE).masquerade()
        }),
        add_rule(TABLE, POSTROUTING.0, |packet| {
            packet.saddr(CONTAINERS).oifname(BRIDGE).ct_dnat().masquerade()
        }),
    ];
    [add_chain(TABLE, "ports")].into_iter().chain(redirects).chain(ways).chain(answers)
}
