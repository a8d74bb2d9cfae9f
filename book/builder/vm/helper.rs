//! `cargo workshop` for i686: in the machine it checks the steps and asks the riddles.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::cache::Cache;
use super::crates::{self, Workspace};
use super::packages::Packages;

/// Builds it and returns the program.
pub(super) fn build(cache: &Cache, root: &Path, packages: &Packages) -> Result<PathBuf> {
    let mut workspace = Workspace::new(root)?;
    for package in ["make-rootfs", "workshop"] {
        workspace.copy(package)?;
    }
    workspace.build(cache, packages, "workshop", crates::soon())
}
