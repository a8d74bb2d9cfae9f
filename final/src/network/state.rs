//! What the runs on one host network know of each other, in `ROOT/network`.
//!
//! ```text
//! lock                one run at a time reads and writes what lies here (flock(2))
//! BOOT-NAMESPACE/     one host network: after a reboot, or in another namespace, nothing holds
//!     10.20.30.2      an address that is taken: the container that has it, and its ports
//!     changes         what was changed on the host, with the values from before
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::port::Port;
use super::{failed, reason};

/// An address that is taken.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Record {
    pub(super) container: String,
    pub(super) ip: Ipv4Addr,
    pub(super) ports: Vec<Port>,
}

/// What was changed on the host and is to be put back.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Changes {
    /// The bridge is ours to remove.
    pub(super) bridge: bool,
    /// The table of nf_tables is ours to remove.
    pub(super) table: bool,
    /// Files below /proc/sys and the values that they had.
    pub(super) values: BTreeMap<String, String>,
}

/// The state of this host network, which belongs to us as long as this value lives.
pub(super) struct State {
    /// The name of this host network
    pub(super) network: String,
    folder: PathBuf,
    _lock: Flock<File>,
}

impl State {
    /// Waits until no other run is at it.
    pub(super) fn lock(root: &Path) -> Result<Self> {
        let all = root.join("network");
        let network = current_network()?;
        let folder = all.join(&network);
        fs::create_dir_all(&all).map_err(|error| failed_io("create", &all, &error))?;
        let path = all.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| failed_io("open", &path, &error))?;
        let lock = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| failed_io("lock", &path, &error.into()))?;
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(failed_io("create", &folder, &error))
            }
            _ => Ok(Self { network, folder, _lock: lock }),
        }
    }

    /// Whether an address is taken.
    pub(super) fn has(&self, ip: Ipv4Addr) -> bool {
        self.folder.join(ip.to_string()).exists()
    }

    /// Every address that is taken. Of a run that was killed while it took one, nothing but the
    /// address is known.
    pub(super) fn records(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.folder)
            .map_err(|error| failed_io("read", &self.folder, &error))?
            .flatten()
        {
            let Some(ip) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let record =
                fs::read(entry.path()).ok().and_then(|it| serde_json::from_slice(&it).ok());
            records.push(record.unwrap_or(Record {
                container: String::new(),
                ip,
                ports: Vec::new(),
            }));
        }
        records.sort_by_key(|record| record.ip);
        Ok(records)
    }

    /// Takes an address that nobody has.
    pub(super) fn take(&self, record: &Record) -> Result<()> {
        let path = self.folder.join(record.ip.to_string());
        let mut file =
            File::create_new(&path).map_err(|error| failed_io("create", &path, &error))?;
        let text = serde_json::to_vec(record).context("cannot write down an address")?;
        file.write_all(&text).map_err(|error| {
            let _ = fs::remove_file(&path);
            failed_io("write", &path, &error)
        })
    }

    /// Gives an address of a container back.
    pub(super) fn release(&self, ip: Ipv4Addr) -> Result<()> {
        remove(&self.folder.join(ip.to_string()))
    }

    /// What was changed on the host.
    pub(super) fn changes(&self) -> Result<Changes> {
        let path = self.folder.join("changes");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                let cure = "Remove the file; what was changed on the host stays then";
                anyhow!("cannot understand {}: {error}. {cure}", path.display())
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Changes::default()),
            Err(error) => Err(failed_io("read", &path, &error)),
        }
    }

    /// Writes down what is going to be changed on the host, in whole or not at all.
    pub(super) fn set_changes(&self, changes: &Changes) -> Result<()> {
        let (path, new) = (self.folder.join("changes"), self.folder.join("changes.new"));
        if *changes == Changes::default() {
            return remove(&path);
        }
        let text = serde_json::to_vec(changes).context("cannot write down a change")?;
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| failed_io("write", &path, &error))
    }

    /// Removes what other boots of this machine left; what they did went with them.
    pub(super) fn forget_other_boots(&self) -> Result<()> {
        let (boot, _) = self.network.split_once('-').unwrap_or_default();
        let Some(all) = self.folder.parent() else { return Ok(()) };
        let entries = fs::read_dir(all).map_err(|error| failed_io("read", all, &error))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let other = |(theirs, _)| theirs != boot;
            if name.to_str().and_then(|name| name.split_once('-')).is_some_and(other) {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(|error| failed_io("remove", &path, &error))?;
            }
        }
        Ok(())
    }

    /// Leaves no empty folder behind.
    pub(super) fn tidy(&self) {
        // With something in it, it stays.
        let _ = fs::remove_file(self.folder.join("changes.new"));
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Gives an address back in a host network that is not the current one.
pub(super) fn release_elsewhere(root: &Path, network: &str, ip: Ipv4Addr) -> Result<()> {
    remove(&root.join("network").join(network).join(ip.to_string()))
}

/// A name for the network namespace that we are in, on this boot of the machine.
fn current_network() -> Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = fs::metadata("/proc/thread-self/ns/net");
    let boot = boot.map_err(|error| failed("tell the boot of this machine", error, PROC))?;
    let namespace = namespace.map_err(|error| failed("tell the host's network", error, PROC))?;
    Ok(format!("{}-{}", boot.split('-').next().unwrap_or_default(), namespace.ino()))
}

const PROC: &str = "Is /proc mounted?";

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed_io("remove", path, &error)),
        _ => Ok(()),
    }
}

fn failed_io(what: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    let cure = "Is there room, and is the folder yours to write? --root names another";
    anyhow!("cannot {what} {}: {}. {cure}", path.display(), reason(error))
}
