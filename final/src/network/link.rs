//! The bridge on the host, and the veth pairs that lead from it into the containers.
//!
//! The same as these commands, without starting a program:
//!
//! ```text
//! ip link add mydocker0 address 02:42:0a:14:1e:01 type bridge
//! ip address add 10.20.30.1/24 dev mydocker0
//! ip link set mydocker0 up
//! ip link add mydocker-2 master mydocker0 type veth peer name eth0 netns CONTAINER
//! ip -n CONTAINER address add 10.20.30.2/24 dev eth0
//! ip -n CONTAINER route add default via 10.20.30.1
//! ```

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::SockProtocol::NetlinkRoute;

use super::netlink::{CREATE, Message, Socket};
use super::survey::{addresses, find_link, links_on};
use super::{BRIDGE, GATEWAY, PREFIX, VETH, failed, namespace};

/// The first interface of every network namespace.
const LO: u32 = 1;

/// The one attribute of a veth pair: the other end (linux/veth.h).
const VETH_INFO_PEER: u16 = 1;

/// The hairpin mode of a port of a bridge (linux/if_link.h).
const BRPORT_MODE: u16 = 4;

/// A bridge of our name.
pub(super) struct Bridge {
    index: u32,
    up: bool,
    /// Whether it has our address
    address: bool,
}

impl Bridge {
    pub(super) fn is_ready(&self) -> bool {
        self.up && self.address
    }
}

pub(super) fn open() -> Result<Socket> {
    Socket::open(NetlinkRoute).map_err(|error| failed("open a netlink socket", error, "Try again"))
}

/// The bridge, if there is one.
pub(super) fn find_bridge(socket: &mut Socket) -> Result<Option<Bridge>> {
    let failed = |error| failed(format!("look for {BRIDGE}"), error, "Try again");
    let Some(link) = find_link(socket, BRIDGE).map_err(failed)? else { return Ok(None) };
    if link.kind != "bridge" {
        bail!("cannot use {BRIDGE}: it is no bridge. Remove it: ip link delete {BRIDGE}");
    }
    let (index, up) = (link.index, link.up);
    let address = addresses(socket)?.iter().any(|it| it.link == index && it.ip == GATEWAY);
    Ok(Some(Bridge { index, up, address }))
}

/// Makes the bridge, or what is missing of it.
pub(super) fn make_bridge(socket: &mut Socket) -> Result<Bridge> {
    // Without a MAC address of its own it would take that of a veth, and change it with the next.
    let make = Message::new(libc::RTM_NEWLINK, CREATE, &link(0, true))
        .text(libc::IFLA_IFNAME, BRIDGE)
        .with(libc::IFLA_ADDRESS, &mac(GATEWAY))
        .nest(libc::IFLA_LINKINFO, |info| info.text(libc::IFLA_INFO_KIND, "bridge"));
    match one(socket, make) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => {
            let cure = "Load it: modprobe bridge. Or use --network none or host";
            return Err(failed(format!("create the bridge {BRIDGE}"), error, cure));
        }
    }
    let index = if_nametoindex(BRIDGE)
        .map_err(|error| failed(format!("find {BRIDGE}"), error, "Something removes it"))?;
    let up = Message::new(libc::RTM_NEWLINK, 0, &link(index, true));
    one(socket, up).map_err(|error| failed(format!("set {BRIDGE} up"), error, "Try again"))?;
    match one(socket, new_address(index, GATEWAY)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(Bridge { index, up: true, address: true }),
        Err(error) => {
            Err(failed(format!("give {BRIDGE} the address {GATEWAY}"), error, "Try again"))
        }
    }
}

/// Removes the bridge, unless somebody else uses it by now, whose it is then.
pub(super) fn remove_bridge(socket: &mut Socket) -> Result<()> {
    let Some(bridge) = find_bridge(socket)? else { return Ok(()) };
    // Ours, of containers that have just ended, are on their way out.
    let ours = |name: &String| name.starts_with(VETH);
    if links_on(socket, bridge.index)?.iter().all(ours) { remove(socket, BRIDGE) } else { Ok(()) }
}

/// Removes a network interface. With a bridge the kernel takes 30 ms, in which it waits for the last
/// who might look at it.
pub(super) fn remove(socket: &mut Socket, name: &str) -> Result<()> {
    let message = Message::new(libc::RTM_DELLINK, 0, &link(0, false)).text(libc::IFLA_IFNAME, name);
    match one(socket, message) {
        Ok(()) | Err(Errno::ENODEV) => Ok(()),
        Err(error) => Err(failed(
            format!("remove the network interface {name}"),
            error,
            &format!("Try: ip link delete {name}"),
        )),
    }
}

/// Plugs a veth into the bridge that lost the one before. One that has gone is no loss.
pub(super) fn plug(socket: &mut Socket, bridge: &Bridge, name: &str, hairpin: bool) -> Result<()> {
    let master = Message::new(libc::RTM_NEWLINK, 0, &link(0, true))
        .text(libc::IFLA_IFNAME, name)
        .number(libc::IFLA_MASTER, bridge.index);
    match one(socket, master) {
        Ok(()) if hairpin => allow_hairpin(socket, name),
        Ok(()) | Err(Errno::ENODEV) => Ok(()),
        Err(error) => Err(failed(format!("connect {name} to {BRIDGE}"), error, "Try again")),
    }
}

