//! Step 10: a network namespace, a bridge and a veth pair (network_namespaces(7), veth(4)).

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;
use serde_json::Value;

use super::Stage::{Final, Step};
use super::uts::own_namespace;
use super::{Check, Kind, LAST, Lab, Verdict};
use crate::container::token;
use crate::kernel;
use crate::network::{addresses, fetch, ip, ping};
use crate::wait::until;

pub(super) const BRIDGE: &str = "mydocker0";
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 20, 30, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 20, 30, 40);

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "network-namespace",
        title: "the command has a network namespace of its own",
        since: Step(10),
        until: Final,
        kind: Kind::New,
        by_hand: "readlink /proc/$$/ns/net, inside and outside",
        probe: network_namespace,
    },
    Check {
        name: "links-inside",
        title: "inside, loopback and a veth with 10.20.30.40/24 are up",
        since: Step(10),
        until: LAST,
        kind: Kind::New,
        by_hand: "ip address, inside",
        probe: links_inside,
    },
    Check {
        name: "bridge",
        title: "outside, the bridge mydocker0 has 10.20.30.1/24 and the other end of the veth",
        since: Step(10),
        until: Final,
        kind: Kind::New,
        by_hand: "ip address show mydocker0; ip link show master mydocker0",
        probe: bridge,
    },
    Check {
        name: "default-route",
        title: "the default route leads to the bridge",
        since: Step(10),
        until: Final,
        kind: Kind::New,
        by_hand: "ip route, inside",
        probe: default_route,
    },
    Check {
        name: "ping",
        title: "the container can ping the host and the host the container",
        since: Step(10),
        until: Final,
        kind: Kind::New,
        by_hand: "ping 10.20.30.1 inside; ping outside what ip address shows inside",
        probe: pings,
    },
    Check {
        name: "servers",
        title: "the host reaches a server in the container, and the other way round",
        since: Step(10),
        until: Final,
        kind: Kind::New,
        by_hand: "python3 -m http.server on one side, curl on the other",
        probe: servers,
    },
    Check {
        name: "two-at-once",
        title: "a second container gets another address, or is told why not",
        since: Step(10),
        until: Final,
        kind: Kind::New,
        by_hand: "the same command in two terminals",
        probe: two_at_once,
    },
    Check {
        name: "links-removed",
        title: "afterwards the veth is gone and the bridge stays",
        since: Step(10),
        until: LAST,
        kind: Kind::New,
        by_hand: "ip link, after the run",
        probe: links_removed,
    },
];

fn network_namespace(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    own_namespace(
        lab,
        held.command,
        "net",
        "The child must be started in, or enter, a new network namespace.",
    )
}

pub(super) fn name(link: &Value) -> &str {
    link["ifname"].as_str().unwrap_or("?")
}

pub(super) fn is_up(link: &Value) -> bool {
    link["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"))
}

/// The link in the container's network that has an address other than loopback's.
pub(super) fn interface(lab: &Lab, pid: Pid) -> Result<Value> {
    if kernel::namespace(pid, "net")? == kernel::namespace(lab.cage.thread, "net")? {
        bail!("the command is in the host's network namespace");
    }
    let links = ip(pid, "address")?;
    let found = links.into_iter().find(|link| name(link) != "lo" && !addresses(link).is_empty());
    found.context("no link but loopback has an address in the container")
}

/// The other end of a veth, among the links of another network.
pub(super) fn peer_of<'a>(link: &Value, links: &'a [Value]) -> Option<&'a Value> {
    links.iter().find(|other| other["ifindex"] == link["link_index"])
}

/// The container's own address.
fn address(lab: &Lab, pid: Pid) -> Result<Ipv4Addr> {
    let list = addresses(&interface(lab, pid)?);
    let (ip, _) = list.first().and_then(|it| it.split_once('/')).context("no address inside")?;
    ip.parse().with_context(|| format!("{ip} is no address"))
}

pub(super) fn links_inside(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    // Some machines put a link of each kind into every new namespace, down and without use.
    let mut links = ip(held.command, "address")?;
    links.retain(|link| name(link) == "lo" || is_up(link));
    let shown: Vec<String> = links
        .iter()
        .map(|link| {
            format!(
                "{} {} {}",
                name(link),
                if is_up(link) { "up" } else { "down" },
                addresses(link).join(" ")
            )
        })
        .collect();
    let loopback = links.iter().any(|link| name(link) == "lo" && is_up(link));
    let wanted = format!("{ADDRESS}/24");
    let veth = links
        .iter()
        .any(|link| name(link) != "lo" && is_up(link) && addresses(link).contains(&wanted));
    let holds = loopback && veth && links.len() == 2;
    let expected = format!("lo up 127.0.0.1/8, and one more link up with {wanted}");
    let meaning = "A new network namespace has a loopback interface only, and even that is down.";
    Ok(Verdict::new(holds, expected, shown.join("; "), meaning))
}

