//! Who else on the host drops what is forwarded. A packet has to please every table, those of
//! nft(8) and of iptables(8), new and legacy; Docker, for one, has iptables drop what is not its own.

use std::fs;

use nix::libc::{self, c_int};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::netlink::attributes;
use super::nftables::{self, Chain};
use super::{BRIDGE, netlink};
use crate::kernel;

/// Docker asks people to put rules of their own there.
const DOCKER: &str = "DOCKER-USER";

/// Says who drops what containers send, and how to let it pass. A rule that names the bridge will
/// be there for a reason.
pub(super) fn in_the_way() -> Option<String> {
    nf_tables().or_else(legacy)
}

fn nf_tables() -> Option<String> {
    let mut socket = nftables::open().ok()?;
    let mut chains = Vec::new();
    socket.ask(nftables::list_chains(), |answer| chains.extend(Chain::parse(answer))).ok()?;
    let blocks = |chain: &&Chain| chain.hook == Some(libc::NF_INET_FORWARD) && chain.drops;
    let mut blocking: Vec<_> = chains.iter().filter(blocks).collect();
    let ours = |rule: &[u8]| blocking.retain(|chain| !names_bridge(rule, chain));
    socket.ask(nftables::list_rules(), ours).ok()?;
    let Chain { family, table, name, .. } = blocking.first()?;
    let docker = |chain: &Chain| chain.name == DOCKER && chain.table == *table;
    let cure = match (*family, table.as_str(), name.as_str()) {
        ("ip", "filter", "FORWARD") => iptables("iptables", chains.iter().any(docker)),
        _ => ["iifname", "oifname"]
            .map(|way| format!("nft insert rule {family} {table} {name} {way} {BRIDGE} accept"))
            .join("; "),
    };
    Some(warning(&format!("{name} of nf_tables' {family} {table}"), &cure))
}

/// Whether a rule of the chain's table speaks of the bridge.
fn names_bridge(rule: &[u8], chain: &Chain) -> bool {
    let Some((nfgenmsg, rest)) = rule.split_at_checked(4) else { return false };
    let table = attributes(rest).next();
    let same =
        table.is_some_and(|(_, name)| name.strip_suffix(&[0]) == Some(chain.table.as_bytes()));
    same && nftables::family(nfgenmsg) == Some(chain.family) && contains(rule, BRIDGE)
}

/// The policy is where the packet ends up that no rule of the chain has wanted: `hook_entry` and
/// `underflow` of linux/netfilter_ipv4/ip_tables.h say where chains begin and end.
fn legacy() -> Option<String> {
    const GET_INFO: c_int = 64;
    const GET_ENTRIES: c_int = 65;
    // struct ipt_get_entries: name, size, then the entries, aligned as their counters are.
    const ENTRIES: usize = 36_usize.next_multiple_of(align_of::<u64>());
    // To ask for a table that is not there would make it.
    let tables = fs::read_to_string("/proc/thread-self/net/ip_tables_names").ok()?;
    tables.lines().find(|table| *table == "filter")?;
    let socket =
        socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
    // struct ipt_getinfo: name, hooks, five entries, five underflows, number, size.
    let mut info = [0; 84];
    info[..6].copy_from_slice(b"filter");
    kernel::socket_option(&socket, libc::IPPROTO_IP, GET_INFO, &mut info).ok()?;
    let field = |offset: usize| netlink::number(info.get(offset..)?);
    let underflow = field(56 + 4 * libc::NF_INET_FORWARD as usize)? as usize;
    let mut entries = vec![0; ENTRIES + field(80)? as usize];
    entries[..6].copy_from_slice(b"filter");
    entries[32..36].copy_from_slice(&field(80)?.to_ne_bytes());
    kernel::socket_option(&socket, libc::IPPROTO_IP, GET_ENTRIES, &mut entries).ok()?;
    let entries = entries.get(ENTRIES..)?;
    // struct ipt_entry tells at 88 where its target is; that one's verdict comes after its header.
    let policy = entries.get(underflow..)?;
    let target = u16::from_ne_bytes(*policy.get(88..)?.first_chunk()?);
    let verdict = netlink::number(policy.get(usize::from(target) + 32..)?)?.cast_signed();
    if verdict != -libc::NF_DROP - 1 || contains(entries, BRIDGE) {
        return None;
    }
    let cure = iptables("iptables-legacy", contains(entries, DOCKER));
    Some(warning("FORWARD of iptables-legacy", &cure))
}

fn iptables(program: &str, docker: bool) -> String {
    let chain = if docker { DOCKER } else { "FORWARD" };
    ["-i", "-o"].map(|way| format!("{program} -I {chain} {way} {BRIDGE} -j ACCEPT")).join("; ")
}

fn warning(chain: &str, cure: &str) -> String {
    format!(
        "containers do not reach other machines, nor do these reach them: the chain {chain} drops \
         what is forwarded. Let it pass: {cure}"
    )
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
