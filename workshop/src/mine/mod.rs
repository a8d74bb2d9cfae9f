//! The attendee's own container: the crate in `mine/`, which is no member of the workspace.

pub mod keep;
pub mod start;
mod todo;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::project;

pub(crate) use todo::is_mark;

/// Its name, as a folder, a package and a program.
pub const NAME: &str = "mine";

/// Its one source file, below its folder.
const SOURCE: &str = "src/main.rs";

/// The source file that the attendee edits.
pub fn source(project: &Path) -> PathBuf {
    project.join(NAME).join(SOURCE)
}

/// How many places to fill in are marked in it.
pub(crate) fn marks() -> Result<usize> {
    let text = project::read(&source(&project::root()?))?;
    Ok(text.lines().filter(|line| is_mark(line)).count())
}

/// Builds it, with cargo's own words for what goes wrong, and returns the program.
pub fn build(project: &Path) -> Result<PathBuf> {
    if !source(project).is_file() {
        bail!(
            "cannot find {NAME}/{SOURCE}, your own container. Begin it: cargo workshop start 01; \
             or bring back what was there: cargo workshop restore"
        );
    }
    let lock = project.join(NAME).join("Cargo.lock");
    if !lock.exists() {
        fs::write(&lock, start::LOCK)
            .with_context(|| format!("cannot write {}", lock.display()))?;
    }
    project::build_apart(&project.join(NAME).join("Cargo.toml"), NAME)
}
