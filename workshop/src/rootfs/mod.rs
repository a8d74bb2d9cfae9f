//! `cargo workshop rootfs`: the root filesystem that the containers get.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result, anyhow, bail};
use clap::error::ErrorKind;
use colored::Colorize;
use nix::errno::Errno;
use nix::sys::signal::raise;

use crate::output::{print, reason};
use crate::project;
pub use host::fill_machine;
pub use job::Progress;
use job::{Interrupted, Job};
pub use programs::Missing;
pub(crate) use publish::visit;

mod archive;
mod busybox;
mod host;
mod inside;
mod job;
mod libraries;
mod paths;
mod programs;
mod publish;
mod remove;
mod skeleton;

/// Its name in the workshop's folder.
pub const NAME: &str = "rootfs";

/// Makes the root filesystem for the containers, in rootfs/
#[derive(clap::Args)]
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

/// What a root filesystem is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This machine's programs and the libraries they load.
    Host,
    /// This machine's busybox.
    Busybox,
    /// A tar archive, plain or gzip; `-` is stdin.
    Tar(PathBuf),
}

/// What was made.
#[derive(Debug)]
pub struct Report {
    /// How many programs there are inside.
    pub programs: usize,
    /// The size of all files, in bytes.
    pub bytes: u64,
    /// What the steps use and is not inside.
    pub missing: Vec<Missing>,
    /// What went wrong without being a reason to stop, one line each.
    pub warnings: Vec<String>,
}

/// Does what the command line asks for.
///
/// # Errors
/// If the root filesystem cannot be made. The old one, if any, is then still in place.
pub fn run(args: &Args) -> Result<ExitCode> {
    let source = match Source::parse(&args.from) {
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
        let lacks = if paths::exists(&target, "/bin/sh") { "" } else { ", but has no /bin/sh" };
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

/// Makes the root filesystem from this machine's programs and their libraries in the folder
/// `target`. What was there before is replaced in one go and removed.
///
/// # Errors
/// If it cannot be made: `target` is then as it was.
pub fn make_from_host(target: &Path, progress: &Progress) -> Result<Report> {
    make(target, &Source::Host, progress)
}

/// Makes a root filesystem from `source` in the folder `target`. What was there before is replaced
/// in one go and removed.
///
/// # Errors
/// If it cannot be made: `target` is then as it was.
pub fn make(target: &Path, source: &Source, progress: &Progress) -> Result<Report> {
    let target = absolute(target)?;
    let job = Job::start(progress)?;
    let mut warnings = publish::discard_stale(&target);
    let fill = |root: &Path| {
        let warnings = match source {
            Source::Host => host::fill(root, &job),
            Source::Busybox => busybox::fill(root, &job),
            Source::Tar(file) => archive::fill(root, file, &job),
        }?;
        describe(root, source, warnings)
    };
    let (mut report, left) = publish::publish(&target, fill).map_err(|error| job.explain(error))?;
    warnings.append(&mut report.warnings);
    report.warnings = warnings.into_iter().chain(left).collect();
    Ok(report)
}

impl Source {
    fn parse(words: &[OsString]) -> Result<Self> {
        let text: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        match text.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
            ["host"] => Ok(Self::Host),
            ["busybox"] => Ok(Self::Busybox),
            ["tar", _] => Ok(Self::Tar(PathBuf::from(&words[1]))),
            ["tar"] => bail!("--from tar needs a file: --from tar FILE, or - for stdin"),
            [file] if Path::new(file).is_file() => bail!("to unpack a file: --from tar {file}"),
            _ => bail!("--from {}: use host, busybox or tar FILE", text.join(" ")),
        }
    }
}

/// Counts what is in the finished root filesystem.
fn describe(root: &Path, source: &Source, mut warnings: Vec<String>) -> Result<Report> {
    if !paths::exists(root, "/bin/sh") {
        match source {
            Source::Tar(file) => warnings.push(format!(
                "{} has no /bin/sh: no step's example will start. Export another image",
                file.display()
            )),
            _ => bail!("cannot find a shell on this machine. Install one: dash or bash"),
        }
    }
    let mut bytes = 0;
    let mut add = |_: &Path, data: &fs::Metadata| {
        bytes += if data.is_file() { data.len() } else { 0 };
        Ok(())
    };
    publish::visit(root, &mut add).with_context(|| format!("cannot read {}", root.display()))?;
    let inside = programs::inside(root);
    let missing = programs::missing(&inside);
    Ok(Report { programs: inside.len(), bytes, missing, warnings })
}

/// One line about the programs that the steps will miss, and the cure.
fn miss(missing: &[Missing], source: &Source) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    let mut steps: BTreeMap<u8, Vec<&str>> = BTreeMap::new();
    for lacking in missing {
        steps.entry(lacking.step).or_default().push(lacking.program);
    }
    let steps: Vec<String> = steps
        .iter()
        .map(|(step, names)| format!("from step {step:02} on {}", names.join(", ")))
        .collect();
    let cure = match source {
        Source::Host => {
            let mut packages: Vec<&str> = missing.iter().map(|m| m.package).collect();
            packages.sort_unstable();
            packages.dedup();
            format!(
                "On Debian and Ubuntu: sudo apt-get install {}, then: cargo workshop rootfs --force",
                packages.join(" ")
            )
        }
        _ if missing.iter().all(|m| m.program == "bash") => {
            "Where the README types /bin/bash, type /bin/sh".to_owned()
        }
        _ => "There, the shell will say `not found`".to_owned(),
    };
    Some(format!("the steps use what is missing here: {}. {cure}", steps.join("; ")))
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
    if target.exists() && !is_empty(target) && !paths::exists(target, "/bin/sh") {
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

/// The path from the root folder on; the folder in which it is has to exist.
fn absolute(path: &Path) -> Result<PathBuf> {
    let name =
        path.file_name().with_context(|| format!("{} names no new folder", path.display()))?;
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let parent = parent.canonicalize().map_err(|error| {
        cure(&format!("cannot find the folder {}", parent.display()), error, "Make it first")
    })?;
    Ok(parent.join(name))
}

/// An error that says what was tried, why it failed and what to do, in this order.
fn cure(tried: &str, error: impl Into<anyhow::Error>, cure: &str) -> anyhow::Error {
    anyhow!("{tried}: {}. {cure}", causes(&error.into()))
}

/// All that is known about an error, in one line and with the words of errno(3).
fn causes(error: &anyhow::Error) -> String {
    let words = |cause: &(dyn Error + 'static)| {
        let errno = cause.downcast_ref().map(|errno: &Errno| errno.desc().to_owned());
        errno.or_else(|| cause.downcast_ref().map(reason)).unwrap_or_else(|| cause.to_string())
    };
    error.chain().map(words).collect::<Vec<_>>().join(": ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_step_and_its_package() {
        let all = programs::NEEDED.iter().map(|program| program.name.to_owned());
        let present = all.filter(|name| name != "ip" && name != "ping").collect();
        let missing = programs::missing(&present);
        let said = miss(&missing, &Source::Host).unwrap_or_default();
        assert!(said.contains("from step 10 on ip, ping"), "{said}");
        assert!(said.contains("apt-get install iproute2 iputils-ping"), "{said}");
        assert_eq!(miss(&[], &Source::Host), None);
    }
}
