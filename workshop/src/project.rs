//! Where the workshop lies on this machine.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The workspace's folder: the nearest one above the current folder that holds `workshop/steps.toml`,
/// or the one this program was compiled in.
pub fn root() -> Result<PathBuf> {
    let here =
        env::current_dir().context("cannot tell the current folder. Does it still exist?")?;
    let compiled_in = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .chain(compiled_in.ancestors())
        .find(|folder| folder.join("workshop/steps.toml").is_file())
        .map(Path::to_path_buf)
        .context("cannot find the workshop's folder. Change into it and try again")
}
