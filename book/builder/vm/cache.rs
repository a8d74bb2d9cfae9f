//! What has been built, each part in a folder whose name says what it was made from.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::report;

pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        create(folder)?;
        let folder = folder.canonicalize();
        Ok(Self { folder: folder.context("cannot find target/")? })
    }

    /// A folder that stays, for what looks after itself.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        create(&folder)?;
        Ok(folder)
    }

    /// The folder `NAME-KEY` as `make` has filled it, now or earlier. Older ones of that name go.
    pub(super) fn get(
        &self,
        name: &str,
        key: u64,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let folder = self.folder.join(format!("{name}-{key:016x}"));
        if folder.is_dir() {
            return Ok(folder);
        }
        self.forget(name)?;
        let new = self.folder.join(format!("{name}-new"));
        create(&new)?;
        let start = Instant::now();
        make(&new).with_context(|| format!("cannot make the {name} of the Linux in the page"))?;
        fs::rename(&new, &folder).with_context(|| format!("cannot create {}", folder.display()))?;
        report(&format!("{name}: {:.0} s", start.elapsed().as_secs_f32()));
        Ok(folder)
    }

    pub(super) fn forget(&self, name: &str) -> Result<()> {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            if file.rsplit_once('-').is_some_and(|(stem, _)| stem == name) {
                let what = || format!("cannot remove {}", entry.path().display());
                fs::remove_dir_all(entry.path()).with_context(what)?;
            }
        }
        Ok(())
    }
}

pub(super) fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// A number that changes with what it is made from.
pub(super) fn key(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

pub(super) fn read_text(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

pub(super) fn write(file: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}
