//! The Linux of the page.

use std::path::PathBuf;

use book::vm;
use workshop::{project, testing};

/// The folder of the assets, unless they have not been built.
pub(crate) fn assets(test: &str) -> Option<PathBuf> {
    let root = project::root().unwrap();
    let built = vm::is_built(&root)
        || testing::skip(test, "it needs the Linux of the page: cargo run -p book -- vm");
    built.then(|| root.join(vm::SITE))
}
