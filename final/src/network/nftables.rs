//! The part of nf_tables' binary protocol that we need, in the words of nft(8).
//!
//! Speaking it takes a quarter of a millisecond where starting nft takes more than three, and works
//! on machines that have no nft.

use std::net::Ipv4Addr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::SockProtocol::NetlinkNetFilter;

use super::netlink::{Message, Socket, attributes};
use super::port::Protocol;

/// A chain that packets come through: its name, its type, where it hooks in, and when.
pub(super) type Hook = (&'static str, &'static str, i32, i32);

/// Names of attributes, from linux/netfilter/nf_tables.h.
mod nfta {
    pub(super) const TABLE_NAME: u16 = 1;
    pub(super) const CHAIN_TABLE: u16 = 1;
    pub(super) const CHAIN_NAME: u16 = 3;
    pub(super) const CHAIN_HOOK: u16 = 4;
    pub(super) const CHAIN_POLICY: u16 = 5;
    pub(super) const CHAIN_TYPE: u16 = 7;
    pub(super) const HOOK_NUMBER: u16 = 1;
    pub(super) const HOOK_PRIORITY: u16 = 2;
    pub(super) const RULE_TABLE: u16 = 1;
    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;
    pub(super) const LIST_ELEMENT: u16 = 1;
    pub(super) const EXPRESSION_NAME: u16 = 1;
    pub(super) const EXPRESSION_DATA: u16 = 2;
    pub(super) const DATA_VALUE: u16 = 1;
    pub(super) const DATA_VERDICT: u16 = 2;
    pub(super) const VERDICT_CODE: u16 = 1;
    pub(super) const VERDICT_CHAIN: u16 = 2;
}

/// Where rules keep what they compare: two registers of 16 bytes.
const FIRST: u32 = 1;
const SECOND: u32 = 2;

const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;

/// IPS_DST_NAT of the status of a connection: it goes to another destination than it says.
const DNAT: u32 = 1 << 5;
/// A connection's state: not answered yet.
const NEW: u32 = 1 << 3;

pub(super) fn open() -> Result<Socket, Errno> {
    Socket::open(NetlinkNetFilter)
}

fn message(kind: i32, flags: i32) -> Message {
    let kind = libc::NFNL_SUBSYS_NFTABLES << 8 | kind;
    // struct nfgenmsg: family, version, resource.
    Message::new(kind as u16, flags, &[libc::NFPROTO_IPV4 as u8, 0, 0, 0])
}

/// `list table ip NAME`, without its contents
pub(super) fn get_table(name: &str) -> Message {
    message(libc::NFT_MSG_GETTABLE, 0).text(nfta::TABLE_NAME, name)
}

/// `list chains`, of all families
pub(super) fn list_chains() -> Message {
    list(libc::NFT_MSG_GETCHAIN)
}

/// `list ruleset`: the rules of all families
pub(super) fn list_rules() -> Message {
    list(libc::NFT_MSG_GETRULE)
}

fn list(kind: i32) -> Message {
    let kind = libc::NFNL_SUBSYS_NFTABLES << 8 | kind;
    Message::new(kind as u16, libc::NLM_F_DUMP, &[libc::NFPROTO_UNSPEC as u8, 0, 0, 0])
}

/// A chain that the host has.
pub(super) struct Chain {
    pub(super) family: &'static str,
    pub(super) table: String,
    pub(super) name: String,
    /// Where packets come in, if they do
    pub(super) hook: Option<i32>,
    /// What no rule accepts is dropped.
    pub(super) drops: bool,
}

/// The family of a table, if IPv4 packets come by; from the header of an answer (struct nfgenmsg).
pub(super) fn family(nfgenmsg: &[u8]) -> Option<&'static str> {
    match i32::from(*nfgenmsg.first()?) {
        libc::NFPROTO_IPV4 => Some("ip"),
        libc::NFPROTO_INET => Some("inet"),
        _ => None,
    }
}

