//! `final prune` and `final rm`: removing containers after the fact.

use std::path::Path;

use anyhow::{Result, bail};

use crate::message::complain;
use crate::network;
use crate::parse::Name;
use crate::state::{State, Store};

/// The status of a kept container whose supervisor was killed, as if it had got SIGKILL itself.
const KILLED: u8 = 128 + 9;

/// Undoes what crashes and reboots left. Goes on past failures and tells them all.
pub(crate) fn prune(root: &Path) -> Result<u8> {
    let store = Store::open(root)?;
    let _lock = store.lock()?;
    let mut errors = Vec::new();
    for name in store.names()? {
        match store.load(&name) {
            Ok(state) if state.is_supervised() => {}
            // It has ended in good order, and is kept.
            Ok(state) if state.status.is_some() => {}
            Ok(state) => errors.extend(bury(&store, state)),
            // It says nothing that could be undone: it was cut off before anything was done.
            Err(_) => errors.extend(store.remove(&name).err()),
        }
    }
    errors.extend(network::prune());
    report(&errors)
}

/// Ends what still runs of a container that nobody looks after, and cleans up after it.
fn bury(store: &Store, mut state: State) -> Vec<anyhow::Error> {
    let mut errors = state.cgroup.remove();
    // The host is put back at the end.
    errors.extend(network::detach(&state.network, store.root()).0);
    if !errors.is_empty() {
        return errors;
    }
    let done = if state.remove || state.init.is_none() {
        store.remove(&state.name)
    } else {
        // What it wrote was to be kept.
        state.status = Some(KILLED);
        store.save(&state)
    };
    errors.extend(done.err());
    errors
}

/// Removes containers that have ended.
pub(crate) fn remove(root: &Path, names: &[Name]) -> Result<u8> {
    let store = Store::open(root)?;
    let _lock = store.lock()?;
    let remove = |name| remove_one(&store, name).unwrap_or_else(|error| vec![error]);
    let errors: Vec<_> = names.iter().flat_map(remove).collect();
    report(&errors)
}

fn remove_one(store: &Store, name: &Name) -> Result<Vec<anyhow::Error>> {
    if !store.has(name) {
        bail!("cannot remove {name}: there is no container of that name. Is it the right --root?");
    }
    let state = store.load(name)?;
    if state.is_supervised() {
        let pid = state.supervisor.pid;
        bail!("cannot remove {name}: it is running. End it first, such as with: kill {pid}");
    }
    if state.status.is_none() {
        // It was killed, or the disk had no room for its end.
        return Ok(bury(store, State { remove: true, ..state }));
    }
    store.remove(name).map(|()| Vec::new())
}

fn report(errors: &[anyhow::Error]) -> Result<u8> {
    errors.iter().for_each(|error| complain(&format!("{error:#}")));
    Ok(u8::from(!errors.is_empty()))
}
