//! What the tests share.

#![allow(clippy::unwrap_used, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use workshop::{project, steps, testing};

/// A root filesystem for the tests; the steps' binaries are there from then on, too.
pub fn rootfs() -> &'static Path {
    static ROOTFS: OnceLock<PathBuf> = OnceLock::new();
    ROOTFS.get_or_init(|| {
        let steps = steps::all().unwrap();
        let packages: Vec<_> = steps.iter().map(|step| step.package.as_str()).collect();
        project::build(&packages).unwrap();
        testing::rootfs().unwrap()
    })
}
