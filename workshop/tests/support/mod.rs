//! What the tests share.

#![allow(clippy::unwrap_used, unreachable_pub)]

use std::path::Path;
use std::sync::OnceLock;

use workshop::{project, steps};

/// True as root. Otherwise the test is skipped, and the reader is told: in CI that is a failure.
pub fn root(test: &str) -> bool {
    workshop::testing::root(test)
}

/// A root filesystem for the tests, and with it the steps' binaries.
pub fn rootfs() -> &'static Path {
    static DONE: OnceLock<std::path::PathBuf> = OnceLock::new();
    DONE.get_or_init(|| {
        let steps = steps::all().unwrap();
        project::build(&steps.iter().map(|step| step.package.as_str()).collect::<Vec<_>>())
            .unwrap();
        project::root().unwrap().join("rootfs")
    })
}
