//! Watches the kernel of a machine and tells what a picture of it needs, in lines of JSON: which
//! processes there are, in which namespaces, roots and cgroups; the overlays; the links.
//!
//! Each line is the whole truth of a moment, so that a reader can begin anywhere:
//!
//! ```json
//! {"v":1,"host":{"mnt":4026531841,...},"hidden":40,
//!  "hostnames":{"4026531838":"host","4026532210":"container"},
//!  "processes":[{"pid":1034,"parent":1030,"pids":[1034,1],"state":"S","command":"/bin/bash",
//!    "ns":{"mnt":4026532209,...},"cgroup":"/mydocker-1030","root":"/run/merged"},...],
//!  "overlays":[{"ns":4026532209,"at":"/run/merged","lower":["."],"upper":"/run/upper",
//!    "work":"/run/work","written":["/test","-/etc/passwd"]}],
//!  "cgroups":[{"path":"/mydocker-1030","pids":{"current":3,"max":20,"refused":0},
//!    "memory":{"current":0,"max":null,"refused":0},
//!    "cpu":{"max":[null,100000],"used":0,"refused":0}}],
//!  "links":[{"ns":4026531840,"index":3,"name":"mydocker0","kind":"bridge","up":true,"peer":null,
//!    "master":null,"addresses":["10.20.30.1/24"],"received":0,"sent":0},...]}
//! ```
//!
//! `ns` of a process are those that differ from the host's. `pids` begin with the host's. `refused`
//! counts forks, processes killed for lack of memory, and periods in which the CPU was taken away;
//! memory is in bytes, `cpu.max` a part and a period in microseconds, `used` microseconds; `received`
//! and `sent` are packets. `written` is what an overlay's upper layer holds, `-` what was removed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use cgroups::Cgroups;
use inside::{Doors, Visitor};
use json::{array, number, object, text};
use netlink::Link;
use processes::{KINDS, Looker, Process};

mod cgroups;
mod inside;
mod json;
mod mounts;
mod netlink;
mod processes;

/// The version of the format.
const VERSION: u32 = 1;

/// How often the machine is looked at.
const PAUSE: Duration = Duration::from_millis(250);

/// A line comes at least so often, for readers that have just come.
const BEAT: Duration = Duration::from_secs(2);

/// Where in [`KINDS`] they are.
const MNT: usize = 2;
const NET: usize = 3;
const UTS: usize = 7;

/// Watches until stdout is closed.
pub fn multi_call() -> ExitCode {
    let Err(error) = watch();
    let _ = writeln!(io::stderr(), "error: cannot watch this machine: {error}. Is /proc mounted?");
    ExitCode::FAILURE
}

fn watch() -> io::Result<std::convert::Infallible> {
    let mut out = io::stdout();
    // A terminal passes lines on as they are.
    if let Ok(mut modes) = tcgetattr(&out) {
        cfmakeraw(&mut modes);
        tcsetattr(&out, SetArg::TCSANOW, &modes)?;
    }
    let mut watcher = Watcher::start()?;
    let (mut last, mut told) = (String::new(), Instant::now());
    loop {
        let start = Instant::now();
        let beat = told.elapsed() >= BEAT;
        if watcher.may_have_changed()? || beat {
            let line = watcher.look()?;
            if line != last || beat {
                out.write_all(format!("{line}\n").as_bytes())?;
                (last, told) = (line, start);
            }
        }
        // On a slow machine, too, we take a small part of its time.
        thread::sleep((start.elapsed() * 15).clamp(PAUSE, 2 * PAUSE));
    }
}

/// Looks at a machine, again and again.
pub struct Watcher {
    load: File,
    newest: Option<String>,
    processes: Looker,
    shown: Vec<u32>,
    inside: Visitor,
    root: Option<String>,
}

impl Watcher {
    /// Gets ready.
    ///
    /// # Errors
    /// If there is no /proc.
    pub fn start() -> io::Result<Self> {
        let load = File::open("/proc/loadavg")?;
        let (processes, inside) = (Looker::default(), Visitor::start()?);
        let root = mounts::root();
        Ok(Self { load, newest: None, processes, shown: Vec::new(), inside, root })
    }

    /// Whether there may be something to tell: since the last look there was a new process, or one that
    /// matters has run. A look takes ten times as long as this.
    fn may_have_changed(&mut self) -> io::Result<bool> {
        let mut load = [0; 64];
        let length = self.load.read_at(&mut load, 0)?;
        // Its last word is the newest pid.
        let newest =
            String::from_utf8_lossy(&load[..length]).split(' ').next_back().map(str::to_string);
        let is_new = newest != self.newest;
        self.newest = newest;
        Ok(is_new || self.processes.have_run(&self.shown))
    }

