//! Looks at, and sends through, the network of a process (network_namespaces(7)).

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::Pid;
use serde_json::Value;
use std::os::fd::AsRawFd;

/// Runs a function in the network namespace of a process (or of a thread).
pub fn within<T: Send + 'static>(
    pid: Pid,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let path = format!("/proc/{pid}/ns/net");
    let namespace = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    // Only this thread moves: the caller stays where it is.
    let thread = thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).context("cannot enter the network namespace")?;
        work()
    });
    thread.join().map_err(|_| anyhow!("the thread in the network namespace died"))?
}

/// What `ip -json WORDS` answers in the network of a process: a list of objects.
pub fn ip(pid: Pid, words: &'static str) -> Result<Vec<Value>> {
    within(pid, move || {
        let output = Command::new("ip").arg("-json").args(words.split(' ')).output();
        let output = output.context("cannot start ip. Install the package iproute2")?;
        if !output.status.success() {
            bail!("ip {words} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        // Older versions answer nothing instead of an empty list.
        if output.stdout.iter().all(u8::is_ascii_whitespace) {
            return Ok(Vec::new());
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("ip {words} is no JSON"))
    })
}

/// The addresses of a link, as `ip` lists it, in the form 10.20.30.40/24.
pub fn addresses(link: &Value) -> Vec<String> {
    let list = link["addr_info"].as_array().map(Vec::as_slice).unwrap_or_default();
    let inet = list.iter().filter(|address| address["family"] == "inet");
    inet.filter_map(|it| Some(format!("{}/{}", it["local"].as_str()?, it["prefixlen"]))).collect()
}

/// Sends an echo request from the network of a process, and says if the answer came (icmp(7)).
pub fn ping(from: Pid, target: Ipv4Addr) -> Result<bool> {
    within(from, move || {
        let socket =
            socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)
                .context("cannot open a raw socket")?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(200))
            .context("cannot set a timeout")?;
        let address = SockaddrIn::from(SocketAddrV4::new(target, 0));
        let start = Instant::now();
        // The first may be lost while the bridge learns of its new port.
        for sequence in 1.. {
            if start.elapsed() > Duration::from_secs(3) {
                break;
            }
            let request = echo_request(sequence);
            let sent = sendto(socket.as_raw_fd(), &request, &address, MsgFlags::empty());
            if sent.is_err() {
                // There is no way to it, yet.
                thread::sleep(Duration::from_millis(50));
            }
            let mut answer = [0; 256];
            while let (Ok(_), Ok(length)) =
                (sent, recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()))
            {
                // An IPv4 header, then type 0: an answer; then our number.
                let header = usize::from(answer[0] & 15) * 4;
                if length >= header + 8
                    && answer[header] == 0
                    && answer[header + 4..header + 8] == request[4..8]
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    })
}

fn echo_request(sequence: u16) -> [u8; 8] {
    let mut packet = [8, 0, 0, 0, 0x63, 0x66, 0, 0];
    packet[6..].copy_from_slice(&sequence.to_be_bytes());
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[2..4].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    packet
}

/// Serves `word` once on an address in one network, fetches it from another, returns what came.
pub fn fetch(server: Pid, address: Ipv4Addr, client: Pid, word: String) -> Result<String> {
    let listener = listen(server, SocketAddrV4::new(address, 0))?;
    let SocketAddr::V4(target) = listener.local_addr().context("a listener has an address")? else {
        bail!("an IPv4 listener has an IPv4 address");
    };
    serve_and_fetch(listener, client, target, word)
}

/// The same where the client knows the server by another address: that of a published port.
pub fn fetch_from(
    server: Pid,
    address: SocketAddrV4,
    client: Pid,
    target: SocketAddrV4,
    word: String,
) -> Result<String> {
    serve_and_fetch(listen(server, address)?, client, target, word)
}

fn listen(server: Pid, address: SocketAddrV4) -> Result<TcpListener> {
    within(server, move || {
        TcpListener::bind(address).with_context(|| format!("cannot serve on {address}"))
    })
}

fn serve_and_fetch(
    listener: TcpListener,
    client: Pid,
    target: SocketAddrV4,
    word: String,
) -> Result<String> {
    let serve = thread::spawn(move || {
        listener.set_nonblocking(true)?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) {
            if let Ok((mut stream, _)) = listener.accept() {
                return stream.write_all(word.as_bytes());
            }
            thread::sleep(Duration::from_millis(3));
        }
        Ok(())
    });
    let fetched = within(client, move || {
        let mut stream = TcpStream::connect_timeout(&target.into(), Duration::from_secs(3))
            .with_context(|| format!("cannot connect to {target}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(3))).context("cannot set a timeout")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).with_context(|| format!("cannot read from {target}"))?;
        Ok(text)
    });
    let _ = serve.join();
    fetched
}
