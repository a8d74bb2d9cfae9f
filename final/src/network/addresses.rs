//! Who has which address, and which port of the host.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt,
};

use super::netlink::Socket;
use super::port::{Port, Protocol};
use super::state::{Owner, Record, State};
use super::survey::find_link;
use super::{GATEWAY, PREFIX, Plan, contains, failed, link, veth};
use crate::state::Process;

/// How long the kernel may take to remove the interfaces of a container that has ended.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

/// The steps' containers take addresses from 10.20.30.40 on.
const STEPS: u8 = 40;

/// Takes an address for a container: the one it asks for, or the first free one. Answers the host's
/// network as well.
pub(super) fn take(plan: &Plan, owner: &Owner) -> Result<(String, Ipv4Addr)> {
    let [a, b, c, _] = GATEWAY.octets();
    let range = match plan.ip {
        Some(ip) => vec![check(ip)?],
        None => (2..=254).map(|host| Ipv4Addr::new(a, b, c, host)).collect(),
    };
    let start = Instant::now();
    let mut socket = link::open()?;
    loop {
        let state = State::lock()?;
        check_ports(&plan.ports, &state)?;
        let mut free = range.iter().copied().filter(|ip| state.record(*ip).is_none()).peekable();
        if free.peek().is_none() {
            return Err(exhausted(plan, &state));
        }
        for ip in free {
            if !is_in_use(&mut socket, ip)? {
                let (owner, supervisor) = (owner.clone(), Process::this()?);
                state.take(&Record { owner, supervisor, ip, ports: plan.ports.clone() })?;
                return Ok((state.network, ip));
            }
        }
        drop(state);
        // Nobody has them, but the host uses them: containers that ended a moment ago had them.
        if start.elapsed() > PATIENCE {
            bail!(
                "cannot find a free address: those left are used by others on the bridge. \
                 `ip link show master mydocker0` lists them"
            );
        }
        thread::sleep(PAUSE);
    }
}

fn exhausted(plan: &Plan, state: &State) -> Error {
    match plan.ip.and_then(|ip| state.record(ip)) {
        Some(record) => anyhow!(
            "cannot use the address {}: {} has it. End that one, or choose another",
            record.ip,
            name(&record)
        ),
        None => anyhow!(
            "cannot find a free address: containers have all from 10.20.30.2 to 10.20.30.254. \
             End some; `final prune` frees those of killed ones"
        ),
    }
}

fn check(ip: Ipv4Addr) -> Result<Ipv4Addr> {
    let usable = contains(GATEWAY, PREFIX, ip) && !matches!(ip.octets()[3], 0 | 1 | 255);
    if !usable {
        bail!("cannot use the address {ip}: choose one from 10.20.30.2 to 10.20.30.254");
    }
    Ok(ip)
}

/// Whether the host uses an address that no record speaks of.
fn is_in_use(socket: &mut Socket, ip: Ipv4Addr) -> Result<bool> {
    let name = veth(ip);
    let found = find_link(socket, &name)
        .map_err(|error| failed(format!("look for {name}"), error, "Try again"))?;
    // Of a container that has just ended, the kernel removes the interfaces in the background.
    if found.is_some() {
        return Ok(true);
    }
    if ip.octets()[3] < STEPS {
        return Ok(false);
    }
    // The steps' containers share the bridge. As long as one has an address, it holds a socket of
    // this name.
    let name = SocketAddr::from_abstract_name(format!("mydocker0 {ip}"));
    Ok(name.and_then(|name| UnixListener::bind_addr(&name)).is_err())
}

/// Fails if a port of the host is taken, or wanted twice.
fn check_ports(ports: &[Port], state: &State) -> Result<()> {
    if ports.is_empty() {
        return Ok(());
    }
    let records = state.records()?;
    for (index, port) in ports.iter().enumerate() {
        let other = ports[..index].iter().find(|other| port.collides(other));
        if let Some(other) = other {
            bail!("cannot publish {port}: {other} wants the same port of the host. Leave one out");
        }
        let owner = records.iter().find(|it| it.ports.iter().any(|other| port.collides(other)));
        if let Some(owner) = owner {
            let container = name(owner);
            bail!("cannot publish {port}: {container} has the port. End that one, or use another");
        }
        check_port(port)?;
    }
    Ok(())
}

/// Asks the host for a port, as a program would, and gives it back at once.
fn check_port(port: &Port) -> Result<()> {
    let address = port.ip.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let bound = match port.protocol {
        Protocol::Udp => UdpSocket::bind((address, port.host)).map(drop),
        Protocol::Tcp => bind_tcp(address, port.host).map_err(Into::into),
    };
    let Err(error) = bound else { return Ok(()) };
    let cure = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EADDRINUSE) => match process_with(port) {
            Some(process) => format!("{process} has the port. Stop it, or use another"),
            None => "Another program has the port. Use another".into(),
        },
        Some(Errno::EADDRNOTAVAIL) => format!("{address} is no address of this host"),
        _ => "Use another port".into(),
    };
    Err(failed(format!("publish {port}"), error, &cure))
}

/// Binds a port without listening: nobody gets connected to it.
fn bind_tcp(address: Ipv4Addr, port: u16) -> Result<(), Errno> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // Connections that were closed lately do not count.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    let [a, b, c, d] = address.octets();
    bind(socket.as_raw_fd(), &SockaddrIn::new(a, b, c, d, port))
}

/// The process that has a port of the host, if /proc tells: proc_net(5), proc_pid_fd(5).
fn process_with(port: &Port) -> Option<String> {
    let socket = ["", "6"].iter().find_map(|version| {
        let table = format!("/proc/thread-self/net/{}{version}", port.protocol);
        let table = fs::read_to_string(table).ok()?;
        // Like "0: 0100007F:1F90 00000000:0000 0A ... 12345": address, peer, state, ..., inode.
        let line = table.lines().find(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let suffix = format!(":{:04X}", port.host);
            let here = fields.next().is_some_and(|local| local.ends_with(&suffix));
            here && (port.protocol == Protocol::Udp || fields.nth(1) == Some("0A"))
        })?;
        Some(format!("socket:[{}]", line.split_whitespace().nth(9)?))
    })?;
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| target.as_os_str() == socket.as_str())
    })?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (process {pid})", name.trim()))
}

fn name(record: &Record) -> String {
    format!("the container {} of --root {}", record.owner.container, record.owner.root)
}
