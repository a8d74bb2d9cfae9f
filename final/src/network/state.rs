//! What the runs on one host network know of each other, in `ROOT/network`.
//!
//! ```text
//! lock                            one run at a time reads and writes what lies here (flock(2))
//! BOOT-NAMESPACE/                 one host network: after a reboot nothing in it holds any more
//!     10.20.30.2 -> web 80:80/tcp     an address that is taken, by whom, and the published ports
//!     bridge -> made                  changes on the host: what was made,
//!     net.ipv4.ip_forward -> 0        and the values from before
//! ```
//!
//! Facts are symbolic links that lead nowhere: one is there in whole or not at all, whenever a run
//! is killed, and short ones take no block on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use nix::fcntl::{Flock, FlockArg};

use super::port::Port;
use super::{failed, reason};

/// An address that is taken.
pub(super) struct Record {
    pub(super) container: String,
    pub(super) ip: Ipv4Addr,
    pub(super) ports: Vec<Port>,
}

/// The state of this host network. No other run is at it as long as this value lives.
pub(super) struct State {
    /// The name of this host network
    pub(super) network: String,
    folder: PathBuf,
    _lock: Flock<File>,
}

impl State {
    /// Waits until no other run is at it.
    pub(super) fn lock(root: &Path) -> Result<Self> {
        let network = current_network()?;
        let (folder, path) = (folder(root, &network), root.join("network/lock"));
        let open = || OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open().or_else(|error| match error.kind() {
            ErrorKind::NotFound => fs::create_dir_all(root.join("network")).and_then(|()| open()),
            _ => Err(error),
        });
        let file = file.map_err(|error| failed_at("open", &path, &error))?;
        let lock = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| failed_at("lock", &path, &error.into()))?;
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(failed_at("create", &folder, &error))
            }
            _ => Ok(Self { network, folder, _lock: lock }),
        }
    }

    /// Who has an address, if it is taken.
    pub(super) fn record(&self, ip: Ipv4Addr) -> Option<Record> {
        let fact = self.fact(&ip.to_string())?;
        let mut words = fact.split(' ');
        let container = words.next().unwrap_or_default().to_owned();
        let ports = words.filter_map(|port| port.parse().ok()).collect();
        Some(Record { container, ip, ports })
    }

    /// Every address that is taken.
    pub(super) fn records(&self) -> Result<Vec<Record>> {
        let ips = self.facts()?.into_iter().filter_map(|name| name.parse().ok());
        Ok(ips.filter_map(|ip| self.record(ip)).collect())
    }

    /// Takes an address that nobody has.
    pub(super) fn take(&self, record: &Record) -> Result<()> {
        let ports = record.ports.iter().map(Port::to_string);
        let words: Vec<_> = [record.container.clone()].into_iter().chain(ports).collect();
        let path = self.folder.join(record.ip.to_string());
        symlink(words.join(" "), &path).map_err(|error| failed_at("create", &path, &error))
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
                Err(failed_at("create", &path, &error))
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
        let entries = entries.map_err(|error| failed_at("read", &self.folder, &error))?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    /// Removes what earlier boots of this machine left; what they did is gone.
    pub(super) fn forget_other_boots(&self) -> Result<()> {
        let (boot, _) = self.network.split_once('-').unwrap_or_default();
        let Some(all) = self.folder.parent() else { return Ok(()) };
        let entries = fs::read_dir(all).map_err(|error| failed_at("read", all, &error))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some((other, _)) = name.to_str().and_then(|name| name.split_once('-')) else {
                continue;
            };
            if other != boot {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(|error| failed_at("remove", &path, &error))?;
            }
        }
        Ok(())
    }

    /// Leaves no empty folder behind.
    pub(super) fn tidy(&self) {
        // With a fact in it, it stays.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Gives an address back in a host network that may not be the current one.
pub(super) fn release_elsewhere(root: &Path, network: &str, ip: Ipv4Addr) -> Result<()> {
    remove(&folder(root, network).join(ip.to_string()))
}

fn folder(root: &Path, network: &str) -> PathBuf {
    root.join("network").join(network)
}

/// A name for the network namespace that we are in, on this boot of the machine.
fn current_network() -> Result<String> {
    let cure = "Is /proc mounted?";
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_err(|error| failed("tell the boots of this machine apart", error, cure))?;
    let namespace = fs::metadata("/proc/thread-self/ns/net")
        .map_err(|error| failed("find the host's network namespace", error, cure))?;
    Ok(format!("{}-{}", boot.split('-').next().unwrap_or_default(), namespace.ino()))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed_at("remove", path, &error)),
        _ => Ok(()),
    }
}

fn failed_at(what: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    let cure = "Is there room, and is the folder yours to write? --root names another";
    anyhow!("cannot {what} {}: {}. {cure}", path.display(), reason(error))
}
