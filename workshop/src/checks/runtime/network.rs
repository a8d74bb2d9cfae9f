//! Addresses and ports that one asks for, and the host as it was before.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::checks::Stage::Final;
use crate::checks::network::{links_inside, name};
use crate::checks::{Check, Kind, Lab, Verdict};
use crate::container::{Subject, token};
use crate::network::{fetch_from, ip, within};
use crate::wait::until;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "ip-option",
        title: "with --ip 10.20.30.40, loopback and a veth with that address are up",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p final -- run --rm --ip 10.20.30.40 host ip address",
        probe: |lab| lab.with(&["--ip", "10.20.30.40"], links_inside),
    },
    Check {
        name: "published-port",
        title: "with -p 8080:80, port 8080 of the host leads to port 80 of the container",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "run -p 8080:80 with a server inside, then curl 127.0.0.1:8080 outside",
        probe: published_port,
    },
    Check {
        name: "host-put-back",
        title: "after the last container, links, nft rules and settings of the host are as before",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "ip link; nft list ruleset; sysctl net.ipv4.ip_forward; before and after",
        probe: host_put_back,
    },
    Check {
        name: "prune",
        title: "what a killed `run` leaves, `prune` removes",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "kill -9 the process of `run`, then cargo run -p final prune",
        probe: prune,
    },
];

const PORTS: [&str; 2] = ["--publish", "8080:80"];

fn published_port(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold_with(&PORTS, ":")?;
    let host = lab.cage.thread;
    let mut answers = Vec::new();
    for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 20, 30, 1)] {
        let word = token();
        let inside = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 80);
        let port = SocketAddrV4::new(address, 8080);
        let fetched = fetch_from(held.command, inside, host, port, word.clone());
        let answer = match fetched {
            Ok(text) if text == word => "the container answers".to_string(),
            Ok(text) => format!("{text:?} comes"),
            Err(error) => format!("{error:#}"),
        };
        answers.push(format!("{address}:8080: {answer}"));
    }
    let found = answers.join("; ");
    let expected = "127.0.0.1:8080: the container answers; 10.20.30.1:8080: the container answers";
    let meaning = "A rule of nftables must send what comes for the port to the container's address, \
                   and what the host itself sends, too.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

/// What a container changes of the host's network.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    links: Vec<String>,
    rules: String,
    forwards: String,
}

impl Host {
    fn of(lab: &Lab) -> Result<Self> {
        let links = ip(lab.cage.thread, "link")?;
        let (rules, forwards) = within(lab.cage.thread, || {
            let nft = Command::new("nft").args(["list", "ruleset"]).output();
            let nft = nft.context("cannot start nft. Install the package nftables")?;
            let forwards = fs::read_to_string("/proc/sys/net/ipv4/ip_forward");
            let rules = String::from_utf8_lossy(&nft.stdout).into_owned();
            Ok((rules, forwards.context("cannot read ip_forward")?.trim().to_string()))
        })?;
        Ok(Self {
            links: links.iter().map(|link| name(link).to_string()).collect(),
            rules,
            forwards,
        })
    }

    fn describe(&self) -> String {
        let rules = self.rules.lines().count();
        let links = self.links.join(" ");
        format!("links {links}, {rules} lines of nft rules, ip_forward {}", self.forwards)
    }
}

fn host_put_back(lab: &Lab) -> Result<Verdict> {
    let before = Host::of(lab)?;
    let held = lab.hold(":")?;
    let during = Host::of(lab)?;
    if during == before {
        bail!("the container changes nothing: {}", during.describe());
    }
    held.end()?;
    compare(lab, &before, "Who changes the host for containers puts it back after the last one.")
}

fn prune(lab: &Lab) -> Result<Verdict> {
    let before = Host::of(lab)?;
    let mounts = lab.cage.mounts()?;
    let mut held = lab.hold_with(&PORTS, "sleep 30 &")?;
    held.kill_run()?;
    let words = &lab.subject.words;
    let at = words.iter().position(|word| word == "run").unwrap_or_default();
    let words = words[..at].iter().cloned().chain(["prune".into()]).collect();
    let pruned =
        Subject { binary: lab.subject.binary.clone(), words }.run::<&str>(lab.cage, &[])?;
    if pruned.status != 0 {
        bail!("prune fails. {}", pruned.describe());
    }
    let meaning =
        "A killed process cannot clean up: what it made must be written down before it is made.";
    let mut verdict = compare(lab, &before, meaning)?;
    let (processes, cgroups) = (lab.cage.processes().len(), lab.cage.cgroups().len());
    verdict.holds &= processes + cgroups == 0 && lab.cage.mounts()? == mounts;
    verdict.expected += ", 0 processes, 0 cgroups, mounts as before";
    let mounts = if lab.cage.mounts()? == mounts { "as before" } else { "others" };
    verdict.found += &format!(", {processes} processes, {cgroups} cgroups, mounts {mounts}");
    Ok(verdict)
}

fn compare(lab: &Lab, before: &Host, meaning: &str) -> Result<Verdict> {
    let mut after = Host::of(lab)?;
    // Some of it goes in the background.
    until(Duration::from_secs(10), || {
        after = Host::of(lab).unwrap_or_else(|_| after.clone());
        after == *before
    });
    Ok(Verdict::new(after == *before, before.describe(), after.describe(), meaning))
}
