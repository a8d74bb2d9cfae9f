//! Published ports, as `docker run -p` writes them.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use anyhow::{Result, anyhow, bail};
use serde::{Deserialize, Serialize};

/// A transport protocol.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// tcp(7)
    Tcp,
    /// udp(7)
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port of the host that leads to a port of the container: `[IP:]HOST:CONTAINER[/tcp|udp]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Port {
    /// The only address of the host that it is published on; else every one
    pub ip: Option<Ipv4Addr>,
    /// The port of the host
    pub host: u16,
    /// The port of the container
    pub container: u16,
    /// The protocol; tcp if nothing is said
    pub protocol: Protocol,
}

impl Port {
    /// Whether both want the same port of the host.
    pub(super) fn collides(&self, other: &Self) -> bool {
        let same_address = self.ip.is_none() || other.ip.is_none() || self.ip == other.ip;
        same_address && self.host == other.host && self.protocol == other.protocol
    }
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ip) = self.ip {
            write!(formatter, "{ip}:")?;
        }
        write!(formatter, "{}:{}/{}", self.host, self.container, self.protocol)
    }
}

impl FromStr for Port {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|why| {
            let cure = "Write [IP:]HOST:CONTAINER[/tcp|udp], like 8080:80 or 127.0.0.1:5353:53/udp";
            anyhow!("cannot publish {text:?}: {why:#}. {cure}")
        })
    }
}

fn parse(text: &str) -> Result<Port> {
    let (ports, protocol) = match text.split_once('/') {
        None => (text, Protocol::Tcp),
        Some((ports, "tcp")) => (ports, Protocol::Tcp),
        Some((ports, "udp")) => (ports, Protocol::Udp),
        Some((_, other)) => bail!("the protocol {other:?} is neither tcp nor udp"),
    };
    let (rest, container) =
        ports.rsplit_once(':').ok_or_else(|| anyhow!("the port of the host is missing"))?;
    let (ip, host) = match rest.rsplit_once(':') {
        Some((ip, host)) => (Some(parse_ip(ip)?), host),
        None => (None, rest),
    };
    let (host, container) = (parse_number(host)?, parse_number(container)?);
    // 0.0.0.0 is how programs say "every address".
    Ok(Port { ip: ip.filter(|ip| !ip.is_unspecified()), host, container, protocol })
}

fn parse_ip(text: &str) -> Result<Ipv4Addr> {
    text.parse().map_err(|_| anyhow!("{text:?} is no IPv4 address"))
}

fn parse_number(text: &str) -> Result<u16> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.split_once('-').is_some_and(|(first, last)| digits(first) && digits(last)) {
        bail!("{text} is a range: publish each port with a -p of its own");
    }
    if !digits(text) {
        bail!("{text:?} is no port");
    }
    match text.parse() {
        Ok(0) | Err(_) => bail!("port {text} does not exist: they go from 1 to 65535"),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn port(text: &str) -> Port {
        text.parse().unwrap()
    }

    #[test]
    fn understands_what_docker_understands() {
        let expected = Port { ip: None, host: 8080, container: 80, protocol: Protocol::Tcp };
        assert_eq!(port("8080:80"), expected);
        assert_eq!(port("8080:80/tcp"), expected);
        assert_eq!(port("0.0.0.0:8080:80"), expected);
        assert_eq!(port("8080:80/udp"), Port { protocol: Protocol::Udp, ..expected });
        let ip = Some(Ipv4Addr::LOCALHOST);
        assert_eq!(port("127.0.0.1:8080:80"), Port { ip, ..expected });
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<Port>().unwrap_err().to_string();
        for (text, why) in [
            ("80", "the port of the host is missing"),
            ("", "the port of the host is missing"),
            ("0:80", "port 0 does not exist"),
            ("80:70000", "port 70000 does not exist"),
            ("99999999999999999999:80", "does not exist"),
            ("8000-8010:80", "8000-8010 is a range"),
            (":80", "\"\" is no port"),
            ("127.0.0.1::80", "\"\" is no port"),
            ("+80:80", "\"+80\" is no port"),
            ("-1:80", "\"-1\" is no port"),
            ("80:80/sctp", "\"sctp\" is neither tcp nor udp"),
            ("80:80/", "\"\" is neither tcp nor udp"),
            ("[::1]:80:80", "\"[::1]\" is no IPv4 address"),
            ("1.2.3:80:80", "\"1.2.3\" is no IPv4 address"),
            ("80:80\n", "\"80\\n\" is no port"),
        ] {
            assert!(error(text).contains(why), "{text:?}: {}", error(text));
        }
    }

    #[test]
    fn knows_what_collides() {
        let collides = |a, b| port(a).collides(&port(b));
        assert!(collides("80:1", "80:2"));
        assert!(collides("127.0.0.1:80:1", "80:2"));
        assert!(!collides("127.0.0.1:80:1", "127.0.0.2:80:1"));
        assert!(!collides("80:1", "80:1/udp"));
        assert!(!collides("80:1", "81:1"));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = text.parse::<Port>();
        }

        #[test]
        fn garbage_around_the_separators_is_never_a_port(text in "[0-9a-z:./+ -]{0,20}") {
            if let Ok(port) = text.parse::<Port>() {
                prop_assert!(port.host > 0 && port.container > 0);
                prop_assert_eq!(port.to_string().parse::<Port>().unwrap(), port);
            }
        }

        #[test]
        fn reads_what_it_writes(
            ip in proptest::option::of(1u32..),
            host in 1u16..,
            container in 1u16..,
            udp: bool,
        ) {
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            let port = Port { ip: ip.map(Ipv4Addr::from), host, container, protocol };
            prop_assert_eq!(port.to_string().parse::<Port>().unwrap(), port);
        }
    }
}