impl Chain {
    /// Of IPv4 packets, from an answer to [`list_chains`].
    pub(super) fn parse(answer: &[u8]) -> Option<Self> {
        let (nfgenmsg, rest) = answer.split_at_checked(4)?;
        let family = family(nfgenmsg)?;
        let find = |bytes, name| attributes(bytes).find(|(it, _)| *it == name).map(|(_, it)| it);
        let text = |name| {
            let text = String::from_utf8_lossy(find(rest, name)?).into_owned();
            Some(text.trim_end_matches('\0').to_owned())
        };
        let number = |bytes: &[u8]| bytes.first_chunk().map(|it| u32::from_be_bytes(*it));
        let hook = find(rest, nfta::CHAIN_HOOK).and_then(|hook| find(hook, nfta::HOOK_NUMBER));
        let policy = find(rest, nfta::CHAIN_POLICY).and_then(number);
        Some(Self {
            family,
            table: text(nfta::CHAIN_TABLE)?,
            name: text(nfta::CHAIN_NAME)?,
            hook: hook.and_then(number).map(|hook| hook as i32),
            drops: policy == Some(libc::NF_DROP as u32),
        })
    }
}

/// `add table ip NAME`
pub(super) fn add_table(name: &str) -> Message {
    message(libc::NFT_MSG_NEWTABLE, libc::NLM_F_CREATE).text(nfta::TABLE_NAME, name)
}

/// `delete table ip NAME`
pub(super) fn delete_table(name: &str) -> Message {
    message(libc::NFT_MSG_DELTABLE, 0).text(nfta::TABLE_NAME, name)
}

/// `add chain ip TABLE NAME { type TYPE hook HOOK priority PRIORITY; }`
pub(super) fn add_base_chain(table: &str, (name, kind, hook, priority): Hook) -> Message {
    add_chain(table, name).text(nfta::CHAIN_TYPE, kind).nest(nfta::CHAIN_HOOK, |at| {
        at.net(nfta::HOOK_NUMBER, hook as u32).net(nfta::HOOK_PRIORITY, priority as u32)
    })
}

/// `add chain ip TABLE NAME`
pub(super) fn add_chain(table: &str, name: &str) -> Message {
    message(libc::NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE)
        .text(nfta::CHAIN_TABLE, table)
        .text(nfta::CHAIN_NAME, name)
}

/// `add rule ip TABLE CHAIN ...`
pub(super) fn add_rule(
    table: &str,
    chain: &str,
    expressions: impl FnOnce(Message) -> Message,
) -> Message {
    message(libc::NFT_MSG_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND)
        .text(nfta::RULE_TABLE, table)
        .text(nfta::RULE_CHAIN, chain)
        .nest(nfta::RULE_EXPRESSIONS, expressions)
}

/// The expressions of a rule: those that pick packets, then what is to become of them.
impl Message {
    /// `ip saddr`: the leading bytes of the sender's address
    pub(super) fn saddr(self, prefix: &[u8]) -> Self {
        self.payload(1, 12, prefix)
    }

    /// `ip daddr`: the leading bytes of the receiver's address
    pub(super) fn daddr(self, prefix: &[u8]) -> Self {
        self.payload(1, 16, prefix)
    }

    /// `iifname !=`
    pub(super) fn iifname_not(self, interface: &str) -> Self {
        self.meta(libc::NFT_META_IIFNAME).compare(NOT_EQUAL, &interface_name(interface))
    }

    /// `oifname`
    pub(super) fn oifname(self, interface: &str) -> Self {
        self.meta(libc::NFT_META_OIFNAME).compare(EQUAL, &interface_name(interface))
    }

    /// `oifname !=`
    pub(super) fn oifname_not(self, interface: &str) -> Self {
        self.meta(libc::NFT_META_OIFNAME).compare(NOT_EQUAL, &interface_name(interface))
    }

    /// `tcp dport` or `udp dport`
    pub(super) fn dport(self, protocol: Protocol, port: u16) -> Self {
        let number = match protocol {
            Protocol::Tcp => libc::IPPROTO_TCP,
            Protocol::Udp => libc::IPPROTO_UDP,
        };
        self.meta(libc::NFT_META_L4PROTO).compare(EQUAL, &[number as u8]).payload(
            2,
            2,
            &port.to_be_bytes(),
        )
    }

    /// `fib daddr type local`: the receiver is an address of the host
    pub(super) fn daddr_is_local(self) -> Self {
        let (destination, address_type) = (1 << 1, 3);
        self.expression("fib", |fib| fib.net(1, FIRST).net(2, address_type).net(3, destination))
            .compare(EQUAL, &u32::from(libc::RTN_LOCAL).to_ne_bytes())
    }

