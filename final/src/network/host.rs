//! What is changed on the host for all containers together, and put back after the last. Every
//! change is written down before it is made.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result};

use super::link::{self, Bridge};
use super::netlink::Socket;
use super::port::Port;
use super::state::{Record, State};
use super::{failed, firewall, nat, note, survey, veth};

/// Lets packets through between the bridge and the rest of the world (ip-sysctl).
const FORWARD: &str = "net.ipv4.ip_forward";

/// Lets what the host sends to its own 127.0.0.1 leave by the bridge, for published ports.
const ROUTE_LOCALNET: &str = "net.ipv4.conf.mydocker0.route_localnet";

/// The facts that say that something is ours to remove.
const MADE_BRIDGE: &str = "bridge";
const MADE_TABLE: &str = "table";
const MADE: &str = "made";

/// Sees to it that the host has all that its containers need. Answers the bridge, and what the
/// container has to do without.
pub(super) fn prepare(
    state: &State,
    socket: &mut Socket,
    ports: &[Port],
) -> Result<(Bridge, Option<String>)> {
    let (bridge, made) = prepare_bridge(state, socket)?;
    match prepare_routing(state, made || !ports.is_empty()) {
        Err(error) if ports.is_empty() => {
            Ok((bridge, Some(format!("the container reaches only this host: {error:#}"))))
        }
        // Nobody needs to be told more than once.
        Ok(first) => Ok((bridge, first.then(firewall::in_the_way).flatten())),
        Err(error) => Err(error),
    }
}

/// The bridge, and whether it had to be made.
fn prepare_bridge(state: &State, socket: &mut Socket) -> Result<(Bridge, bool)> {
    let found = link::find_bridge(socket)?;
    let missing = match found {
        Some(bridge) if bridge.is_ready() => return Ok((bridge, false)),
        found => found.is_none(),
    };
    survey::check_overlap(socket)?;
    if missing {
        state.note_change(MADE_BRIDGE, MADE)?;
    }
    let bridge = link::make_bridge(socket)?;
    // Somebody may have removed it under running containers.
    for record in state.records()? {
        link::plug(socket, &bridge, &veth(record.ip), !record.ports.is_empty())?;
    }
    Ok((bridge, true))
}

/// Whether this is the first time since the host was put back.
fn prepare_routing(state: &State, changed: bool) -> Result<bool> {
    set(state, FORWARD, "1")?;
    if !changed && nat::exists() {
        return Ok(false);
    }
    let first = !state.has_change(MADE_TABLE);
    let records = state.records()?;
    state.note_change(MADE_TABLE, MADE)?;
    publish(&records)?;
    // Not before the table keeps containers from what it opens.
    if records.iter().any(|record| !record.ports.is_empty()) {
        set(state, ROUTE_LOCALNET, "1")?;
    }
    Ok(first)
}

/// Closes the ports of containers that no record speaks of any more.
pub(super) fn unpublish(state: &State) -> Result<()> {
    // A run that was killed early may have published nothing yet.
    if !state.has_change(MADE_TABLE) {
        return Ok(());
    }
    publish(&state.records()?)
}

/// Has the published ports of these containers, and no other, lead to them.
fn publish(records: &[Record]) -> Result<()> {
    let ports = records.iter().flat_map(|it| it.ports.iter().map(|port| (it.ip, *port)));
    nat::apply(&ports.collect::<Vec<_>>())
}

/// Sets a value of sysctl(8), after writing down the one it had.
fn set(state: &State, name: &str, value: &str) -> Result<()> {
    let path = sysctl(name);
    let before = fs::read_to_string(&path)
        .map_err(|error| failed(format!("read {}", path.display()), error, "Is /proc mounted?"))?;
    if before.trim() == value {
        return Ok(());
    }
    state.note_change(name, before.trim())?;
    fs::write(&path, value).map_err(|error| {
        failed(format!("write {value} to {}", path.display()), error, "Is it mounted read-only?")
    })
}

fn sysctl(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name.replace('.', "/"))
}

/// Puts everything back, if no container is left.
pub(super) fn restore(state: &State) -> Vec<Error> {
    let mut errors = Vec::new();
    let changes = match state.records() {
        Ok(records) if records.is_empty() => state.changes(),
        Ok(_) => return errors,
        Err(error) => Err(error),
    };
    let changes = changes.unwrap_or_else(|error| {
        errors.push(error);
        Vec::new()
    });
    for (name, before) in changes {
        note(&mut errors, undo(state, &name, &before));
    }
    errors
}

/// Puts one change back and forgets it.
pub(super) fn undo(state: &State, name: &str, before: &str) -> Result<()> {
    match name {
        MADE_BRIDGE => link::open().and_then(|mut socket| link::remove_bridge(&mut socket)),
        MADE_TABLE => nat::remove(),
        _ => put_back(name, before),
    }?;
    state.forget(name)
}

fn put_back(name: &str, before: &str) -> Result<()> {
    let path = sysctl(name);
    if fs::read_to_string(&path).is_ok_and(|value| value.trim() == before) {
        return Ok(());
    }
    match fs::write(&path, before) {
        // Those of an interface go with it.
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let what = format!("put {} back to {before}", path.display());
            Err(failed(what, error, "Is it mounted read-only?"))
        }
        _ => Ok(()),
    }
}
