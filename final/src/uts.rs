//! The hostname, and the files that go with it (uts_namespaces(7)).

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::Result;

use crate::message::Attempt;
use crate::network::Mode;
use crate::parse::Host;

/// Where a machine with systemd-resolved keeps the addresses of the real name servers.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Asked where the host names no server that a container can reach, as Docker does.
const PUBLIC: [&str; 2] = ["nameserver 8.8.8.8", "nameserver 8.8.4.4"];

/// The names of the files below /etc; so that nobody edits an image's, each gets a mount.
pub(crate) const FILES: [&str; 3] = ["hostname", "hosts", "resolv.conf"];

/// What the container calls itself and others.
pub(crate) struct Names<'a> {
    pub(crate) hostname: &'a str,
    pub(crate) ip: Option<Ipv4Addr>,
    pub(crate) hosts: &'a [Host],
    pub(crate) dns: &'a [IpAddr],
    pub(crate) mode: Mode,
}

impl Names<'_> {
    /// Sets the hostname of this UTS namespace.
    pub(crate) fn set_hostname(&self) -> Result<()> {
        nix::unistd::sethostname(self.hostname)
            .or_cannot(format_args!("set the hostname {}", self.hostname), "Choose a shorter one")
    }

    /// Writes the files into a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let texts = [format!("{}\n", self.hostname), self.hosts(), self.resolv_conf()];
        for (name, text) in FILES.iter().zip(texts) {
            let file = folder.join(name);
            fs::write(&file, text)
                .or_cannot(format_args!("write {}", file.display()), "Make room on the disk")?;
        }
        Ok(())
    }

    fn hosts(&self) -> String {
        let mut text =
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_string();
        for Host { name, address } in self.hosts {
            text += &format!("{address}\t{name}\n");
        }
        let own = self.ip.unwrap_or(Ipv4Addr::new(127, 0, 1, 1));
        text + &format!("{own}\t{}\n", self.hostname)
    }

    fn resolv_conf(&self) -> String {
        let own = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        if !self.dns.is_empty() {
            let rest = own.lines().filter(|line| !line.trim_start().starts_with("nameserver"));
            let servers = self.dns.iter().map(|server| format!("nameserver {server}"));
            return rest.map(str::to_string).chain(servers).map(|line| line + "\n").collect();
        }
        match self.mode {
            Mode::Host => own,
            _ => reachable(&own, || fs::read_to_string(RESOLVED).unwrap_or_default()),
        }
    }
}

/// Without the servers on the host's own loopback, which a container cannot reach.
fn reachable(own: &str, resolved: impl FnOnce() -> String) -> String {
    let server = |line: &&str| line.trim_start().starts_with("nameserver");
    let far = |text: &str| {
        let local = |line: &str| {
            let address = line.split_whitespace().nth(1).and_then(|it| it.parse::<IpAddr>().ok());
            address.is_none_or(|address| address.is_loopback())
        };
        let lines = text.lines().filter(|line| !server(line) || !local(line));
        lines.map(str::to_string).collect::<Vec<_>>()
    };
    let has_server = |lines: &[String]| lines.iter().any(|line| server(&line.as_str()));
    let mut lines = far(own);
    if !has_server(&lines) {
        let resolved = resolved();
        lines.extend(far(&resolved).into_iter().filter(|line| server(&line.as_str())));
    }
    if !has_server(&lines) {
        lines.extend(PUBLIC.map(str::to_string));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_on_the_hosts_loopback_is_replaced() {
        let own = "nameserver 127.0.0.53\nsearch lan\n";
        let resolved = || "nameserver 192.168.1.1\nsearch lan\n".to_string();
        assert_eq!(reachable(own, resolved), "search lan\nnameserver 192.168.1.1\n");
        let public = "search lan\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n";
        assert_eq!(reachable(own, String::new), public);
        assert_eq!(reachable("nameserver 9.9.9.9\n", resolved), "nameserver 9.9.9.9\n");
    }
}