    /// `ct state new`
    pub(super) fn ct_new(self) -> Self {
        self.connection(libc::NFT_CT_STATE, NEW).compare(NOT_EQUAL, &[0; 4])
    }

    /// `ct status dnat`: it came through a published port
    pub(super) fn ct_dnat(self) -> Self {
        self.connection(libc::NFT_CT_STATUS, DNAT).compare(NOT_EQUAL, &[0; 4])
    }

    /// `ct status ! dnat`
    pub(super) fn ct_not_dnat(self) -> Self {
        self.connection(libc::NFT_CT_STATUS, DNAT).compare(EQUAL, &[0; 4])
    }

    /// `masquerade`: send it under the host's own address
    pub(super) fn masquerade(self) -> Self {
        self.expression("masq", |masq| masq)
    }

    /// `dnat to IP:PORT`
    pub(super) fn dnat(self, ip: Ipv4Addr, port: u16) -> Self {
        let destination = 1;
        self.immediate(FIRST, &ip.octets()).immediate(SECOND, &port.to_be_bytes()).expression(
            "nat",
            |nat| {
                nat.net(1, destination)
                    .net(2, libc::NFPROTO_IPV4 as u32)
                    .net(3, FIRST)
                    .net(5, SECOND)
            },
        )
    }

    /// `drop`
    pub(super) fn drop(self) -> Self {
        self.verdict(|verdict| verdict.net(nfta::VERDICT_CODE, libc::NF_DROP as u32))
    }

    /// `jump CHAIN`
    pub(super) fn jump(self, chain: &str) -> Self {
        self.verdict(|verdict| {
            verdict.net(nfta::VERDICT_CODE, libc::NFT_JUMP as u32).text(nfta::VERDICT_CHAIN, chain)
        })
    }

    /// Compares bytes of a packet: base 1 is the IP header, 2 what follows it.
    fn payload(self, base: u32, offset: u32, value: &[u8]) -> Self {
        let length = value.len() as u32;
        self.expression("payload", |payload| {
            payload.net(1, FIRST).net(2, base).net(3, offset).net(4, length)
        })
        .compare(EQUAL, value)
    }

    fn meta(self, key: i32) -> Self {
        self.expression("meta", |meta| meta.net(1, FIRST).net(2, key as u32))
    }

    /// Loads bits of what is known of the connection, `(value & mask) ^ 0`.
    fn connection(self, key: i32, mask: u32) -> Self {
        self.expression("ct", |ct| ct.net(1, FIRST).net(2, key as u32)).expression(
            "bitwise",
            |it| {
                it.net(1, FIRST)
                    .net(2, FIRST)
                    .net(3, 4)
                    .nest(4, |data| data.with(nfta::DATA_VALUE, &mask.to_ne_bytes()))
                    .nest(5, |data| data.with(nfta::DATA_VALUE, &[0; 4]))
            },
        )
    }

    fn compare(self, operator: u32, value: &[u8]) -> Self {
        self.expression("cmp", |compare| {
            compare
                .net(1, FIRST)
                .net(2, operator)
                .nest(3, |data| data.with(nfta::DATA_VALUE, value))
        })
    }

    fn immediate(self, register: u32, value: &[u8]) -> Self {
        self.expression("immediate", |it| {
            it.net(1, register).nest(2, |data| data.with(nfta::DATA_VALUE, value))
        })
    }

    fn verdict(self, verdict: impl FnOnce(Self) -> Self) -> Self {
        // Register 0 is what becomes of the packet.
        self.expression("immediate", |it| {
            it.net(1, 0).nest(2, |data| data.nest(nfta::DATA_VERDICT, verdict))
        })
    }

    fn expression(self, name: &str, data: impl FnOnce(Self) -> Self) -> Self {
        self.nest(nfta::LIST_ELEMENT, |element| {
            element.text(nfta::EXPRESSION_NAME, name).nest(nfta::EXPRESSION_DATA, data)
        })
    }

    /// Adds an attribute that is a number in network byte order, as nf_tables has them all.
    fn net(self, name: u16, value: u32) -> Self {
        self.with(name, &value.to_be_bytes())
    }
}

/// Interface names are compared in their full length, zeros included.
fn interface_name(name: &str) -> [u8; libc::IFNAMSIZ] {
    let mut bytes = [0; libc::IFNAMSIZ];
    bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    bytes
}
