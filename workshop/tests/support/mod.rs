//! What the tests share.

#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use workshop::container::Subject;
use workshop::{project, testing};

/// A root filesystem for the tests; the steps' binaries are there from then on, too.
pub fn rootfs() -> &'static Path {
    static ROOTFS: OnceLock<PathBuf> = OnceLock::new();
    ROOTFS.get_or_init(|| {
        // As the tests themselves were built, so that nothing is compiled twice.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .args(["test", "--no-run", "--quiet", "--workspace"])
            .current_dir(project::root().unwrap());
        assert!(build.status().unwrap().success());
        testing::rootfs().unwrap()
    })
}

/// The final runtime.
pub fn runtime() -> Subject {
    Subject::runtime(project::binaries().unwrap().join("final"))
}

pub mod learner;
pub mod left;
pub mod user;
