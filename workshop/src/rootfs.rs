//! `cargo workshop rootfs`: the root filesystem that the containers get.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Result, bail};
use clap::error::ErrorKind;
use colored::Colorize;
use make_rootfs::{Interrupted, Progress, Source, absolute, has_shell, make, make_from_host, miss};
use nix::sys::signal::raise;

use crate::output::print;
use crate::project;

/// Its name in the workshop's folder.
pub const NAME: &str = "rootfs";

/// Makes the root filesystem for the containers, in rootfs/
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo workshop rootfs
  cargo workshop rootfs --force --from busybox
  docker export CONTAINER | cargo workshop rootfs --force --from tar -")]
pub struct Args {
    /// What it is made from: `host` (this machine's programs and their libraries), `busybox`, or
    /// `tar FILE` (what `docker export` writes, gzip too; `-` is stdin)
    #[arg(long, num_args = 1..=2, value_names = ["SOURCE", "FILE"], default_value = "host")]
    from: Vec<OsString>,
    /// Makes it again if it is already there
    #[arg(long)]
    force: bool,
    /// Makes it in this folder instead
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

/// Does what the command line asks for.
///
/// # Errors
/// If the root filesystem cannot be made. The old one, if any, is then still in place.
pub fn run(args: &Args) -> Result<ExitCode> {
    let source = match source(&args.from) {
        Ok(source) => source,
        Err(error) => {
            let _ = clap::Error::raw(ErrorKind::InvalidValue, format!("{error}\n")).print();
            return Ok(ExitCode::from(2));
        }
    };
    let target = match &args.into {
        Some(folder) => absolute(folder)?,
        None => project::root()?.join(NAME),
    };
    if !args.force && target.symlink_metadata().is_ok() && !is_empty(&target) {
        let lacks = if has_shell(&target) { "" } else { ", but has no /bin/sh" };
        let shown = shown(&target);
        print(&format!("{shown} is already there{lacks}. Add --force to make it again\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.into.is_some() {
        refuse_foreign(&target)?;
    }
    let report = match make(&target, &source, &Progress::on_terminal()) {
        Ok(report) => report,
        Err(error) => return Err(end(error)),
    };
    for warning in report.warnings.iter().cloned().chain(miss(&report.missing, &source)) {
        warn(&warning);
    }
    let megabytes = report.bytes as f64 / 1e6;
    let count = report.programs;
    print(&format!("Made {}: {count} programs, {megabytes:.1} MB\n", shown(&target)))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the usual one, unless there is one.
pub fn make_if_missing() -> Result<()> {
    let folder = project::root()?.join(NAME);
    if folder.join("bin").exists() {
        return Ok(());
    }
    let report = make_from_host(&folder, &Progress::on_terminal())?;
    let made = format!("Made rootfs/ from {} of this machine's programs\n", report.programs);
    print(&made)?;
    for missing in &report.missing {
        let (program, step) = (missing.program, missing.step);
        let line =
            format!("  {} it has no {program}, which step {step:02} uses", "!".yellow().bold());
        print(&format!(
            "{line}: install {} and make it again: cargo workshop rootfs --force\n",
            missing.package
        ))?;
    }
    Ok(())
}

/// What the words after `--from` mean.
fn source(words: &[OsString]) -> Result<Source> {
    let text: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    match text.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        ["host"] => Ok(Source::Host),
        ["busybox"] => Ok(Source::Busybox),
        ["tar", _] => Ok(Source::Tar(PathBuf::from(&words[1]))),
        ["tar"] => bail!("--from tar needs a file: --from tar FILE, or - for stdin"),
        [file] if Path::new(file).is_file() => bail!("to unpack a file: --from tar {file}"),
        _ => bail!("--from {}: use host, busybox or tar FILE", text.join(" ")),
    }
}

/// With `--into` anyone's folder can be named; only a root filesystem may be replaced.
fn refuse_foreign(target: &Path) -> Result<()> {
    let holds = |folder: &Path| folder.starts_with(target);
    let home = env::var_os("HOME").map(PathBuf::from);
    let used = [env::current_dir().ok(), home, project::root().ok()];
    if used.iter().flatten().any(|folder| holds(folder)) {
        bail!(
            "cannot make a root filesystem in {}: it is in use. Name a new folder",
            target.display()
        );
    }
    if target.exists() && !is_empty(target) && !has_shell(target) {
        bail!(
            "cannot replace {}: it has no /bin/sh, so it is no root filesystem. Name another folder",
            target.display()
        );
    }
    Ok(())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// The path as seen from here, if that is shorter.
fn shown(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// After a signal the process ends by that signal, as its parent expects.
fn end(error: anyhow::Error) -> anyhow::Error {
    if let Some(Interrupted(signal)) = error.downcast_ref() {
        warn(&error.to_string());
        let _ = raise(*signal);
    }
    error
}

fn warn(line: &str) {
    let label =
        if io::stderr().is_terminal() { "warning:".yellow().bold() } else { "warning:".normal() };
    let _ = writeln!(io::stderr(), "{label} {line}");
}
