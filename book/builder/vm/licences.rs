//! Which crates a program was built from, and their licences.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::cache;
use super::tool;

/// The list that lies beside a built program.
const LIST: &str = "crates.json";

/// How the files begin in which crates say how they may be used.
const TEXTS: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Crate>,
}

/// A crate, as `cargo metadata` describes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

impl Crate {
    /// The folder of its licences' texts.
    pub(super) fn folder(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

/// Gathers the crates of a workspace, and their licences' texts, in a folder.
pub(super) fn gather(workspace: &Path, into: &Path) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--format-version", "1", "--filter-platform", super::crates::TARGET]);
    let text = tool::run(cargo.current_dir(workspace))?;
    let metadata: Metadata = serde_json::from_str(&text).context("cannot read cargo metadata")?;
    let mut crates = metadata.packages;
    // The others are the workspace's own.
    crates.retain(|it| it.source.is_some());
    crates.sort();
    for it in &crates {
        let (from, to) = (it.manifest_path.parent(), into.join("licences").join(it.folder()));
        let from = from.context("a manifest lies in a folder")?;
        cache::create(&to)?;
        let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()));
        for entry in entries?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if TEXTS.iter().any(|text| name.to_uppercase().starts_with(text))
                && entry.path().is_file()
            {
                // A link to a page's source would lead to the page.
                let name = name.trim_end_matches(".md");
                cache::write(&to.join(name), cache::read(&entry.path())?)?;
            }
        }
    }
    let list = serde_json::to_string(&crates).context("cannot write the list of crates")?;
    cache::write(&into.join(LIST), list)
}

/// What has been gathered beside a built program: the crates, and the folder of the texts.
pub(super) fn of(program: &Path) -> Result<(Vec<Crate>, PathBuf)> {
    let list = cache::read_text(&program.with_file_name(LIST))?;
    let crates = serde_json::from_str(&list).context("cannot read the list of crates")?;
    Ok((crates, program.with_file_name("licences")))
}
