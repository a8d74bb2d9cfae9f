//! Links are made and packet rules are asked for, in a network namespace of our own.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sched::CloneFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

use super::super::needs::Need;
use super::programs::{self, said};
use super::{Finding, Tried, namespaces, refused};

pub(in super::super) fn bridge() -> Tried {
    add_link(&["type", "bridge"])
}

pub(in super::super) fn veth() -> Tried {
    add_link(&["type", "veth", "peer", "name", "doctor1"])
}

fn add_link(kind: &[&str]) -> Tried {
    namespaces::enter("net", CloneFlags::CLONE_NEWNET)?;
    let words = [&["link", "add", "doctor0"], kind].concat();
    let ip = programs::run("ip", &words).map_err(|_| {
        let cures = Need::Ip.facts().cures.clone();
        Finding::cannot("cannot be tried without the program ip").cured_by(cures)
    })?;
    if !ip.status.success() {
        return Err(Finding::cannot(format!("ip says: {}", said(&ip.stderr))));
    }
    Ok("created".into())
}

/// Asks for the number of the rules' generation, which only root is told.
pub(in super::super) fn nf_tables() -> Tried {
    namespaces::enter("net", CloneFlags::CLONE_NEWNET)?;
    ask_for_generation().map_err(|error| refused("ask for its rules", error))?;
    Ok("answers".into())
}

/// A message of netlink(7): its header, and that of netfilter's messages.
fn ask_for_generation() -> Result<(), Errno> {
    let kind = (libc::NFNL_SUBSYS_NFTABLES << 8 | libc::NFT_MSG_GETGEN) as u16;
    let mut message = [0; 20];
    message[..4].copy_from_slice(&20_u32.to_ne_bytes());
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    let mut answer = [0; 512];
    recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let [.., low, high] = answer[..6] else { return Err(Errno::EBADMSG) };
    if i32::from(u16::from_ne_bytes([low, high])) != libc::NLMSG_ERROR {
        return Ok(());
    }
    let code = answer[16..20].first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
    Err(Errno::from_raw(-code))
}
