//! Published ports, reached from everywhere.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use super::support::{Container, Stage, output};
use super::with_ports;
use crate::network::Plan;

/// A TCP packet that was lost is sent again after a second.
const PATIENCE: Duration = Duration::from_millis(2500);

/// What a TCP server says.
pub(super) fn ask_tcp(address: &str) -> io::Result<String> {
    let address: SocketAddr = address.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// What a UDP server sends back.
fn ask_udp(address: &str) -> io::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(address)?;
    socket.send(b"hello")?;
    let mut buffer = [0; 16];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Asks for a port of the 127.0.0.1 of another machine.
pub(super) fn sneak(ask: Ask, gateway: &str, address: &str) -> io::Result<String> {
    output(&format!(
        "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
         ip route add 127.0.0.1 via {gateway} table 7
         ip rule add to 127.0.0.1 table 7 pref 1
         ip rule add table local pref 2
         ip rule delete pref 0"
    ));
    ask(address)
}

type Ask = fn(&str) -> io::Result<String>;
type Serve = fn(&Container, u16) -> JoinHandle<String>;

/// Asks for port 8080 of the host in every way that there is.
fn reach_from_everywhere(stage: &Stage<'_>, ask: Ask, serve: Serve) {
    let container = stage.start("web", &with_ports(&["8080:80", "8080:80/udp"]));
    let neighbour = stage.start("neighbour", &Plan::default());
    // From another host: and the container sees which.
    let server = serve(&container, 80);
    assert_eq!(stage.other.run(|| ask("192.0.2.1:8080")).unwrap(), "hello");
    assert_eq!(server.join().unwrap(), "192.0.2.2");
    // From the host, by each of its addresses.
    for address in ["127.0.0.1:8080", "192.0.2.1:8080", "10.20.30.1:8080"] {
        let server = serve(&container, 80);
        assert_eq!(ask(address).unwrap(), "hello", "{address}");
        server.join().unwrap();
    }
    // From other containers, and from the container itself.
    for from in [&neighbour, &container] {
        for address in ["192.0.2.1:8080", "10.20.30.1:8080"] {
            let server = serve(&container, 80);
            let who = &from.attachment.container;
            let said = from.run(|| ask(address));
            assert_eq!(said.ok().as_deref(), Some("hello"), "{who} asks {address}");
            server.join().unwrap();
        }
    }
    // And no longer.
    container.end(stage);
    assert!(stage.other.run(|| ask("192.0.2.1:8080")).is_err());
    neighbour.end(stage);
}

#[test]
fn a_tcp_port_is_reached_from_everywhere() {
    Stage::play("a_tcp_port_is_reached_from_everywhere", |stage| {
        reach_from_everywhere(stage, ask_tcp, Container::serve_tcp);
    });
}

#[test]
fn a_udp_port_is_reached_from_everywhere() {
    Stage::play("a_udp_port_is_reached_from_everywhere", |stage| {
        reach_from_everywhere(stage, ask_udp, Container::serve_udp);
    });
}

#[test]
fn a_port_of_localhost_is_reached_from_localhost_only() {
    Stage::play("a_port_of_localhost_is_reached_from_localhost_only", |stage| {
        let container = stage.start("dns", &with_ports(&["127.0.0.1:8080:80/udp"]));
        let server = container.serve_udp(80);
        assert!(stage.other.run(|| ask_udp("192.0.2.1:8080")).is_err());
        // What claims to go to 127.0.0.1 but comes from elsewhere is not let in either.
        let sneaked = stage.other.run(|| sneak(ask_udp, "192.0.2.1", "127.0.0.1:8080"));
        assert!(sneaked.is_err());
        assert_eq!(ask_udp("127.0.0.1:8080").unwrap(), "hello");
        assert_eq!(server.join().unwrap(), "10.20.30.1");
        container.end(stage);
    });
}

#[test]
fn what_is_not_published_stays_private() {
    Stage::play("what_is_not_published_stays_private", |stage| {
        let container = stage.start("web", &with_ports(&["8080:80"]));
        // Another host that knows the way to the containers.
        let nobody_came = |listener: &TcpListener| {
            listener.set_nonblocking(true).unwrap();
            assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        };
        let server = container.run(|| TcpListener::bind("0.0.0.0:81")).unwrap();
        stage.other.run(|| output("ip route add 10.20.30.0/24 via 192.0.2.1"));
        assert!(stage.other.run(|| ask_tcp("10.20.30.2:81")).is_err());
        nobody_came(&server);
        // A service of the host on 127.0.0.1, asked by a container.
        let host = TcpListener::bind("127.0.0.1:9000").unwrap();
        assert!(container.run(|| sneak(ask_tcp, "10.20.30.1", "127.0.0.1:9000")).is_err());
        nobody_came(&host);
        drop(server);
        container.end(stage);
    });
}
