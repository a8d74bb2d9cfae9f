//! The kernel, the rights of whoever asks, and the room there is.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::statvfs::statvfs;
use nix::sys::utsname::uname;
use nix::unistd::geteuid;

use super::programs::said;
use super::{Finding, Tried};
use crate::doctor::cures::Cures;
use crate::{output, project};

/// What is seen where sudo takes a password.
pub(in super::super) const ASKS: &str = "sudo asks for a password";

/// The oldest kernel that everything here is written for.
const OLDEST: (u32, u32) = (5, 11);

const MEGABYTE: u64 = 1_000_000;
/// The workspace, its tests and the book, built.
const ROOM: u64 = 2_000 * MEGABYTE;
/// The steps alone.
const LITTLE_ROOM: u64 = 200 * MEGABYTE;

/// A fact, and never a reason to fail: what the kernel can do is tried.
pub(in super::super) fn kernel() -> Tried {
    let release = release()?;
    let (major, minor) = OLDEST;
    match version(&release) {
        Some(version) if version < OLDEST => {
            Err(Finding::degraded(format!("{release} is older than {major}.{minor}")))
        }
        _ => Ok(release),
    }
}

fn release() -> Result<String> {
    let system = uname().context("cannot ask the kernel for its name")?;
    Ok(system.release().to_string_lossy().into_owned())
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|it: char| !it.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Without `unsafe` it cannot be called; but the kernel lists the calls that it has (proc(5)).
pub(in super::super) fn mount_setattr() -> Tried {
    let calls = fs::read("/proc/kallsyms").context("cannot read /proc/kallsyms")?;
    let name = b"sys_mount_setattr\n";
    match calls.windows(name.len()).any(|it| it == name) {
        true => Ok("has mount_setattr(2)".into()),
        false => Err(Finding::cannot(format!("{} has no mount_setattr(2)", release()?))),
    }
}

/// Asks sudo without a password; whether one that is typed will do, only sudo can tell.
pub(in super::super) fn root() -> Tried {
    if geteuid().is_root() {
        return Ok("this is root".into());
    }
    let mut sudo = Command::new("sudo");
    let sudo = sudo.args(["-n", "true"]).env("LC_ALL", "C").stdin(Stdio::null()).output();
    let Ok(sudo) = sudo else {
        return Err(Finding::cannot("there is no sudo"));
    };
    let said = said(&sudo.stderr);
    match sudo.status.success() {
        true => Ok("sudo works".into()),
        // As sudo says it, and as sudo-rs does.
        false
            if ["password is required", "authentication is required"]
                .iter()
                .any(|it| said.contains(it)) =>
        {
            Ok(ASKS.into())
        }
        false => Err(no_root(&said)),
    }
}

/// sudo does not help.
pub(in super::super) fn no_root(why: &str) -> Finding {
    let program = env::current_exe().unwrap_or_default();
    let words = output::line([program.as_os_str(), OsStr::new("doctor")]);
    let cure = output::line(["su", "-c", &words]);
    Finding::cannot(why).cured_by(Cures::same(&cure))
}

/// Where `target/` and `rootfs/` lie.
pub(in super::super) fn disk() -> Tried {
    let mut free = u64::MAX;
    for folder in [project::root()?, project::binaries()?] {
        free = free.min(free_on(&folder)?);
    }
    let seen = format!("{} free", size(free));
    match free {
        ROOM.. => Ok(seen),
        LITTLE_ROOM.. => {
            Err(Finding::degraded(format!("{seen}: tests and book take {}", size(ROOM))))
        }
        _ => Err(Finding::cannot(format!("{seen}: the steps take {}", size(LITTLE_ROOM)))),
    }
}

fn size(bytes: u64) -> String {
    match bytes / MEGABYTE {
        megabytes @ ..1000 => format!("{megabytes} MB"),
        megabytes => format!("{} GB", megabytes / 1000),
    }
}

fn free_on(folder: &Path) -> Result<u64> {
    let disk = statvfs(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
    Ok(disk.blocks_available() as u64 * disk.fragment_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_two_numbers() {
        assert_eq!(version("5.10.0-21-amd64"), Some((5, 10)));
        assert_eq!(version("6.18-rc1"), Some((6, 18)));
        assert_eq!(version("7"), None);
        assert!(Some((5, 10)) < Some(OLDEST) && Some((6, 1)) > Some(OLDEST));
    }
}
