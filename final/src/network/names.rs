//! How a container finds others by name: its /etc/resolv.conf and /etc/hosts.

use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use anyhow::{Result, anyhow, bail};

use super::{GATEWAY, Mode};

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Where systemd-resolved keeps the servers that it asks itself; /etc/resolv.conf names only its
/// own address on lo, which a container cannot reach (systemd-resolved.service(8)).
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Google's, as Docker's: when the host's servers cannot be reached from a container.
const FALLBACK: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// A name with its address, as `--add-host` gives it: `NAME:IP`, or `NAME:host-gateway` for the
/// host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// The name
    pub name: String,
    /// The address
    pub ip: IpAddr,
}

impl FromStr for Host {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let cure = "Write NAME:IP, like db:10.20.30.7, or NAME:host-gateway for this host";
        let (name, ip) = text
            .split_once([':', '='])
            .ok_or_else(|| anyhow!("cannot add the host {text:?}: no address. {cure}"))?;
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '#';
        if name.is_empty() || name.contains(odd) {
            bail!("cannot add the host {text:?}: {name:?} is no name. {cure}");
        }
        let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
        let ip = match bare {
            "host-gateway" => Ok(IpAddr::V4(GATEWAY)),
            bare => bare.parse(),
        };
        let ip = ip.map_err(|_| anyhow!("cannot add the host {text:?}: no address. {cure}"))?;
        Ok(Self { name: name.to_owned(), ip })
    }
}

/// What the container's /etc/resolv.conf says (resolv.conf(5)): what the host's says, with the
/// servers of `--dns` in the place of its own.
///
/// On the bridge only IPv4 servers beyond lo can be reached. Where the host's file names none, those
/// that systemd-resolved asks are taken, and where there are none either, 8.8.8.8 and 8.8.4.4.
pub fn resolv_conf(mode: Mode, dns: &[IpAddr]) -> String {
    let host = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let resolved = || fs::read_to_string(RESOLVED).unwrap_or_default();
    resolv_conf_from(mode, dns, &host, resolved)
}

fn resolv_conf_from(
    mode: Mode,
    dns: &[IpAddr],
    host: &str,
    resolved: impl FnOnce() -> String,
) -> String {
    if mode != Mode::Bridge && dns.is_empty() {
        return host.to_owned();
    }
    let mut servers: Vec<_> = dns.iter().map(IpAddr::to_string).collect();
    if servers.is_empty() {
        servers = reachable(host);
    }
    if servers.is_empty() {
        servers = reachable(&resolved());
    }
    if servers.is_empty() {
        servers = FALLBACK.map(str::to_owned).to_vec();
    }
    let kept = |line: &&str| {
        matches!(line.split_whitespace().next(), Some("search" | "domain" | "options" | "sortlist"))
    };
    let servers = servers.iter().map(|server| format!("nameserver {server}\n"));
    servers.chain(host.lines().filter(kept).map(|line| format!("{line}\n"))).collect()
}

/// The servers that a container on the bridge can reach.
fn reachable(resolv_conf: &str) -> Vec<String> {
    let servers = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    let addresses = servers.filter_map(|server| server.parse::<Ipv4Addr>().ok());
    let beyond = addresses.filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
    beyond.map(|ip| ip.to_string()).collect()
}

/// What the container's /etc/hosts says (hosts(5)): localhost, its own name, and those of
/// `--add-host`. In the host's network it is what the host's says, with those.
pub fn hosts(mode: Mode, hostname: &str, ip: Option<Ipv4Addr>, more: &[Host]) -> String {
    let mut text = match mode {
        Mode::Host => fs::read_to_string("/etc/hosts").unwrap_or_default(),
        _ => "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned(),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for Host { name, ip } in more {
        let _ = writeln!(text, "{ip}\t{name}");
    }
    if mode != Mode::Host {
        let own = ip.unwrap_or(Ipv4Addr::LOCALHOST);
        let _ = writeln!(text, "{own}\t{hostname}");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn on_bridge(dns: &[&str], host: &str, resolved: &str) -> String {
        let dns: Vec<_> = dns.iter().map(|ip| ip.parse().unwrap()).collect();
        resolv_conf_from(Mode::Bridge, &dns, host, || resolved.to_owned())
    }

    #[test]
    fn the_container_asks_whom_the_host_asks() {
        let host = "# by hand\nnameserver 192.0.2.53\nnameserver\t198.51.100.53\nsearch lan\n";
        let expected = "nameserver 192.0.2.53\nnameserver 198.51.100.53\nsearch lan\n";
        assert_eq!(on_bridge(&[], host, ""), expected);
        assert_eq!(on_bridge(&["9.9.9.9"], host, ""), "nameserver 9.9.9.9\nsearch lan\n");
        assert_eq!(resolv_conf_from(Mode::Host, &[], host, String::new), host);
    }

    #[test]
    fn whom_only_the_host_can_reach_is_replaced() {
        let stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n";
        let resolved = "nameserver 192.0.2.53\nnameserver fe80::1%eth0\n";
        let kept = "options edns0 trust-ad\nsearch .\n";
        assert_eq!(on_bridge(&[], stub, resolved), format!("nameserver 192.0.2.53\n{kept}"));
        let fallback = format!("nameserver 8.8.8.8\nnameserver 8.8.4.4\n{kept}");
        assert_eq!(on_bridge(&[], stub, "nameserver 127.0.0.1\n"), fallback);
        assert_eq!(on_bridge(&[], "", ""), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    }

    #[test]
    fn a_container_knows_itself_and_those_it_is_told_of() {
        let more = ["db:10.20.30.7", "host:host-gateway", "six=::1", "v6:[2001:db8::1]"];
        let more: Vec<Host> = more.iter().map(|host| host.parse().unwrap()).collect();
        let ip = Some(Ipv4Addr::new(10, 20, 30, 2));
        assert_eq!(
            hosts(Mode::Bridge, "box", ip, &more),
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
             10.20.30.7\tdb\n10.20.30.1\thost\n::1\tsix\n2001:db8::1\tv6\n10.20.30.2\tbox\n"
        );
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "db", "db:", ":1.2.3.4", "db:1.2.3", "a b:1.2.3.4", "a\nb:1.2.3.4"] {
            let error = text.parse::<Host>().unwrap_err().to_string();
            assert!(error.contains("cannot add the host"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_host_is_always_one_line(text in ".*") {
            if let Ok(host) = text.parse::<Host>() {
                let lines = hosts(Mode::None, "box", None, &[host]).lines().count();
                prop_assert_eq!(lines, 4);
            }
        }
    }
}
