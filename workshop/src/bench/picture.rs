//! What a container could leave on its host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::stage::CGROUPS;

/// The host, to compare with itself later.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picture {
    mounts: String,
    forwards: String,
    processes: String,
    /// Links, cgroups, and what runtimes note about containers
    entries: BTreeSet<PathBuf>,
}

impl Picture {
    /// Of the machine that this process is on. What runtimes start outside of a container is in its
    /// cgroup `own`, too; `store` is where `final` keeps its state.
    pub(super) fn take(own: &Path, store: &Path) -> Self {
        let read = |file: &Path| fs::read_to_string(file).unwrap_or_default();
        let mut entries = BTreeSet::new();
        for folder in ["/sys/class/net", "/run", CGROUPS].map(Path::new) {
            list(folder, &mut entries);
        }
        list(store, &mut entries);
        Self {
            mounts: read(Path::new("/proc/self/mountinfo")),
            forwards: read(Path::new("/proc/sys/net/ipv4/ip_forward")),
            processes: read(&own.join("cgroup.procs")),
            entries,
        }
    }
}

/// Everything below a folder; of cgroups only the folders, since the files are always the same.
fn list(folder: &Path, entries: &mut BTreeSet<PathBuf>) {
    let is_cgroup = folder.starts_with(CGROUPS);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder {
            list(&entry.path(), entries);
        }
        if is_folder || !is_cgroup {
            entries.insert(entry.path());
        }
    }
}
