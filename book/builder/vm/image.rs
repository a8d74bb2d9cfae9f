//! The archive of files that the machine starts with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use workshop::vm::cpio::Archive;

use super::cache::{self, Cache, key};

/// What comes from `book/vm`: its mode, and where it goes.
const FILES: [(&str, u32, &str); 4] = [
    ("init", 0o755, "init"),
    ("pane", 0o755, "opt/pane"),
    ("cargo", 0o755, "opt/cargo"),
    ("pane.bashrc", 0o644, "etc/pane.bashrc"),
];

/// Packs it and returns the file.
pub(super) fn pack(cache: &Cache, sources: &Path, guest: &Path, steps: &Path) -> Result<PathBuf> {
    let mut own = Vec::new();
    for (name, mode, to) in FILES {
        own.push((cache::read(&sources.join(name))?, mode, to));
    }
    own.push((cache::read(steps)?, 0o755, "opt/steps"));
    let folder = cache.get("initramfs", key((guest, &own)), |folder| {
        let write = || {
            let mut archive = Archive::new(Vec::new());
            archive.tree(guest, Path::new(""))?;
            for (content, mode, to) in &own {
                archive.file(Path::new(to), *mode, content)?;
            }
            archive.finish()
        };
        cache::write(&folder.join("initramfs"), write().context("cannot pack the files")?)
    })?;
    Ok(folder.join("initramfs"))
}