/// Makes a veth pair in one message: one end in the bridge, the other as eth0 in the container.
pub(super) fn make_veth(
    socket: &mut Socket,
    bridge: &Bridge,
    name: &str,
    ip: Ipv4Addr,
    netns: BorrowedFd<'_>,
) -> Result<()> {
    let peer = |message: Message| {
        message
            .raw(&link(0, false))
            .text(libc::IFLA_IFNAME, "eth0")
            .with(libc::IFLA_ADDRESS, &mac(ip))
            .number(libc::IFLA_NET_NS_FD, netns.as_raw_fd().cast_unsigned())
            .number(libc::IFLA_NUM_TX_QUEUES, 1)
            .number(libc::IFLA_NUM_RX_QUEUES, 1)
    };
    // With the one queue that it is going to use: the kernel would make one for each cpu, put all
    // but one aside, and wait twice until nobody can be looking at them.
    let make = Message::new(libc::RTM_NEWLINK, CREATE, &link(0, true))
        .text(libc::IFLA_IFNAME, name)
        .number(libc::IFLA_MASTER, bridge.index)
        .number(libc::IFLA_NUM_TX_QUEUES, 1)
        .number(libc::IFLA_NUM_RX_QUEUES, 1)
        .nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "veth")
                .nest(libc::IFLA_INFO_DATA, |data| data.nest(VETH_INFO_PEER, peer))
        });
    one(socket, make).map_err(|error| {
        let cure = match error {
            Errno::EEXIST => "Somebody else made one of that name: see ip link",
            Errno::EXFULL => "The bridge is full: end other containers",
            _ => "Load it: modprobe veth",
        };
        failed(format!("connect {name} on {BRIDGE} to eth0 in the container"), error, cure)
    })
}

/// Lets packets leave the bridge by the port that they came in by: from a container to a published
/// port of its own.
pub(super) fn allow_hairpin(socket: &mut Socket, name: &str) -> Result<()> {
    let message = Message::new(libc::RTM_NEWLINK, 0, &link(0, false))
        .text(libc::IFLA_IFNAME, name)
        .nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_SLAVE_KIND, "bridge")
                .nest(libc::IFLA_INFO_SLAVE_DATA, |data| data.with(BRPORT_MODE, &[1]))
        });
    one(socket, message).map_err(|error| {
        failed(format!("let {name} reach its own ports"), error, "Does something remove it?")
    })
}

/// Brings up what the container sees: lo, and eth0 with its address and the way out.
pub(super) fn set_up_inside(netns: BorrowedFd<'_>, ip: Option<Ipv4Addr>) -> Result<()> {
    let mut socket = namespace::inside(netns, open)?;
    let failed = |error| failed("set up the container's network", error, "Try again");
    let mut messages = vec![Message::new(libc::RTM_NEWLINK, 0, &link(LO, true))];
    if let Some(ip) = ip {
        let eth0 = find_link(&mut socket, "eth0").map_err(failed)?;
        let index = eth0.context("cannot find eth0 in the container: something removes it")?.index;
        let up = Message::new(libc::RTM_NEWLINK, 0, &link(index, true));
        messages.extend([new_address(index, ip), up, default_route(index)]);
    }
    for outcome in socket.carry_out(messages).map_err(failed)? {
        outcome.map_err(failed)?;
    }
    Ok(())
}

/// A locally administered MAC address that goes with the IP address, as Docker's do: who knows the
/// one of a container that had the address before is not misled.
fn mac(ip: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ip.octets();
    [0x02, 0x42, a, b, c, d]
}

/// struct ifinfomsg: family, padding, type, index, flags, and which of the flags count.
pub(super) fn link(index: u32, up: bool) -> [u8; 16] {
    let mut fixed = [0; 16];
    let flags = if up { libc::IFF_UP as u32 } else { 0 };
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..].copy_from_slice(&flags.to_ne_bytes());
    fixed
}

/// struct ifaddrmsg: family, prefix length, flags, scope, index.
fn new_address(link: u32, ip: Ipv4Addr) -> Message {
    let mut fixed = [libc::AF_INET as u8, PREFIX, 0, libc::RT_SCOPE_UNIVERSE, 0, 0, 0, 0];
    fixed[4..].copy_from_slice(&link.to_ne_bytes());
    let broadcast = Ipv4Addr::from_bits(ip.to_bits() | u32::MAX >> PREFIX);
    Message::new(libc::RTM_NEWADDR, CREATE, &fixed)
        .with(libc::IFA_LOCAL, &ip.octets())
        .with(libc::IFA_ADDRESS, &ip.octets())
        .with(libc::IFA_BROADCAST, &broadcast.octets())
}

/// struct rtmsg: family, lengths of destination and source, tos, table, protocol, scope, type and
/// flags.
fn default_route(link: u32) -> Message {
    let (table, protocol) = (libc::RT_TABLE_MAIN, libc::RTPROT_BOOT);
    let (scope, kind) = (libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST);
    let fixed = [libc::AF_INET as u8, 0, 0, 0, table, protocol, scope, kind, 0, 0, 0, 0];
    Message::new(libc::RTM_NEWROUTE, CREATE, &fixed)
        .with(libc::RTA_GATEWAY, &GATEWAY.octets())
        .number(libc::RTA_OIF, link)
}

fn one(socket: &mut Socket, message: Message) -> Result<(), Errno> {
    socket.carry_out([message])?.into_iter().collect()
}
