//! The archive that the machine starts with: what puts its root filesystem together, and what that
//! has in memory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use workshop::vm::cpio::Archive;

use super::cache::{self, Cache, key};

/// Packs the programs for booting and those for the memory, and returns the file.
pub(super) fn pack(cache: &Cache, sources: &Path, boot: &Path, memory: &Path) -> Result<PathBuf> {
    let init = cache::read(&sources.join("boot"))?;
    let folder = cache.get("initramfs", key((boot, memory, &init)), |folder| {
        let write = || {
            let mut archive = Archive::new(Vec::new());
            archive.tree(boot, Path::new(""))?;
            for name in ["mnt", "proc", "memory", "memory/usr"] {
                archive.folder(Path::new(name))?;
            }
            // The links to it are in the root filesystem.
            archive.tree(&memory.join("usr"), Path::new("memory/usr"))?;
            archive.file(Path::new("init"), 0o755, &init)?;
            archive.finish()
        };
        cache::write(&folder.join("initramfs"), write().context("cannot pack the files")?)
    })?;
    Ok(folder.join("initramfs"))
}
