//! Makes root filesystems for containers: from this machine's own programs and the libraries they
//! load, from its busybox, or from a tar archive. Nothing is downloaded.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;

pub use host::fill_machine;
use job::Job;
pub use job::{Interrupted, Progress};
pub use programs::Missing;
pub use publish::visit;
pub use skeleton::add as furnish;

#[cfg(feature = "archive")]
mod archive;
mod busybox;
mod host;
#[cfg(feature = "archive")]
mod inside;
mod job;
mod libraries;
pub mod mountinfo;
mod paths;
mod programs;
mod publish;
mod remove;
mod skeleton;

/// What a root filesystem is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This machine's programs and the libraries they load.
    Host,
    /// This machine's busybox.
    Busybox,
    #[cfg(feature = "archive")]
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
            #[cfg(feature = "archive")]
            Source::Tar(file) => archive::fill(root, file, &job),
        }?;
        describe(root, source, warnings)
    };
    let (mut report, left) = publish::publish(&target, fill).map_err(|error| job.explain(error))?;
    warnings.append(&mut report.warnings);
    report.warnings = warnings.into_iter().chain(left).collect();
    Ok(report)
}

/// Counts what is in the finished root filesystem.
fn describe(root: &Path, source: &Source, warnings: Vec<String>) -> Result<Report> {
    if matches!(source, Source::Host | Source::Busybox) && !has_shell(root) {
        bail!("cannot find a shell on this machine. Install one: dash or bash");
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
pub fn miss(missing: &[Missing], source: &Source) -> Option<String> {
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

/// True if there is a `/bin/sh` in the root filesystem `root`, whatever links lead to it.
pub fn has_shell(root: &Path) -> bool {
    paths::exists(root, "/bin/sh")
}

/// The path from the root folder on; the folder in which it is has to exist.
///
/// # Errors
/// If that folder does not exist.
pub fn absolute(path: &Path) -> Result<PathBuf> {
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

/// Why a call failed, as errno(3) says it.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_string(),
        None => error.to_string(),
    }
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