fn bridge(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let inside = interface(lab, held.command)?;
    let links = ip(lab.cage.thread, "address")?;
    let bridge =
        links.iter().find(|link| name(link) == BRIDGE).context("there is no bridge mydocker0")?;
    let peer = peer_of(&inside, &links).filter(|link| link["master"] == BRIDGE);
    let holds =
        is_up(bridge) && addresses(bridge) == [format!("{GATEWAY}/24")] && peer.is_some_and(is_up);
    let found = format!(
        "{BRIDGE} {} {}, with {}",
        if is_up(bridge) { "up" } else { "down" },
        addresses(bridge).first().map_or("without an address", String::as_str),
        peer.map_or("no port that leads to the container".to_string(), |peer| format!(
            "the port {}",
            name(peer)
        )),
    );
    let expected = format!("{BRIDGE} up {GATEWAY}/24, with a port that leads to the container");
    let meaning =
        "One end of the veth goes into the container, the other becomes a port of the bridge.";
    Ok(Verdict::new(holds, expected, found, meaning))
}

fn default_route(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let routes = ip(held.command, "route")?;
    let default = routes.iter().find(|route| route["dst"] == "default");
    let own = interface(lab, held.command)?;
    let holds = default.is_some_and(|it| {
        it["gateway"] == GATEWAY.to_string().as_str() && it["dev"] == own["ifname"]
    });
    let found = match default {
        Some(route) => {
            format!("default via {} dev {}", route["gateway"], route["dev"]).replace('"', "")
        }
        None => format!("{} routes, none of them default", routes.len()),
    };
    let expected = format!("default via {GATEWAY} dev {}", name(&own));
    let meaning = "The route can be added only once the link is up and has its address.";
    Ok(Verdict::new(holds, expected, found, meaning))
}

fn pings(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let own = address(lab, held.command)?;
    let out = ping(held.command, GATEWAY)?;
    let back = ping(lab.cage.thread, own)?;
    let tell = |answer| if answer { "answers" } else { "does not answer" };
    let found = format!("{GATEWAY} {}, {own} {}", tell(out), tell(back));
    let expected = format!("{GATEWAY} answers, {own} answers");
    let meaning = "Both ends of the veth and the bridge must be up, and both sides have an address in 10.20.30.0/24.";
    Ok(Verdict::new(out && back, expected, found, meaning))
}

fn servers(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let (host, container) = (lab.cage.thread, held.command);
    let own = address(lab, container)?;
    let word = token();
    let inside = fetch(container, own, host, word.clone())?;
    let outside = fetch(host, GATEWAY, container, word.clone())?;
    let found = format!("{inside} from inside, {outside} from outside");
    let expected = format!("{word} from inside, {word} from outside");
    let meaning = "TCP does not get through between the host and the container.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

fn two_at_once(lab: &Lab) -> Result<Verdict> {
    let first = lab.hold(":")?;
    let one = addresses(&interface(lab, first.command)?);
    let expected = "another address in 10.20.30.0/24, or status 125 and a reason";
    let meaning = "Two containers with the same address disturb each other.";
    let second = match lab.hold(":") {
        Ok(second) => second,
        Err(refusal) => {
            let found = format!("{refusal:#}");
            return Ok(Verdict::new(found.contains("Status 125"), expected, found, meaning));
        }
    };
    let other = addresses(&interface(lab, second.command)?);
    let reached = ping(second.command, address(lab, first.command)?)?;
    let found = format!(
        "{} and {}, and the second {} the first",
        one.join(" "),
        other.join(" "),
        if reached { "reaches" } else { "does not reach" }
    );
    Ok(Verdict::new(one != other && reached, expected, found, meaning))
}

fn links_removed(lab: &Lab) -> Result<Verdict> {
    let names = || -> Result<Vec<String>> {
        Ok(ip(lab.cage.thread, "link")?.iter().map(|link| name(link).to_string()).collect())
    };
    let mut rest = names()?;
    rest.push(BRIDGE.to_string());
    let held = lab.hold(":")?;
    interface(lab, held.command)?;
    held.end()?;
    // The kernel takes the namespace down in the background.
    until(Duration::from_secs(3), || names().is_ok_and(|names| names == rest));
    let names = names()?;
    let meaning = "A veth goes with the network namespace that one of its ends is in, once nothing keeps that alive.";
    Ok(Verdict::new(names == rest, rest.join(" "), names.join(" "), meaning))
}
