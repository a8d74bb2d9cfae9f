//! Removes what killed containers left behind, and nothing else.
//!
//! Everything is recognised by the pid in its name, or by a mark that only the steps make; what a
//! running container may still use stays.

mod cgroups;
mod folders;
mod mounts;
mod network;
mod processes;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use colored::Colorize;
use nix::unistd::geteuid;

use crate::{output, sudo};

/// Something that a killed run left behind.
struct Leftover {
    /// What it is, for people: `cgroup /sys/fs/cgroup/mydocker-4711`.
    what: String,
    /// The running container that may still use it.
    in_use: Option<String>,
    remove: Box<dyn FnOnce() -> Result<()>>,
}

impl Leftover {
    fn new(what: String, remove: impl FnOnce() -> Result<()> + 'static) -> Self {
        Self { what, in_use: None, remove: Box::new(remove) }
    }
}

type Finder = fn(&Path) -> Result<Vec<Leftover>>;

/// In this order, since each makes the next one removable.
const FINDERS: [Finder; 5] =
    [processes::find, cgroups::find, mounts::find, network::find, folders::find];

/// Removes what killed runs left behind, or only names it. Goes on past failures and reports them
/// all; the exit code is 1 if there were any.
pub fn clean(project: &Path, dry_run: bool) -> Result<ExitCode> {
    if !Path::new("/proc/self").exists() {
        bail!(
            "cannot find this process in /proc: a container's proc covers it. Run: sudo umount /proc"
        );
    }
    if !dry_run && !geteuid().is_root() && !find_all(project)?.is_empty() {
        return Err(sudo::again(&[]));
    }
    let (mut found, mut failed) = (false, false);
    for find in FINDERS {
        let leftovers = find(project).unwrap_or_else(|error| {
            output::complain(&error.to_string());
            failed = true;
            Vec::new()
        });
        for leftover in leftovers {
            found = true;
            failed |= !treat(leftover, dry_run)?;
        }
    }
    if !found && !failed {
        output::print("nothing to clean\n")?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Removes, in silence, what a checker that has ended left behind.
pub(crate) fn after(checker: i32) -> Result<()> {
    for leftover in cgroups::of_checker(checker)?.into_iter().chain(folders::of_checker(checker)) {
        let what = leftover.what;
        (leftover.remove)().map_err(|error| anyhow!("cannot remove {what}: {error}"))?;
    }
    Ok(())
}

/// All that there is to remove.
fn find_all(project: &Path) -> Result<Vec<Leftover>> {
    let mut all = Vec::new();
    for find in FINDERS {
        all.extend(find(project)?.into_iter().filter(|leftover| leftover.in_use.is_none()));
    }
    Ok(all)
}

/// Removes one leftover and says so. Returns whether that worked.
fn treat(leftover: Leftover, dry_run: bool) -> Result<bool> {
    let what = leftover.what;
    if let Some(user) = leftover.in_use {
        output::print(&format!("{} {what}: {user} may use it\n", "kept".yellow().bold()))?;
    } else if dry_run {
        output::print(&format!("{} {what}\n", "would remove".yellow().bold()))?;
    } else if let Err(error) = (leftover.remove)() {
        output::complain(&format!("cannot remove {what}: {error}"));
        return Ok(false);
    } else {
        output::print(&format!("{} {what}\n", "removed".green().bold()))?;
    }
    Ok(true)
}

/// The number in names like `mydocker-4711`.
fn pid_after(prefix: &str, name: &str) -> Option<i32> {
    let digits = name.strip_prefix(prefix)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The number of the process in what a check makes: `workshop-4711-0`.
fn checker(name: &str) -> Option<i32> {
    let (pid, count) = name.strip_prefix("workshop-")?.split_once('-')?;
    pid_after("", count)?;
    pid_after("", pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_are_pids() {
        assert_eq!(pid_after("veth", "veth4711"), Some(4711));
        for name in
            ["veth", "veth-1", "veth+1", "veth1a", "vethernet1", "xveth1", "veth99999999999"]
        {
            assert_eq!(pid_after("veth", name), None, "{name}");
        }
    }

    #[test]
    fn checks_name_what_they_make_by_pid_and_count() {
        assert_eq!(checker("workshop-4711-0"), Some(4711));
        for name in
            ["workshop-4711", "workshop-4711-", "workshop--1", "workshop-a-1", "workshop-1-a"]
        {
            assert_eq!(checker(name), None, "{name}");
        }
    }
}
