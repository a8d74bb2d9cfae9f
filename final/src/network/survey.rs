//! What is there on the host: network interfaces, addresses, routes.

use std::net::Ipv4Addr;

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_indextoname;

use super::link::link;
use super::netlink::{self, Message, Socket, attributes};
use super::{BRIDGE, GATEWAY, PREFIX, contains, failed};

/// IFLA_EXT_MASK of rtnetlink(7), and the bit that leaves the counters out of the answer.
const EXT_MASK: u16 = 29;
const SKIP_STATS: u32 = 1 << 3;

/// A network interface.
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) up: bool,
    /// "bridge", "veth", ...; nothing for a real one
    pub(super) kind: String,
}

/// The network interface of a name, if there is one. (Asked by if_nametoindex(3) for one that there
/// is not, the kernel looks for a module of that name: it runs modprobe(8), twice.)
pub(super) fn find_link(socket: &mut Socket, name: &str) -> Result<Option<Link>, Errno> {
    let question = Message::new(libc::RTM_GETLINK, 0, &link(0, false))
        .number(EXT_MASK, SKIP_STATS)
        .text(libc::IFLA_IFNAME, name);
    let mut found = None;
    let asked = socket.ask(question, |answer| {
        let field = |offset: usize| answer.get(offset..).and_then(netlink::number).unwrap_or(0);
        let info = find(answer.get(16..), libc::IFLA_LINKINFO);
        found = Some(Link {
            index: field(4),
            up: field(8) & libc::IFF_UP as u32 != 0,
            kind: text(find(info, libc::IFLA_INFO_KIND)),
        });
    });
    match asked {
        Err(Errno::ENODEV) => Ok(None),
        asked => asked.map(|()| found),
    }
}

/// The names of the network interfaces that are connected to a bridge.
pub(super) fn links_on(socket: &mut Socket, bridge: u32) -> Result<Vec<String>> {
    let question = Message::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &link(0, false))
        .number(EXT_MASK, SKIP_STATS);
    let mut found = Vec::new();
    let asked = socket.ask(question, |answer| {
        let master = find(answer.get(16..), libc::IFLA_MASTER).and_then(netlink::number);
        if master == Some(bridge) {
            found.push(text(find(answer.get(16..), libc::IFLA_IFNAME)));
        }
    });
    asked.map(|()| found).map_err(|error| failed("list the host's interfaces", error, "Try again"))
}

/// The IPv4 addresses of the host.
pub(super) fn addresses(socket: &mut Socket) -> Result<Vec<Address>> {
    let question = Message::new(
        libc::RTM_GETADDR,
        libc::NLM_F_DUMP,
        &[libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0],
    );
    let mut found = Vec::new();
    let asked = socket.ask(question, |answer| {
        let ip = find(answer.get(8..), libc::IFA_LOCAL).and_then(ip);
        let link = answer.get(4..).and_then(netlink::number);
        if let (Some(ip), Some(link)) = (ip, link) {
            found.push(Address { link, ip, prefix: answer[1] });
        }
    });
    asked.map(|()| found).map_err(|error| failed("list the host's addresses", error, "Try again"))
}

/// The IPv4 routes of the host's main table.
fn routes(socket: &mut Socket) -> Result<Vec<Address>> {
    let mut question = [0; 12];
    question[0] = libc::AF_INET as u8;
    let question = Message::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP, &question);
    let mut found = Vec::new();
    let asked = socket.ask(question, |answer| {
        let to = find(answer.get(12..), libc::RTA_DST).and_then(ip);
        let link = find(answer.get(12..), libc::RTA_OIF).and_then(netlink::number);
        if let (Some(ip), [_, prefix, _, _, libc::RT_TABLE_MAIN, ..]) = (to, answer) {
            found.push(Address { link: link.unwrap_or(0), ip, prefix: *prefix });
        }
    });
    asked.map(|()| found).map_err(|error| failed("list the host's routes", error, "Try again"))
}

/// An address of a network interface of the host.
pub(super) struct Address {
    pub(super) link: u32,
    pub(super) ip: Ipv4Addr,
    prefix: u8,
}

/// Fails if the host knows another way to our addresses, which the bridge would cover.
pub(super) fn check_overlap(socket: &mut Socket) -> Result<()> {
    let overlaps = |ip: Ipv4Addr, prefix: u8| {
        // Shorter ones, like the 0.0.0.0/1 of a VPN, mean "everything else".
        prefix >= 8 && contains(ip, prefix.min(PREFIX), GATEWAY)
    };
    let bridge = find_link(socket, BRIDGE).ok().flatten().map_or(0, |link| link.index);
    let mut found = addresses(socket)?;
    found.append(&mut routes(socket)?);
    let Some(other) = found.into_iter().find(|it| it.link != bridge && overlaps(it.ip, it.prefix))
    else {
        return Ok(());
    };
    let name = if_indextoname(other.link)
        .map_or_else(|_| "something else".into(), |name| name.to_string_lossy().into_owned());
    bail!(
        "cannot give containers the network 10.20.30.0/24: {}/{} already leads to {name}. \
         Take that away, or use --network none or host",
        other.ip,
        other.prefix
    )
}

fn find(bytes: Option<&[u8]>, name: u16) -> Option<&[u8]> {
    attributes(bytes?).find(|(it, _)| *it == name).map(|(_, value)| value)
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).trim_end_matches('\0').to_owned()
}

fn ip(bytes: &[u8]) -> Option<Ipv4Addr> {
    bytes.first_chunk().map(|octets| Ipv4Addr::from(*octets))
}
