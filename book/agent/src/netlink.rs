//! The links of the network namespace that the calling thread is in, asked of the kernel over
//! rtnetlink(7).

use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// Kinds of messages.
const DONE: u16 = 3;
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;

/// A request for all there is: NLM_F_REQUEST and NLM_F_DUMP.
const ALL: u16 = 1 | 0x300;

const LOOPBACK: u32 = 8;

/// One link.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// As in `ip link add type KIND`; empty for hardware and lo
    pub(crate) kind: String,
    pub(crate) is_loopback: bool,
    pub(crate) is_up: bool,
    /// The other end of a veth pair, an index in its own namespace
    pub(crate) peer: Option<u32>,
    /// The bridge that it is a port of
    pub(crate) master: Option<u32>,
    pub(crate) addresses: Vec<String>,
    /// Packets
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// All links with their IPv4 addresses.
pub(crate) fn links() -> io::Result<Vec<Link>> {
    let family = AddressFamily::Netlink;
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    let (mut links, mut addresses) = (Vec::new(), HashMap::<u32, Vec<String>>::new());
    // The bodies are an ifinfomsg and an ifaddrmsg for IPv4, and else empty.
    all(&socket, GET_LINK, &[0; 16], |kind, body| {
        links.extend((kind == NEW_LINK).then(|| link(body)).flatten());
    })?;
    all(&socket, GET_ADDRESS, &[2, 0, 0, 0, 0, 0, 0, 0], |kind, body| {
        if let Some((index, address)) = (kind == NEW_ADDRESS).then(|| address(body)).flatten() {
            addresses.entry(index).or_default().push(address);
        }
    })?;
    for link in &mut links {
        link.addresses = addresses.remove(&link.index).unwrap_or_default();
    }
    Ok(links)
}

/// Asks and passes on every message of the answer.
fn all(
    socket: &impl AsRawFd,
    kind: u16,
    body: &[u8],
    mut each: impl FnMut(u16, &[u8]),
) -> io::Result<()> {
    let length = u32::try_from(16 + body.len()).unwrap_or_default();
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend(ALL.to_ne_bytes());
    // A number and a sender, neither of which matters with one question at a time.
    request.extend([0; 8]);
    request.extend(body);
    send(socket.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut buffer = vec![0; 32 << 10];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, after)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                // NLMSG_ERROR, with an errno below zero.
                2 => return Err(io::Error::from_raw_os_error(-int(body, 0).cast_signed())),
                _ => each(kind, body),
            }
            rest = after;
        }
    }
}

/// The first message: its kind, its body, and what follows.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(int(bytes.get(..4)?, 0)).ok()?;
    let body = bytes.get(16..length)?;
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((short(bytes, 4), body, after))
}

/// The attributes that follow a header, kind and value.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(short(bytes.get(..4)?, 0));
        let value = bytes.get(4..length)?;
        // The two highest bits say how the value is written.
        let kind = short(bytes, 2) & 0x3fff;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn link(body: &[u8]) -> Option<Link> {
    let flags = int(body, 8);
    let mut link = Link {
        index: int(body, 4),
        is_up: flags & 1 != 0,
        is_loopback: flags & LOOPBACK != 0,
        ..Link::default()
    };
    // IFLA_IFNAME, IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO, IFLA_STATS64
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            3 => link.name = string(value),
            5 => link.peer = Some(int(value, 0)),
            10 => link.master = Some(int(value, 0)),
            18 => {
                let kind = attributes(value).find(|(kind, _)| *kind == 1);
                link.kind = kind.map(|(_, value)| string(value)).unwrap_or_default();
            }
            23 => (link.received, link.sent) = (long(value, 0), long(value, 8)),
            _ => {}
        }
    }
    // A VLAN, say, has a link below, which is no peer.
    link.peer = link.peer.filter(|_| link.kind == "veth");
    Some(link)
}

/// The index of a link and an address of it, with the length of its network's prefix.
fn address(body: &[u8]) -> Option<(u32, String)> {
    let (prefix, index) = (body.get(1)?, int(body, 4));
    // IFA_LOCAL is ours where IFA_ADDRESS is that of the other end.
    let local = attributes(body.get(8..)?).find(|(kind, _)| *kind == 2);
    let [a, b, c, d] = local?.1.try_into().ok()?;
    Some((index, format!("{a}.{b}.{c}.{d}/{prefix}")))
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string()
}

/// Numbers at a place in a message; 0 if it ends before.
fn at<const N: usize>(bytes: &[u8], place: usize) -> [u8; N] {
    let found = bytes.get(place..place + N).and_then(|bytes| bytes.try_into().ok());
    found.unwrap_or([0; N])
}

fn short(bytes: &[u8], place: usize) -> u16 {
    u16::from_ne_bytes(at(bytes, place))
}

fn int(bytes: &[u8], place: usize) -> u32 {
    u32::from_ne_bytes(at(bytes, place))
}

fn long(bytes: &[u8], place: usize) -> u64 {
    u64::from_ne_bytes(at(bytes, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_loopback() {
        let links = links().unwrap();
        let lo = links.iter().find(|link| link.name == "lo").unwrap();
        assert!(lo.index == 1 && lo.is_loopback && lo.peer.is_none(), "{lo:?}");
    }

    #[test]
    fn cut_off_messages_end_quietly() {
        assert_eq!(message(&[200, 0, 0, 0, 16, 0]), None);
        assert_eq!(attributes(&[9, 0, 3, 0, b'e']).count(), 0);
        assert_eq!(address(&[2]), None);
    }
}
