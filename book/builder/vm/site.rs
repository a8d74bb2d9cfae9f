//! What a built book gets: the files that a page loads, and what must lie beside them when somebody
//! publishes it: the licences, and which sources all this was built from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::serve::packed;

use super::cache;
use super::packages::Packages;
use super::{SOURCES, state, tool};

/// What the assets are made from.
pub(super) struct Parts {
    pub(super) sources: PathBuf,
    pub(super) packages: Packages,
    pub(super) modules: PathBuf,
    pub(super) state: PathBuf,
}

/// What npm's packages give, and as what.
const MODULES: [(&str, &str); 6] = [
    ("v86/build/libv86.mjs", "libv86.mjs"),
    ("v86/build/v86.wasm", "v86.wasm"),
    ("@xterm/xterm/lib/xterm.mjs", "xterm.mjs"),
    ("@xterm/xterm/css/xterm.css", "xterm.css"),
    ("v86/LICENSE", "licences/v86"),
    ("@xterm/xterm/LICENSE", "licences/xterm.js"),
];

/// What comes from `book/vm`.
const OWN: [&str; 2] = ["kernel.config", "options.mjs"];

/// What comes from there and is a page's own part.
pub(crate) const PAGE: [&str; 6] =
    ["vm.mjs", "vm.css", "buttons.mjs", "linux.mjs", "pane.mjs", "typist.mjs"];

/// What a page loads until it has a prompt.
pub const LOADED: [&str; 6] =
    ["options.mjs", "libv86.mjs", "v86.wasm", "xterm.mjs", "xterm.css", state::NAME];

/// Debian's texts of the licences that its packages name.
const COMMON: [&str; 6] = ["Apache-2.0", "GPL-2", "GPL-3", "LGPL-2.1", "LGPL-3", "MPL-2.0"];

/// What the list of sources begins with.
const SOURCES_HEAD: &str = "\
The machine's saved state holds programs of these packages of Debian, built from these sources, which
https://snapshot.debian.org/ keeps. Their licences are in the folder licences, one file for each
package. The kernel's configuration is kernel.config here, added to `make ARCH=i386 tinyconfig`.

";

/// Lays out the folder of the assets.
pub(super) fn lay_out(site: &Path, parts: &Parts) -> Result<()> {
    // What an earlier build had and this one has not goes.
    if site.exists() {
        fs::remove_dir_all(site).with_context(|| format!("cannot remove {}", site.display()))?;
    }
    cache::create(&site.join("licences"))?;
    for name in COMMON {
        copy(
            &Path::new("/usr/share/common-licenses").join(name),
            &site.join("licences").join(name),
        )?;
    }
    for (from, to) in MODULES {
        copy(&parts.modules.join(from), &site.join(to))?;
    }
    copy(&parts.state, &site.join(state::NAME))?;
    for name in OWN.into_iter().chain(PAGE) {
        copy(&parts.sources.join(name), &site.join(name))?;
    }
    let size = wire_size(site)?.div_ceil(100_000) as f64 / 10.0;
    cache::write(&site.join("size.mjs"), format!("// In MB, packed.\nexport default {size};\n"))?;
    let mut lines = BTreeMap::new();
    for file in &parts.packages.files {
        let format = "${source:Package} ${source:Version}\\t${Package} ${Architecture}";
        let mut dpkg = Command::new("dpkg-deb");
        let text = tool::run(dpkg.args(["--showformat", format, "-W"]).arg(file))?;
        let (source, package) = text.split_once('\t').unwrap_or((&text, ""));
        lines.entry(source.to_string()).or_insert_with(Vec::new).push(package.to_string());
        let name = package.split(' ').next().unwrap_or_default();
        let licence = parts.packages.root.join("usr/share/doc").join(name).join("copyright");
        if licence.is_file() {
            copy(&licence, &site.join("licences").join(name))?;
        }
    }
    let lines =
        lines.iter().map(|(source, packages)| format!("{source}: {}\n", packages.join(", ")));
    let list: String = lines.collect();
    let npm = cache::read_text(&parts.sources.join("package.json"))?;
    let text = format!(
        "{SOURCES_HEAD}{list}\nThe steps are this book's own, with the crates of its Cargo.lock.\nFrom npm, as {SOURCES}/package-lock.json pins it:\n\n{npm}"
    );
    cache::write(&site.join("SOURCES"), text)
}

/// How many bytes go over the wire until a page has a prompt.
pub fn wire_size(site: &Path) -> Result<usize> {
    let mut size = 0;
    for name in LOADED.into_iter().chain(PAGE) {
        let bytes = cache::read(&site.join(name))?;
        size += if name == state::NAME { bytes.len() } else { packed(&bytes)?.len() };
    }
    Ok(size)
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("cannot copy {}", from.display()))
}
