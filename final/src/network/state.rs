//! What the runs on one host network know of each other, whatever their `--root`: they share the
//! bridge. It lies in /run, which is empty after a reboot, as the host's network is.
//!
//! ```text
//! /run/containers-from-scratch/network/
//!     BOOT-NAMESPACE/                 one host network; one run at a time is at it (flock(2))
//!         10.20.30.2 -> 4711-98 web 80:80/tcp /ROOT   an address that is taken: the supervisor, the
//!                                                     container, its published ports, its root
//!         bridge -> made                              changes on the host: what was made,
//!         net.ipv4.ip_forward -> 0                    and the values from before
//!         settling                                    held by the one who is to put them back
//! ```
//!
//! Facts are symbolic links that lead nowhere: one is there in whole or not at all, whenever a run
//! is killed.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Error, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::failed;
use super::port::Port;
use crate::state::{Process, RUN, boot, make_private};

const SETTLING: &str = "settling";

/// Whose an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) container: String,
    /// Its `--root`: two can have containers of the same name.
    pub(super) root: String,
}

impl Owner {
    pub(super) fn new(container: &str, root: &Path) -> Self {
        Self { container: container.to_owned(), root: root.to_string_lossy().into_owned() }
    }
}

/// An address that is taken.
pub(super) struct Record {
    pub(super) owner: Owner,
    pub(super) supervisor: Process,
    pub(super) ip: Ipv4Addr,
    pub(super) ports: Vec<Port>,
}

impl Record {
    fn parse(ip: Ipv4Addr, fact: &str) -> Option<Self> {
        let (words, root) = fact.split_once(" /")?;
        let mut words = words.split(' ');
        let supervisor = Process::on_this_boot(words.next()?)?;
        let owner = Owner { container: words.next()?.to_owned(), root: format!("/{root}") };
        let ports = words.filter_map(|port| port.parse().ok()).collect();
        Some(Self { owner, supervisor, ip, ports })
    }

    fn fact(&self) -> String {
        let ports: String = self.ports.iter().map(|port| format!(" {port}")).collect();
        format!("{} {}{ports} {}", self.supervisor, self.owner.container, self.owner.root)
    }
}

/// The state of this host network. No other run is at it as long as this value lives.
pub(super) struct State {
    /// The name of this host network
    pub(super) network: String,
    folder: PathBuf,
    lock: Flock<File>,
}

/// Held by the one who is to put the host back.
pub(super) type Settling = Flock<File>;

impl State {
    /// Waits until no other run is at it.
    pub(super) fn lock() -> Result<Self> {
        let network = current_network()?;
        let folder = folder(&network);
        loop {
            let opened = match File::open(&folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    make_private(&folder).map_err(|error| failed_at("create", &folder, error))?;
                    continue;
                }
                opened => opened.map_err(|error| failed_at("open", &folder, error))?,
            };
            let lock = Flock::lock(opened, FlockArg::LockExclusive)
                .map_err(|(_, error)| failed_at("lock", &folder, error))?;
            // Who had it before us may have removed it: it was empty.
            if lock.metadata().is_ok_and(|folder| folder.nlink() > 0) {
                return Ok(Self { network, folder, lock });
            }
        }
    }

    /// Who has an address, if it is taken.
    pub(super) fn record(&self, ip: Ipv4Addr) -> Option<Record> {
        Record::parse(ip, &self.fact(&ip.to_string())?)
    }

    /// Every address that is taken.
    pub(super) fn records(&self) -> Result<Vec<Record>> {
        let ips = self.facts()?.into_iter().filter_map(|name| name.parse().ok());
        Ok(ips.filter_map(|ip| self.record(ip)).collect())
    }

    /// Takes an address that nobody has.
    pub(super) fn take(&self, record: &Record) -> Result<()> {
        let path = self.folder.join(record.ip.to_string());
        symlink(record.fact(), &path).map_err(|error| failed_at("create", &path, error))
    }

    /// What was changed on the host, with the values from before.
    pub(super) fn changes(&self) -> Result<Vec<(String, String)>> {
        let names = self.facts()?.into_iter().filter(|name| name.parse::<Ipv4Addr>().is_err());
        Ok(names.filter_map(|name| self.fact(&name).map(|before| (name, before))).collect())
    }

    /// Whether something was changed on the host.
    pub(super) fn has_change(&self, name: &str) -> bool {
        self.fact(name).is_some()
    }

    /// Writes down what is going to be changed on the host. What is written down already is older
    /// and stays.
    pub(super) fn note_change(&self, name: &str, before: &str) -> Result<()> {
        let path = self.folder.join(name);
        match symlink(before, &path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(failed_at("create", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Removes an address or a change, be it there or not.
    pub(super) fn forget(&self, fact: impl ToString) -> Result<()> {
        remove(&self.folder.join(fact.to_string()))
    }

    fn fact(&self, name: &str) -> Option<String> {
        let value = fs::read_link(self.folder.join(name)).ok()?;
        Some(value.to_string_lossy().into_owned())
    }

    fn facts(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder);
        let entries = entries.map_err(|error| failed_at("read", &self.folder, error))?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    /// Removes what earlier boots of this machine left; what they did is gone.
    pub(super) fn forget_other_boots(&self) -> Result<()> {
        let (boot, _) = self.network.split_once('-').unwrap_or_default();
        let all = all();
        let entries = fs::read_dir(&all).map_err(|error| failed_at("read", &all, error))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some((other, _)) = name.to_str().and_then(|name| name.split_once('-')) else {
                continue;
            };
            if other != boot {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(|error| failed_at("remove", &path, error))?;
            }
        }
        Ok(())
    }

    /// How long nobody has taken or given back an address.
    pub(super) fn idle(&self) -> Duration {
        let changed = self.lock.metadata().and_then(|folder| folder.modified());
        let since = |time| SystemTime::now().duration_since(time).ok();
        // Who sets the clock back does not make us wait.
        changed.ok().and_then(since).unwrap_or(Duration::MAX)
    }

    /// Takes it on to put the host back, unless somebody else has done so.
    pub(super) fn take_on_settling(&self) -> Result<Option<Settling>> {
        let path = self.folder.join(SETTLING);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|error| failed_at("open", &path, error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(settling) => Ok(Some(settling)),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(failed_at("lock", &path, error)),
        }
    }

    /// Leaves no empty folder behind.
    pub(super) fn tidy(&self) {
        if self.facts().is_ok_and(|facts| facts.iter().all(|name| name == SETTLING)) {
            let _ = fs::remove_file(self.folder.join(SETTLING));
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// Gives an address back in a host network that may not be the current one.
pub(super) fn release_elsewhere(network: &str, ip: Ipv4Addr) -> Result<()> {
    remove(&folder(network).join(ip.to_string()))
}

fn folder(network: &str) -> PathBuf {
    all().join(network)
}

/// The folders of all host networks.
pub(super) fn all() -> PathBuf {
    Path::new(RUN).join("network")
}

/// A name for the network namespace that we are in, on this boot of the machine.
fn current_network() -> Result<String> {
    let namespace = fs::metadata("/proc/thread-self/ns/net")
        .map_err(|error| failed("find the host's network namespace", error, "Is /proc mounted?"))?;
    Ok(format!("{}-{}", boot()?.split('-').next().unwrap_or_default(), namespace.ino()))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed_at("remove", path, error)),
        _ => Ok(()),
    }
}

fn failed_at(what: &str, path: &Path, error: impl Into<io::Error>) -> Error {
    let cure = "Is /run mounted, and is there room?";
    failed(format!("{what} {}", path.display()), error, cure)
}