    /// What there is now, as a line.
    ///
    /// # Errors
    /// If there is no /proc.
    pub fn look(&mut self) -> io::Result<String> {
        let all = self.processes.look()?;
        // This runs on the host.
        let own = all.iter().find(|process| process.pid == std::process::id());
        let host = own.ok_or(io::ErrorKind::NotFound)?.namespaces;
        let cgroups = Cgroups::read();
        let shown: Vec<&Process> = shown(&all, &host, &cgroups);
        // The machine's own are in the namespaces of the host.
        let [mnt, net, uts] = [MNT, NET, UTS].map(|kind| -> Doors {
            let others = shown.iter().rev().map(|process| (process.namespaces[kind], process.pid));
            let all = others.chain([(host[kind], std::process::id())]);
            all.filter(|(inode, _)| *inode != 0).collect()
        });
        self.shown = shown.iter().map(|process| process.pid).collect();
        let root = self.root.as_deref();
        let overlays: Vec<_> =
            mnt.iter().flat_map(|(inode, pid)| mounts::overlays(*pid, *inode, root)).collect();
        let seen = self.inside.look(uts, net);
        let names = KINDS.iter().zip(host).map(|(kind, inode)| (*kind, inode.to_string()));
        let hostnames: Vec<_> =
            seen.hostnames.iter().map(|(ns, name)| (ns.to_string(), text(name))).collect();
        Ok(object([
            ("v", VERSION.to_string()),
            ("host", object(names)),
            ("hidden", (all.len() - shown.len()).to_string()),
            ("hostnames", object(hostnames.iter().map(|(ns, name)| (ns.as_str(), name.clone())))),
            (
                "processes",
                array(
                    shown.iter().map(|process| told(process, &host, cgroups.of.get(&process.pid))),
                ),
            ),
            ("overlays", array(overlays.iter().cloned())),
            ("cgroups", array(cgroups.all)),
            ("links", links(&seen.links)),
        ]))
    }
}

/// The processes that are not the machine's own: with a terminal, below one that has, in a cgroup, or
/// in a namespace that is not the host's.
fn shown<'a>(all: &'a [Process], host: &[u64; 8], cgroups: &Cgroups) -> Vec<&'a Process> {
    let by_pid: BTreeMap<u32, &Process> =
        all.iter().map(|process| (process.pid, process)).collect();
    let counts = |process: &Process| {
        let mut spaces = process.namespaces.iter().zip(host);
        let elsewhere = spaces.any(|(inode, host)| inode != host && *inode != 0);
        process.stat.has_terminal || elsewhere || cgroups.of.contains_key(&process.pid)
    };
    let has_reason = |process: &&Process| {
        let mut next = Some(*process);
        while let Some(process) = next {
            if counts(process) {
                return true;
            }
            next = by_pid.get(&process.stat.parent).copied();
        }
        false
    };
    all.iter().filter(has_reason).collect()
}

fn told(process: &Process, host: &[u64; 8], cgroup: Option<&String>) -> String {
    let others = KINDS.iter().zip(process.namespaces).zip(host);
    let others = others.filter(|((_, inode), host)| inode != *host && *inode != 0);
    object([
        ("pid", process.pid.to_string()),
        ("parent", process.stat.parent.to_string()),
        ("pids", array(process.pids.iter().map(u32::to_string))),
        ("state", text(&process.stat.state.to_string())),
        ("command", text(&process.command)),
        ("ns", object(others.map(|((kind, inode), _)| (*kind, inode.to_string())))),
        ("cgroup", text(cgroup.map_or("/", String::as_str))),
        ("root", text(&process.root)),
    ])
}

/// The links of all namespaces, with the other ends of veth pairs.
fn links(all: &BTreeMap<u64, Vec<Link>>) -> String {
    let each = || all.iter().flat_map(|(ns, links)| links.iter().map(move |link| (*ns, link)));
    let peer = |of: u64, link: &Link| {
        // Both name the other's index. In one namespace an index exists once.
        let fits = |(_, other): &(u64, &Link)| {
            Some(other.index) == link.peer && other.peer == Some(link.index)
        };
        let (mut here, mut there) = (each(), each());
        let found = there.find(|other| other.0 != of && fits(other));
        found.or_else(|| here.find(|other| other.0 == of && fits(other)))
    };
    array(each().map(|(ns, link)| {
        let peer = peer(ns, link).map(|(ns, other)| {
            object([("ns", ns.to_string()), ("index", other.index.to_string())])
        });
        object([
            ("ns", ns.to_string()),
            ("index", link.index.to_string()),
            ("name", text(&link.name)),
            ("kind", text(if link.is_loopback { "loopback" } else { &link.kind })),
            ("up", link.is_up.to_string()),
            ("peer", peer.unwrap_or_else(|| "null".to_string())),
            ("master", number(link.master.map(u64::from))),
            ("addresses", array(link.addresses.iter().map(|address| text(address)))),
            ("received", link.received.to_string()),
            ("sent", link.sent.to_string()),
        ])
    }))
}
