//! What only a process inside a namespace can see: a hostname, the links. One thread goes in and
//! comes back, since those two kinds belong to threads; it holds no namespace longer than it looks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::unistd::gethostname;

use crate::netlink::{self, Link};

/// A kind of namespace, and a process in each one to look at, by inode.
pub(crate) type Doors = BTreeMap<u64, u32>;

/// What was seen, by the namespace's inode.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) hostnames: BTreeMap<u64, String>,
    pub(crate) links: BTreeMap<u64, Vec<Link>>,
}

/// The thread.
pub(crate) struct Visitor {
    ask: Sender<(Doors, Doors)>,
    answers: Receiver<Seen>,
}

impl Visitor {
    /// Starts it. It needs its own namespaces to come back to.
    pub(crate) fn start() -> io::Result<Self> {
        let homes = (File::open("/proc/self/ns/uts")?, File::open("/proc/self/ns/net")?);
        let ((ask, questions), (answer, answers)) = (channel::<(Doors, Doors)>(), channel());
        thread::Builder::new().spawn(move || {
            for (uts, net) in questions {
                let seen = Seen {
                    hostnames: visit(&homes.0, "uts", &uts, || {
                        Ok(gethostname()?.to_string_lossy().into_owned())
                    }),
                    links: visit(&homes.1, "net", &net, netlink::links),
                };
                if answer.send(seen).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { ask, answers })
    }

    /// Looks into namespaces for their hostnames, and into others for their links.
    pub(crate) fn look(&self, uts: Doors, net: Doors) -> Seen {
        let asked = self.ask.send((uts, net)).is_ok();
        asked.then(|| self.answers.recv().ok()).flatten().unwrap_or_default()
    }
}

/// Sees what there is in each namespace. One whose process has ended meanwhile is left out.
fn visit<T>(
    home: &File,
    kind: &str,
    doors: &Doors,
    see: impl Fn() -> io::Result<T>,
) -> BTreeMap<u64, T> {
    let own = home.metadata().map(|found| found.ino()).ok();
    let (mut seen, mut away) = (BTreeMap::new(), false);
    for (inode, pid) in doors {
        let enter = |file: &File| setns(file, CloneFlags::empty()).is_ok();
        let entered = match Some(*inode) == own {
            true => !away || enter(home),
            false => File::open(format!("/proc/{pid}/ns/{kind}")).is_ok_and(|file| enter(&file)),
        };
        away = Some(*inode) != own;
        if let (true, Ok(value)) = (entered, see()) {
            seen.insert(*inode, value);
        }
    }
    if away {
        let _ = setns(home, CloneFlags::empty());
    }
    seen
}
