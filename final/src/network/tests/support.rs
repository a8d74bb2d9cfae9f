//! Network namespaces to try things in.

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};

use crate::network::state::all;
use crate::network::{Attachment, Plan, attach, detach, intent, settle};

/// A network namespace; it goes with this value.
pub(super) struct Namespace(File);

impl Namespace {
    pub(super) fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            Self::here()
        });
        made.join().unwrap()
    }

    /// The one that this thread is in.
    pub(super) fn here() -> Self {
        Self(File::open("/proc/thread-self/ns/net").unwrap())
    }

    /// Moves this thread there.
    pub(super) fn enter(&self) {
        setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
    }

    /// Runs a function in it, and the programs that it starts.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let ran = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                work()
            });
            inside.join()
        });
        ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A host without containers, with a /run of its own, and another host, 192.0.2.2, that it is
/// connected with as 192.0.2.1.
pub(super) struct Stage<'a> {
    pub(super) root: &'a Path,
    pub(super) other: Namespace,
}

impl Stage<'_> {
    /// Has a play played on it, and compares the host before and after. Not as a normal user.
    pub(super) fn play(test: &str, play: impl FnOnce(&Stage<'_>) + Send) {
        if !workshop::testing::root(test) {
            return;
        }
        let (host, other) = (Namespace::new(), Namespace::new());
        let root = tempfile::tempdir().unwrap();
        let far_end = other.0.try_clone().unwrap();
        host.run(|| {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&far_end);
            let me = std::process::id();
            output(&format!(
                "ip link set lo up; echo 0 > /proc/sys/net/ipv4/ip_forward
                 ip link add wan type veth peer name wan netns /proc/{me}/fd/{fd}
                 ip address add 192.0.2.1/24 dev wan; ip link set wan up"
            ));
            other.run(|| {
                output("ip link set lo up; ip address add 192.0.2.2/24 dev wan; ip link set wan up")
            });
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            output("mount --make-rprivate /; mount -t tmpfs tmpfs /run");
            let before = picture();
            let stage = Stage { root: root.path(), other };
            play(&stage);
            assert!(settle().is_empty());
            assert_eq!(picture(), before);
            let left: Vec<_> = std::fs::read_dir(all()).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
        });
    }

    /// Starts a container that has everything but processes.
    pub(super) fn start(&self, name: &str, plan: &Plan) -> Container {
        let attachment = intent(plan, name, self.root).unwrap();
        let namespace = Namespace::new();
        let warnings = attach(&attachment, namespace.as_fd()).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        Container { attachment, namespace }
    }
}

/// What a host looks like that a container may have changed.
fn picture() -> String {
    output(
        "ip -o link | cut -d' ' -f2 | grep -v '^mydocker-'; ip -4 -o address
         ip route | sed 's/ linkdown//'; nft list ruleset
         cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/wan/route_localnet",
    )
}

pub(super) struct Container {
    pub(super) attachment: Attachment,
    namespace: Namespace,
}

impl Container {
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.run(work)
    }

    /// Ends it: its namespace goes, and all that was done for it.
    pub(super) fn end(self, stage: &Stage<'_>) {
        drop(self.namespace);
        let (errors, _) = detach(&self.attachment, stage.root);
        assert!(errors.is_empty(), "{errors:?}");
    }

    /// Answers the next connection on a TCP port with its address.
    pub(super) fn serve_tcp(&self, port: u16) -> thread::JoinHandle<String> {
        let listener = self.run(|| patiently(|| TcpListener::bind(("0.0.0.0", port))));
        thread::spawn(move || {
            use std::io::Write;
            let (mut stream, peer) = listener.accept().unwrap();
            stream.write_all(b"hello").unwrap();
            peer.ip().to_string()
        })
    }

    /// Sends the next datagram on a UDP port back.
    pub(super) fn serve_udp(&self, port: u16) -> thread::JoinHandle<String> {
        let socket = self.run(|| patiently(|| UdpSocket::bind(("0.0.0.0", port))));
        thread::spawn(move || {
            let mut buffer = [0; 16];
            let (length, peer) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(&buffer[..length], peer).unwrap();
            peer.ip().to_string()
        })
    }
}

/// As if the supervisor had been killed: its record names a pid that the kernel does not give.
pub(super) fn die(attachment: &Attachment) {
    let ip = attachment.ip.unwrap().to_string();
    let record = all().join(&attachment.network).join(ip);
    let fact = fs::read_link(&record).unwrap();
    let (_, rest) = fact.to_str().unwrap().split_once(' ').unwrap();
    fs::remove_file(&record).unwrap();
    symlink(format!("4194304-1 {rest}"), &record).unwrap();
}

/// Binds a socket. For a moment the port may still be taken: a program that another test started
/// at the same time has inherited the socket before, until it is executed.
pub(super) fn patiently<T>(mut bind: impl FnMut() -> io::Result<T>) -> T {
    let mut bound = bind();
    workshop::wait::until(Duration::from_secs(5), || {
        if bound.is_err() {
            bound = bind();
        }
        bound.is_ok()
    });
    bound.unwrap()
}

/// What a line of shell says; it has to succeed.
pub(super) fn output(script: &str) -> String {
    let output = Command::new("/bin/sh").args(["-ec", script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
