//! Where the workshop lies on this machine.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::output;

/// The workspace's folder: the nearest one above the current folder that holds `workshop/steps.toml`,
/// or above this program, or the one this program was compiled in.
pub fn root() -> Result<PathBuf> {
    let here =
        env::current_dir().context("cannot tell the current folder. Does it still exist?")?;
    let compiled_in = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = env::current_exe().unwrap_or_default();
    here.ancestors()
        .chain(program.ancestors())
        .chain(compiled_in.ancestors())
        .find(|folder| folder.join("workshop/steps.toml").is_file())
        .map(Path::to_path_buf)
        .context("cannot find the workshop's folder. Change into it and try again")
}

/// Reads a file of the workshop's own.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| {
        let (file, reason) = (path.display(), output::reason(&error));
        anyhow!("cannot read {file}: {reason}. Is the workshop complete? `git status` tells")
    })
}

/// The folder with the compiled programs: the one that this program lies in.
pub fn binaries() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot tell this program's own path")?;
    let folder = program.parent().context("a program lies in a folder")?;
    // Tests lie one folder deeper.
    let folder = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    Ok(folder.context("a program lies in a folder")?.to_path_buf())
}

/// Builds packages of the workspace, with cargo's own words for what goes wrong.
pub fn build(packages: &[&str]) -> Result<()> {
    let mut words = vec!["build"];
    if binaries()?.ends_with("release") {
        words.push("--release");
    }
    words.extend(packages.iter().flat_map(|package| ["--package", package]));
    cargo(&words, &packages.join(", "))
}

/// Builds a crate outside of the workspace into the workspace's own folder, and returns its program.
pub fn build_apart(manifest: &Path, program: &str) -> Result<PathBuf> {
    let folder = binaries()?;
    let target = folder.parent().context("compiled programs lie in a folder")?;
    let mut words = vec!["build", "--bin", program];
    if folder.ends_with("release") {
        words.push("--release");
    }
    let words = words.into_iter().map(OsString::from);
    let places = ["--manifest-path".into(), manifest.into(), "--target-dir".into(), target.into()];
    cargo(&words.chain(places).collect::<Vec<_>>(), program)?;
    Ok(folder.join(program))
}

/// Builds `final` as it is meant to be used.
pub fn build_final() -> Result<()> {
    cargo(&["build-final"], "final. It needs a static C library (Fedora: glibc-static)")
}

/// The release build of `final`.
pub fn released_final() -> Result<PathBuf> {
    Ok(binaries()?.with_file_name("release").join("final"))
}

fn cargo<S: AsRef<OsStr>>(words: &[S], what: &str) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(words).current_dir(root()?);
    // In a script stderr is for errors.
    if !io::stderr().is_terminal() {
        build.env("CARGO_TERM_QUIET", "true");
    }
    let status = build.status().context("cannot start cargo. Is it in the PATH?")?;
    if !status.success() {
        bail!("cannot build {what}. Mend what the compiler says above");
    }
    Ok(())
}
