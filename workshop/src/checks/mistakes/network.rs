//! Step 10: a network namespace, a bridge and a veth pair.

use anyhow::{Context, Result};
use serde_json::Value;

use super::super::network::{BRIDGE, interface, is_up, name, peer_of};
use super::super::{LAST, Stage::Step};
use super::{Lab, Mistake};
use crate::kernel;
use crate::mountinfo;
use crate::network::{addresses, ip};

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "route-too-early",
        since: Step(10),
        until: LAST,
        explains: &[
            "command-runs",
            "network-namespace",
            "links-inside",
            "bridge",
            "default-route",
            "ping",
            "servers",
            "two-at-once",
            "links-removed",
        ],
        says: "The kernel refused the default route: it knows no way to 10.20.30.1 as long as eth0 is down or has \
               no address in 10.20.30.0/24. Add the address, set the link up, and only then add the route.",
        made: route_too_early,
    },
    Mistake {
        name: "namespace-not-entered",
        since: Step(10),
        until: LAST,
        explains: &[
            "network-namespace",
            "links-inside",
            "bridge",
            "default-route",
            "ping",
            "servers",
            "two-at-once",
            "links-removed",
        ],
        says: "A network namespace has been made and named, but the command is in the host's: `ip netns add` moves \
               nobody. Open its file in /run/netns and enter it with setns(2) before the child is started.",
        made: namespace_not_entered,
    },
    Mistake {
        name: "bridge-down",
        since: Step(10),
        until: LAST,
        explains: &["bridge", "ping", "servers", "two-at-once"],
        says: "The bridge mydocker0 is down, and a bridge that is down passes nothing on: a new link always is. \
               ip link set mydocker0 up",
        made: bridge_down,
    },
    Mistake {
        name: "bridge-without-address",
        since: Step(10),
        until: LAST,
        explains: &["bridge", "ping", "servers"],
        says: "The bridge mydocker0 has no address, so the host is not on its network: 10.20.30.1 is nobody, and \
               the host knows no way to the container. ip address add 10.20.30.1/24 dev mydocker0",
        made: bridge_without_address,
    },
    Mistake {
        name: "veth-not-on-bridge",
        since: Step(10),
        until: LAST,
        explains: &["bridge", "ping", "servers", "two-at-once"],
        says: "The outer end of the veth pair is no port of the bridge: what comes out of the container ends there. \
               ip link set VETH master mydocker0",
        made: veth_not_on_bridge,
    },
    Mistake {
        name: "veth-down",
        since: Step(10),
        until: LAST,
        explains: &["bridge", "ping", "servers", "two-at-once"],
        says: "The outer end of the veth pair is on the bridge, but down. Both ends must be up, each is set up on \
               its own. ip link set VETH up",
        made: veth_down,
    },
    Mistake {
        name: "loopback-down",
        since: Step(10),
        until: LAST,
        explains: &["links-inside"],
        says: "The container's loopback interface is down, as in every new network namespace, so it cannot talk to \
               itself: not to 127.0.0.1, and not to its own address. ip -n NAME link set lo up",
        made: loopback_down,
    },
    Mistake {
        name: "wrong-prefix",
        since: Step(10),
        until: LAST,
        explains: &["links-inside"],
        says: "The container's address has another prefix than /24: it takes more, or fewer, addresses for its \
               neighbours than the bridge does. Without one, ip means /32. Say 10.20.30.40/24.",
        made: wrong_prefix,
    },
    Mistake {
        name: "no-default-route",
        since: Step(10),
        until: LAST,
        explains: &["default-route"],
        says: "The container has its address and the route to its neighbours that comes with it, but no default \
               route: it knows no way further. ip -n NAME route add default via 10.20.30.1",
        made: no_default_route,
    },
    Mistake {
        name: "address-taken-twice",
        since: Step(10),
        until: LAST,
        explains: &["two-at-once"],
        says: "Two containers have the same address at the same time: the first one does not hold on to it. A lock \
               lasts as long as its value; one that is bound to _ is dropped at once. Keep it until the end.",
        made: address_taken_twice,
    },
];

/// A refused route leaves nothing to look at: what `ip` says of it is all the evidence.
fn route_too_early(lab: &Lab) -> Result<bool> {
    let said = lab.run(&["true"])?.stderr;
    let refusals = ["Nexthop has invalid gateway", "Network is unreachable", "Network is down"];
    Ok(refusals.iter().any(|words| said.contains(words)))
}

fn namespace_not_entered(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let same =
        kernel::namespace(held.command, "net")? == kernel::namespace(lab.cage.thread, "net")?;
    // A named namespace is a mount on its name.
    Ok(same && mountinfo::of(held.run())?.iter().any(|mount| mount.kind == "nsfs"))
}

fn bridge_down(lab: &Lab) -> Result<bool> {
    with_bridge(lab, |bridge| !is_up(bridge))
}

fn bridge_without_address(lab: &Lab) -> Result<bool> {
    with_bridge(lab, |bridge| addresses(bridge).is_empty())
}

/// Is the bridge like this while a container runs?
fn with_bridge(lab: &Lab, like_this: impl Fn(&Value) -> bool) -> Result<bool> {
    let _held = lab.hold(":")?;
    let links = ip(lab.cage.thread, "address")?;
    Ok(links.iter().any(|link| name(link) == BRIDGE && like_this(link)))
}

fn veth_not_on_bridge(lab: &Lab) -> Result<bool> {
    with_outer_end(lab, |end| end["master"] != BRIDGE)
}

fn veth_down(lab: &Lab) -> Result<bool> {
    with_outer_end(lab, |end| end["master"] == BRIDGE && !is_up(end))
}

/// Is the outer end of the veth pair like this while a container runs?
fn with_outer_end(lab: &Lab, like_this: impl Fn(&Value) -> bool) -> Result<bool> {
    let held = lab.hold(":")?;
    let inner = interface(lab, held.command)?;
    let links = ip(lab.cage.thread, "address")?;
    Ok(peer_of(&inner, &links).is_some_and(like_this))
}

fn loopback_down(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let links = ip(held.command, "address")?;
    Ok(links.iter().any(|link| name(link) == "lo" && !is_up(link)))
}

fn wrong_prefix(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    let list = addresses(&interface(lab, held.command)?);
    let address = list.first().context("no address inside")?;
    Ok(address.starts_with("10.20.30.") && !address.ends_with("/24"))
}

fn no_default_route(lab: &Lab) -> Result<bool> {
    let held = lab.hold(":")?;
    interface(lab, held.command)?;
    Ok(!ip(held.command, "route")?.iter().any(|route| route["dst"] == "default"))
}

fn address_taken_twice(lab: &Lab) -> Result<bool> {
    let (one, other) = (lab.hold(":")?, lab.hold(":")?);
    let list = |pid| Ok::<_, anyhow::Error>(addresses(&interface(lab, pid)?));
    Ok(list(one.command)? == list(other.command)?)
}
