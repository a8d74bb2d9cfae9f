//! What is changed on the host for all containers together, and put back after the last.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Error, Result};

use super::link::{self, Bridge};
use super::netlink::Socket;
use super::port::Port;
use super::state::{Record, State};
use super::{BRIDGE, failed, nat, note, veth};

/// Lets packets through between the bridge and the rest of the world (ip-sysctl).
const FORWARD: &str = "net/ipv4/ip_forward";

/// Lets what the host sends to its own 127.0.0.1 leave by the bridge, for published ports.
const ROUTE_LOCALNET: &str = "net/ipv4/conf/mydocker0/route_localnet";

/// Sees to it that the host has all that its containers need. Answers the bridge, and what a
/// container without published ports can do without.
pub(super) fn prepare(
    state: &State,
    socket: &mut Socket,
    ports: &[Port],
) -> Result<(Bridge, Option<String>)> {
    let bridge = prepare_bridge(state, socket)?;
    match prepare_routing(state, ports) {
        Err(error) if ports.is_empty() => {
            Ok((bridge, Some(format!("the container reaches only this host: {error:#}"))))
        }
        result => result.map(|()| (bridge, None)),
    }
}

fn prepare_routing(state: &State, ports: &[Port]) -> Result<()> {
    set(state, FORWARD, "1")?;
    if !ports.is_empty() {
        set(state, ROUTE_LOCALNET, "1")?;
    } else if nat::exists() {
        return Ok(());
    }
    let mut changes = state.changes()?;
    let first = !changes.table;
    if first {
        changes.table = true;
        state.set_changes(&changes)?;
    }
    let applied = apply(&state.records()?);
    if first && applied.is_err() {
        // A transaction that failed has made nothing.
        changes.table = false;
        state.set_changes(&changes)?;
    }
    applied
}

/// Has the published ports of these containers, and no other, lead to them.
pub(super) fn apply(records: &[Record]) -> Result<()> {
    let ports = records.iter().flat_map(|it| it.ports.iter().map(|port| (it.ip, *port)));
    nat::apply(&ports.collect::<Vec<_>>())
}

fn prepare_bridge(state: &State, socket: &mut Socket) -> Result<Bridge> {
    let found = link::find_bridge(socket)?;
    let missing = match found {
        Some(bridge) if bridge.is_ready() => return Ok(bridge),
        found => found.is_none(),
    };
    link::check_overlap(socket)?;
    if missing {
        let mut changes = state.changes()?;
        changes.bridge = true;
        state.set_changes(&changes)?;
    }
    let bridge = link::make_bridge(socket)?;
    // Somebody may have removed it under running containers.
    let veths: Vec<_> = state.records()?.iter().map(|record| veth(record.ip)).collect();
    link::plug(socket, &bridge, &veths)?;
    Ok(bridge)
}

/// Sets a value below /proc/sys, after writing down the one it had.
fn set(state: &State, name: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys").join(name);
    let old = fs::read_to_string(&path)
        .map_err(|error| failed(format!("read {}", path.display()), error, "Is /proc mounted?"))?;
    if old.trim() == value {
        return Ok(());
    }
    let mut changes = state.changes()?;
    changes.values.entry(name.into()).or_insert_with(|| old.trim().into());
    state.set_changes(&changes)?;
    fs::write(&path, value)
        .map_err(|error| failed(format!("write {value} to {}", path.display()), error, "Try again"))
}

/// Puts everything back but the bridge.
pub(super) fn restore(state: &State, errors: &mut Vec<Error>) {
    let mut changes = match state.changes() {
        Ok(changes) => changes,
        Err(error) => return errors.push(error),
    };
    if changes.table {
        let removed = nat::remove();
        changes.table = removed.is_err();
        note(errors, removed);
    }
    changes.values.retain(|name, value| {
        let path = Path::new("/proc/sys").join(name);
        let result = match fs::write(&path, &*value) {
            // It went with its interface.
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let what = format!("put {} back to {value}", path.display());
                Err(failed(what, error, "Is /proc/sys read-only?"))
            }
            _ => Ok(()),
        };
        let failed = result.is_err();
        note(errors, result);
        failed
    });
    note(errors, state.set_changes(&changes));
}

/// Removes the bridge if it is ours and nobody is on it.
pub(super) fn remove_bridge(state: &State) -> Result<()> {
    let mut changes = state.changes()?;
    if !changes.bridge || !state.records()?.is_empty() {
        return Ok(());
    }
    link::remove(&mut link::open()?, BRIDGE)?;
    changes.bridge = false;
    state.set_changes(&changes)
}
