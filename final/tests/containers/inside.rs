//! What containers run that no program of theirs can do: this program, which then is no test.

use std::env;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::thread;

use nix::errno::Errno;
use nix::libc;

/// Says which of the parts below is to be played.
const PART: &str = "PART_INSIDE";

/// The words of a command line that make a container play a part, after the options.
pub(crate) fn play(part: &str, options: &str) -> String {
    let this = env::current_exe().unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut files: Vec<_> =
        maps.lines().filter_map(|line| line.split_whitespace().nth(5)).collect();
    files.retain(|file| file.contains(".so"));
    files.dedup();
    let libraries: String = files.iter().map(|file| format!("-v {file}:{file}:ro ")).collect();
    format!(
        "{options} -e {PART}={part} -v {}:/tests:ro {libraries} host \
         /tests inside::a_part --exact --nocapture",
        this.display()
    )
}

/// Not a test of its own.
#[test]
fn a_part() {
    match env::var(PART).as_deref() {
        Ok("type") => type_on_the_terminal(),
        Ok("serve") => serve(),
        _ => {}
    }
}

/// Puts a command into the terminal's input, as if somebody had typed it (TIOCSTI, tty_ioctl(4)).
fn type_on_the_terminal() {
    #[allow(unsafe_code)]
    let type_one = |key: u8| {
        // SAFETY: the kernel reads the one byte that the pointer leads to.
        Errno::result(unsafe { libc::ioctl(0, libc::TIOCSTI, &raw const key) })
    };
    let typed = b"echo gotcha\n".iter().try_for_each(|key| type_one(*key).map(drop));
    println!("typed: {typed:?}");
}

/// Says hello on port 80 to everyone, over TCP, and over UDP to who speaks first.
fn serve() {
    let (tcp, udp) = (TcpListener::bind("0.0.0.0:80"), UdpSocket::bind("0.0.0.0:80"));
    let (tcp, udp) = (tcp.unwrap(), udp.unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 16];
        while let Ok((_, peer)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(format!("hello {}\n", peer.ip()).as_bytes(), peer);
        }
    });
    if Path::new("/x").exists() {
        fs::write("/x/served", "").unwrap();
    }
    for stream in tcp.incoming() {
        let mut stream = stream.unwrap();
        let peer = stream.peer_addr().unwrap().ip();
        let _ = stream.write_all(format!("hello {peer}\n").as_bytes());
    }
}
