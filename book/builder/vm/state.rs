//! The machine's saved state: booted once, with a shell waiting on each pane.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::cache::{self, Cache, key};
use super::files::Packed;
use super::packages::Packages;
use super::tool;

/// Its name in the assets.
pub(super) const NAME: &str = "state.bin.zst";

/// v86 and xterm.js, as package-lock.json pins them; npm checks their integrity.
pub(super) fn modules(cache: &Cache, sources: &Path) -> Result<PathBuf> {
    let lock = cache::read(&sources.join("package-lock.json"))?;
    let folder = cache.get("npm", key(lock), |folder| {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(sources.join(name), folder.join(name))
                .with_context(|| format!("cannot copy {name}"))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=5"]);
        tool::run(npm.current_dir(folder))
            .map(drop)
            .context("cannot fetch v86 and xterm.js. Is npm's registry within reach? Run it again")
    })?;
    Ok(folder.join("node_modules"))
}

/// What a machine is made of.
pub(super) struct Machine {
    pub(super) modules: PathBuf,
    pub(super) packages: Packages,
    pub(super) kernel: PathBuf,
    pub(super) image: PathBuf,
    pub(super) files: Packed,
}

/// Boots the machine in Node, and returns its packed state.
pub(super) fn save(cache: &Cache, sources: &Path, machine: &Machine) -> Result<PathBuf> {
    let Machine { modules, packages, kernel, image, files } = machine;
    let scripts = ["options.mjs", "answers.mjs", "machine.mjs", "save.mjs"];
    let scripts: Vec<_> =
        scripts.iter().map(|name| cache::read(&sources.join(name))).collect::<Result<_>>()?;
    let key = key((scripts, modules, kernel, image, &files.list));
    let folder = cache.get("state", key, |folder| {
        let state = folder.join("state.bin");
        let mut node = Command::new("node");
        node.arg(sources.join("save.mjs")).arg(modules.join("v86/build"));
        node.arg(packages.root.join("usr/share/seabios")).arg(kernel).arg(image);
        tool::run(node.args([&files.list, &files.contents, &state]))?;
        let mut zstd = Command::new("zstd");
        zstd.args(["-q", "--ultra", "-22", "--rm"]).arg(&state).arg("-o").arg(folder.join(NAME));
        tool::run(&mut zstd).map(drop)
    })?;
    Ok(folder.join(NAME))
}
