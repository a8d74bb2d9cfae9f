//! The kernel, from Debian's source and a small configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use super::cache::{self, Cache, key};
use super::packages::Packages;
use super::tool;

/// The same for everyone: the kernel says who built it and when.
const BUILT: [(&str, &str); 4] = [
    ("KBUILD_BUILD_TIMESTAMP", "2025-01-01 00:00:00"),
    ("KBUILD_BUILD_USER", "book"),
    ("KBUILD_BUILD_HOST", "book"),
    ("KBUILD_BUILD_VERSION", "1"),
];

/// Most of the source is for other machines: to unpack it takes longer than it is worth.
const UNUSED: [&str; 6] = [
    "*/Documentation/*/*",
    "*/drivers/gpu/*.[ch]",
    "*/drivers/media/*.[ch]",
    "*/drivers/net/ethernet/*.[ch]",
    "*/drivers/net/wireless/*.[ch]",
    "*/sound/*.[ch]",
];

/// Builds it and returns the file.
pub(super) fn build(cache: &Cache, sources: &Path, packages: &Packages) -> Result<PathBuf> {
    let config = sources.join("kernel.config");
    let archive = archive(&packages.root)?;
    let compiler = tool::run(Command::new("gcc").arg("--version"))?;
    // The same package is unpacked again when another one changes.
    let mut names = packages.files.iter().filter_map(|file| file.file_name()?.to_str());
    let version = names.find(|name| name.starts_with("linux-source-"));
    let key = key((cache::read(&config)?, compiler, version, UNUSED));
    let folder = cache.get("kernel", key, |folder| {
        let source = folder.join("source");
        cache::create(&source)?;
        let mut tar = Command::new("tar");
        tar.arg("xf").arg(&archive).arg("-C").arg(&source).arg("--strip-components=1");
        tool::run(tar.args(UNUSED.map(|pattern| format!("--exclude={pattern}"))))?;
        compile(&source, &config)?;
        let image = source.join("arch/x86/boot/bzImage");
        fs::rename(&image, folder.join("bzImage")).context("cannot find the built kernel")?;
        fs::rename(source.join(".config"), folder.join("config")).context("cannot keep .config")?;
        fs::remove_dir_all(&source).context("cannot remove its source")
    })?;
    Ok(folder.join("bzImage"))
}

/// Debian's package holds one archive.
fn archive(root: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(root.join("usr/src")).context("cannot read the kernel's package")?;
    let files = entries.flatten().map(|entry| entry.path());
    let mut archives = files.filter(|file| file.to_string_lossy().ends_with(".tar.xz"));
    archives.next().context("the kernel's package has no archive in usr/src")
}

fn compile(source: &Path, config: &Path) -> Result<()> {
    let make = |words: &[&str]| {
        let mut make = Command::new("make");
        make.args(["-s", "ARCH=i386"]).args(words).current_dir(source).envs(BUILT);
        tool::run(&mut make)
    };
    make(&["tinyconfig"])?;
    let mut merge = Command::new("scripts/kconfig/merge_config.sh");
    tool::run(merge.args(["-m", ".config"]).arg(config).current_dir(source))?;
    make(&["olddefconfig"])?;
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    make(&["-j", &jobs.to_string(), "bzImage"]).map(drop)
}
