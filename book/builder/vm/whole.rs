//! Whole packages of the workspace for i686: `cargo workshop`, which in the machine checks the steps
//! and asks the riddles, and `final`.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::cache::Cache;
use super::crates::{self, Workspace};
use super::packages::Packages;

/// Builds the package `name` and returns its program.
pub(super) fn build(
    cache: &Cache,
    root: &Path,
    packages: &Packages,
    name: &str,
) -> Result<PathBuf> {
    let mut workspace = Workspace::new(root)?;
    for package in ["make-rootfs", name] {
        workspace.copy(package)?;
    }
    workspace.build(cache, packages, name, crates::soon())
}
