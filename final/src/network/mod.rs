//! The container's network: a bridge on the host, an address of its own, published ports.
//!
//! A start goes in two halves. [`intent`] picks the address and changes nothing but files of ours,
//! so that the caller can write down what there will be to undo; [`attach`] then does it, with the
//! container's namespace at hand. [`detach`] undoes it, quickly: the veth pair dies with the
//! namespace, which the kernel does in the background. A [`Settler`] puts the host back when the
//! last container has gone, and [`prune`] undoes what killed runs left.

mod addresses;
mod firewall;
mod host;
mod link;
pub(crate) mod namespace;
mod nat;
mod netlink;
mod nftables;
mod port;
mod settle;
mod state;
mod survey;

#[cfg(test)]
mod tests;

use std::fmt::{self, Display};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Error, Result, bail};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

pub use port::{Port, Protocol};
pub use settle::{Settler, settle};
use state::{Owner, Record, State};

use crate::message::{self, AS_ROOT};

/// The bridge that all containers are connected to.
pub const BRIDGE: &str = "mydocker0";

/// The address of the bridge, and of the host as the containers know it.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 20, 30, 1);

/// How the names of the veths on it begin.
const VETH: &str = "mydocker-";

/// How many of the leading bits of an address all containers share.
const PREFIX: u8 = 24;

/// The network that a container sees.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// An address of its own, on the bridge
    #[default]
    Bridge,
    /// Nothing but lo
    None,
    /// The one of the host
    Host,
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "bridge" => Ok(Self::Bridge),
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            _ => bail!("cannot use a network {text:?}. There are bridge, none and host"),
        }
    }
}

impl Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bridge => "bridge",
            Self::None => "none",
            Self::Host => "host",
        })
    }
}

/// What a container asks for.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// `--network`
    pub mode: Mode,
    /// `--ip`: else the first free one
    pub ip: Option<Ipv4Addr>,
    /// `-p`
    pub ports: Vec<Port>,
}

/// What a container gets, and what there is to undo when it has ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Attachment {
    /// The network that it sees
    pub mode: Mode,
    /// The container
    pub container: String,
    /// The host's network: boot and namespace
    pub network: String,
    /// Its address, on the bridge
    pub ip: Option<Ipv4Addr>,
    /// The host's end of its veth pair
    pub veth: Option<String>,
    /// Its published ports
    pub ports: Vec<Port>,
}

/// Decides what a container of this `--root` gets: its address is taken from now on, and belongs to
/// it as long as this process lives. Nothing else is changed.
///
/// # Errors
///
/// The address or a port is taken, or cannot be had at all; /run cannot be written.
pub fn intent(plan: &Plan, container: &str, root: &Path) -> Result<Attachment> {
    let mut attachment = Attachment {
        mode: plan.mode,
        container: container.to_owned(),
        network: String::new(),
        ip: None,
        veth: None,
        ports: plan.ports.clone(),
    };
    if plan.mode != Mode::Bridge {
        if plan.ip.is_some() || !plan.ports.is_empty() {
            bail!("cannot use --ip or -p with --network {}. Use --network bridge", plan.mode);
        }
        return Ok(attachment);
    }
    let (network, ip) = addresses::take(plan, &Owner::new(container, root))?;
    attachment.network = network;
    attachment.ip = Some(ip);
    attachment.veth = Some(veth(ip));
    Ok(attachment)
}

/// Does what was intended, for a container that waits in its new network namespace (see
/// network_namespaces(7)), and says what the container has to do without.
///
/// The caller's thread visits that namespace for a moment: no other must be about to move.
///
/// # Errors
///
/// A call failed. What was done until then is undone by [`detach`].
pub fn attach(attachment: &Attachment, netns: BorrowedFd<'_>) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    if let (Some(ip), Some(veth)) = (attachment.ip, &attachment.veth) {
        let mut socket = link::open()?;
        let (bridge, warning) = host::prepare(&State::lock()?, &mut socket, &attachment.ports)?;
        warnings.extend(warning);
        link::make_veth(&mut socket, &bridge, veth, ip, netns)?;
        if !attachment.ports.is_empty() {
            link::allow_hairpin(&mut socket, veth)?;
        }
    }
    if attachment.mode != Mode::Host {
        link::set_up_inside(netns, attachment.ip)?;
    }
    Ok(warnings)
}

/// Undoes, in no time, what was done for a container that has ended: its address is free and its
/// ports lead nowhere. Goes on past failures, and answers all of them.
///
/// What was changed for all containers stays: if it was the last, somebody has to put that back.
pub fn detach(attachment: &Attachment, root: &Path) -> (Vec<Error>, Option<Settler>) {
    let Some(ip) = attachment.ip else { return (Vec::new(), None) };
    let mut errors = Vec::new();
    let mut settler = None;
    match State::lock() {
        // In another namespace, or before a reboot: there, not here, was something changed.
        Ok(state) if state.network != attachment.network => {
            note(&mut errors, state::release_elsewhere(&attachment.network, ip));
        }
        Ok(state) => {
            let owner = Owner::new(&attachment.container, root);
            let own = state.record(ip).filter(|it| it.owner == owner);
            release(&state, own.as_slice(), &mut errors);
            settler = Settler::needed(&state).unwrap_or_else(|error| {
                errors.push(error);
                None
            });
        }
        Err(error) => errors.push(error),
    }
    (errors, settler)
}

/// Undoes what was done for containers whose supervisors are no more, under whatever root, and,
/// when none is left, what was done for all of them. Goes on past failures, and answers all of them.
pub fn prune() -> Vec<Error> {
    let mut errors = Vec::new();
    match State::lock() {
        Ok(state) => {
            note(&mut errors, state.forget_other_boots());
            let mut gone = state.records().unwrap_or_else(|error| {
                errors.push(error);
                Vec::new()
            });
            gone.retain(|record| !record.supervisor.is_alive());
            release(&state, &gone, &mut errors);
            for Record { ip, .. } in gone {
                // It has died with its namespace, unless somebody still looks into that one.
                let removed = link::open().and_then(|mut it| link::remove(&mut it, &veth(ip)));
                note(&mut errors, removed);
            }
        }
        Err(error) => errors.push(error),
    }
    errors.extend(settle());
    errors
}

/// Gives addresses back, and closes the ports that lead to them.
fn release(state: &State, gone: &[Record], errors: &mut Vec<Error>) {
    for record in gone {
        note(errors, state.forget(record.ip));
    }
    if gone.iter().any(|record| !record.ports.is_empty()) {
        note(errors, host::unpublish(state));
    }
}

/// The name of the host's end of the veth pair. It carries the address: the kernel, which knows no
/// two interfaces of one name, then sees to it that no two containers share one.
fn veth(ip: Ipv4Addr) -> String {
    format!("{VETH}{}", ip.octets()[3])
}

/// Whether an address is in a network.
fn contains(network: Ipv4Addr, prefix: u8, ip: Ipv4Addr) -> bool {
    let host_bits = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    (network.to_bits() ^ ip.to_bits()) & !host_bits == 0
}

fn note(errors: &mut Vec<Error>, result: Result<()>) {
    errors.extend(result.err());
}

/// What was tried, why it failed, and what to do about it: here most calls take root.
fn failed(what: impl Display, error: impl Into<io::Error>, cure: &str) -> Error {
    let error = error.into();
    let denied = [Errno::EPERM, Errno::EACCES].map(|it| Some(it as i32));
    let cure = if denied.contains(&error.raw_os_error()) { AS_ROOT } else { cure };
    message::failed(what, &error, cure)
}
