//! Links and named network namespaces: a veth whose run is gone, a bridge without a veth.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, anyhow, bail};

use super::{Leftover, pid_after, processes};
use crate::output::reason;

const BRIDGE: &str = "mydocker0";

pub(super) fn find(_project: &Path) -> Result<Vec<Leftover>> {
    let Some(veths) = links("veth")? else { return Ok(Vec::new()) };
    let (stale, used): (Vec<_>, Vec<_>) = veths
        .into_iter()
        .filter(|link| link.bridge.as_deref() == Some(BRIDGE))
        .partition(|link| pid_after("veth", &link.name).is_some_and(|pid| !processes::runs(pid)));
    let mut leftovers: Vec<_> = stale.into_iter().map(|link| delete_link(link.name)).collect();
    if used.is_empty() && links("bridge")?.is_some_and(|all| all.iter().any(|l| l.name == BRIDGE)) {
        leftovers.push(Leftover { in_use: processes::live()?, ..delete_link(BRIDGE.to_string()) });
    }
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let stale = pid_after("mydocker-", &name).or_else(|| pid_after("mydocker", &name));
        if name == "mydocker" {
            leftovers.push(Leftover { in_use: processes::live()?, ..delete_namespace(name) });
        } else if stale.is_some_and(|pid| !processes::runs(pid)) {
            leftovers.push(delete_namespace(name));
        }
    }
    Ok(leftovers)
}

struct Link {
    name: String,
    bridge: Option<String>,
}

/// The links of one kind; none without `ip`, since no step can have made any.
fn links(kind: &str) -> Result<Option<Vec<Link>>> {
    let args = ["-oneline", "link", "show", "type", kind];
    let output = match Command::new("ip").args(args).output() {
        Ok(output) if output.status.success() => output,
        Ok(output) => bail!("cannot list links of type {kind}: {}", said(&output.stderr)),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => bail!("cannot start ip: {}", reason(&error)),
    };
    Ok(Some(String::from_utf8_lossy(&output.stdout).lines().filter_map(parse).collect()))
}

/// `7: veth4711@if2: <BROADCAST,UP> mtu 1500 qdisc noqueue master mydocker0 state UP ...`
fn parse(line: &str) -> Option<Link> {
    let mut words = line.split_whitespace().skip(1);
    let name = words.next()?.trim_end_matches(':');
    let name = name.split_once('@').map_or(name, |(name, _)| name).to_string();
    let bridge = words.skip_while(|word| *word != "master").nth(1).map(str::to_string);
    Some(Link { name, bridge })
}

fn delete_link(name: String) -> Leftover {
    Leftover::new(format!("link {name}"), move || {
        // A veth goes by itself, a moment after the last process of its container.
        match ip(&["link", "delete", "dev", &name]) {
            Err(error) if !error.to_string().contains("Cannot find device") => Err(error),
            _ => Ok(()),
        }
    })
}

fn delete_namespace(name: String) -> Leftover {
    Leftover::new(format!("network namespace {name}"), move || ip(&["netns", "delete", &name]))
}

fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output();
    let output = output.map_err(|error| anyhow!("cannot start ip: {}", reason(&error)))?;
    if !output.status.success() {
        bail!("`ip {}` says: {}", args.join(" "), said(&output.stderr));
    }
    Ok(())
}

fn said(stderr: &[u8]) -> String {
    String::from_utf8_lossy(stderr).trim().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_ip_names_the_link_and_its_bridge() {
        let link =
            parse("7: veth47@if2: <UP> mtu 1500 qdisc noqueue master mydocker0 state UP").unwrap();
        assert_eq!((link.name.as_str(), link.bridge.as_deref()), ("veth47", Some("mydocker0")));
        let link = parse("3: mydocker0: <UP> mtu 1500 qdisc noqueue state UP").unwrap();
        assert_eq!((link.name.as_str(), link.bridge), ("mydocker0", None));
    }
}
