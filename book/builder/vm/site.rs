//! What a built book gets: the files that a page loads, and what must lie beside them when somebody
//! publishes it: the licences, and which sources all this was built from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::serve::packed;

use super::cache;
use super::state::{self, Machine};
use super::{licences, tool};

/// What the assets are made from.
pub(super) struct Parts {
    pub(super) sources: PathBuf,
    pub(super) machine: Machine,
    /// Those that were built from this workspace's sources.
    pub(super) programs: Vec<PathBuf>,
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
pub(crate) const PAGE: [&str; 9] = [
    "vm.mjs",
    "vm.css",
    "buttons.mjs",
    "linux.mjs",
    "answers.mjs",
    "pane.mjs",
    "typist.mjs",
    "picture.mjs",
    "picture.css",
];

/// What a page loads until it has a prompt.
pub const LOADED: [&str; 6] =
    ["options.mjs", "libv86.mjs", "v86.wasm", "xterm.mjs", "xterm.css", state::NAME];

/// Debian's texts of the licences that its packages name.
const COMMON: [&str; 6] = ["Apache-2.0", "GPL-2", "GPL-3", "LGPL-2.1", "LGPL-3", "MPL-2.0"];

/// The list of sources, in Markdown; links in it lead to the licences' texts beside it.
pub(crate) const LIST: &str = "SOURCES.md";

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
    cache::create(&site.join("licences/book"))?;
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        // Beside the folder of the book.
        let from = parts.sources.join("../..").join(name);
        copy(&from, &site.join("licences/book").join(name))?;
    }
    for (from, to) in MODULES {
        copy(&parts.machine.modules.join(from), &site.join(to))?;
    }
    copy(&parts.state, &site.join(state::NAME))?;
    let (from, to) = (&parts.machine.files.contents, site.join("files"));
    let what = || format!("cannot copy {} to {}", from.display(), to.display());
    super::copy(from, &to).with_context(what)?;
    for name in OWN.into_iter().chain(PAGE) {
        copy(&parts.sources.join(name), &site.join(name))?;
    }
    let size = wire_size(site)?.div_ceil(100_000) as f64 / 10.0;
    cache::write(&site.join("size.mjs"), format!("// In MB, packed.\nexport default {size};\n"))?;
    let debian = debian(site, &parts.machine)?;
    let crates = crates(site, &parts.programs)?;
    let npm = npm(&parts.machine.modules)?;
    cache::write(
        &site.join(LIST),
        format!(
            "## From Debian\n\nThe kernel, the programs and the libraries, the machine's BIOS, the compiler and what \
             it links with are packages of Debian, built from these sources, which \
             [snapshot.debian.org](https://snapshot.debian.org/) keeps. The kernel is Debian's source, built \
             with [this configuration](kernel.config), which is added to `make ARCH=i386 tinyconfig`.\n\n\
             | source | version | packages, with their licences |\n| --- | --- | --- |\n{debian}\n\
             ## From crates.io\n\nThe steps, the riddles, `final`, the helper and what watches the machine for the picture \
             are this book's own, under the [MIT licence](licences/book/LICENSE-MIT) or the \
             [Apache licence](licences/book/LICENSE-APACHE). They are built with these crates.\n\n\
             | crate | version | licence |\n| --- | --- | --- |\n{crates}\n\
             ## From npm\n\nThe emulator and the terminal.\n\n\
             | package | version | licence |\n| --- | --- | --- |\n{npm}"
        ),
    )
}

/// A row for each of Debian's sources; copies the packages' licences.
fn debian(site: &Path, machine: &Machine) -> Result<String> {
    let mut sources: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in &machine.packages.files {
        let format = "${source:Package} | ${source:Version}\\t${Package}";
        let mut dpkg = Command::new("dpkg-deb");
        let text = tool::run(dpkg.args(["--showformat", format, "-W"]).arg(file))?;
        let (source, name) = text.split_once('\t').unwrap_or((&text, ""));
        let licence = machine.packages.root.join("usr/share/doc").join(name).join("copyright");
        let shown = match licence.is_file() {
            true => format!("[{name}](licences/{name})"),
            false => name.to_string(),
        };
        if licence.is_file() {
            copy(&licence, &site.join("licences").join(name))?;
        }
        let packages = sources.entry(source.to_string()).or_default();
        // The same for two architectures.
        if !packages.contains(&shown) {
            packages.push(shown);
        }
    }
    let rows = sources
        .iter()
        .map(|(source, packages)| format!("| {source} | {} |\n", packages.join(", ")));
    Ok(rows.collect())
}

/// A row for each crate; copies their licences.
fn crates(site: &Path, programs: &[PathBuf]) -> Result<String> {
    let mut rows = BTreeMap::new();
    for program in programs {
        let (crates, texts) = licences::of(program)?;
        for it in crates {
            let (from, to) =
                (texts.join(it.folder()), site.join("licences/crates").join(it.folder()));
            super::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
            let mut names: Vec<String> = fs::read_dir(&to)
                .with_context(|| format!("cannot read {}", to.display()))?
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            let links = names
                .iter()
                .map(|name| format!(", [{name}](licences/crates/{}/{name})", it.folder()));
            let licence = it.license.clone().unwrap_or_default() + &links.collect::<String>();
            rows.insert((it.name, it.version), licence);
        }
    }
    let rows = rows
        .iter()
        .map(|((name, version), licence)| format!("| {name} | {version} | {licence} |\n"));
    Ok(rows.collect())
}

/// A row for each package of npm.
fn npm(modules: &Path) -> Result<String> {
    let mut rows = String::new();
    for (package, licence) in [("v86", "v86"), ("@xterm/xterm", "xterm.js")] {
        let text = cache::read_text(&modules.join(package).join("package.json"))?;
        let about: Value =
            serde_json::from_str(&text).with_context(|| format!("cannot read about {package}"))?;
        let [version, name] = ["version", "license"].map(|key| about[key].as_str().unwrap_or("?"));
        rows += &format!("| {package} | {version} | [{name}](licences/{licence}) |\n");
    }
    Ok(rows)
}

/// What the book's page about the sources says.
pub(crate) fn sources_page(root: &Path) -> Result<String> {
    let file = root.join(super::SITE).join(LIST);
    if !file.is_file() {
        return Ok(
            "This book was built without the Linux in its pages, so it brings nothing of others \
                   along. To have it: `cargo run -p book -- vm`, then build the book again.\n"
                .to_string(),
        );
    }
    let text = cache::read_text(&file)?;
    Ok(text
        .replace("](licences/", "](vm/licences/")
        .replace("](kernel.config", "](vm/kernel.config"))
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
