//! What the steps need of the machine, as far as it can be told without root.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::utsname::uname;
use nix::unistd::{Pid, geteuid};

use crate::kernel::PidsCgroup;
use crate::steps::{self, Need};

/// Something that the machine lacks.
pub struct Lack {
    /// The first step that misses it.
    pub step: u8,
    /// What it is, and how to get it.
    pub what: String,
}

/// The oldest kernel that everything here is written for.
const OLDEST: (u32, u32) = (5, 11);

/// One line about the machine: its kernel, its cgroups and who is asking.
pub fn describe() -> Result<String> {
    let system = uname().context("cannot ask the kernel for its name")?;
    let cgroups = match PidsCgroup::of(Pid::this()) {
        Ok(cgroup) => format!("cgroup v{}", cgroup.version),
        Err(_) => "no cgroups".to_string(),
    };
    let user = if geteuid().is_root() { "root" } else { "a normal user" };
    Ok(format!("Linux {}, {cgroups}, {user}", system.release().to_string_lossy()))
}

/// Everything that the ten steps will miss on this machine.
pub fn lacks() -> Result<Vec<Lack>> {
    let mut lacks: Vec<Lack> = Vec::new();
    for step in steps::all()? {
        let missing = step.needs.iter().filter_map(|need| missing(*need));
        for what in missing.collect::<Vec<_>>() {
            if !lacks.iter().any(|lack| lack.what == what) {
                lacks.push(Lack { step: step.number, what });
            }
        }
    }
    if kernel_version().is_some_and(|version| version < OLDEST) {
        let what = format!("a kernel from {}.{} on. Update the system", OLDEST.0, OLDEST.1);
        lacks.push(Lack { step: 3, what });
    }
    Ok(lacks)
}

/// What is missing, and how to get it; nothing if it is there.
fn missing(need: Need) -> Option<String> {
    let there = match need {
        Need::Root => geteuid().is_root() || in_path("sudo"),
        // Made when it is first needed.
        Need::Rootfs => true,
        Need::Pids => {
            let cgroup = PidsCgroup::of(Pid::this()).and_then(|cgroup| cgroup.parent_for_new());
            return cgroup.err().map(|why| {
                format!("the pids controller of cgroups, and with it the checks. {why:#}")
            });
        }
        Need::Overlay => has_overlay(),
        Need::Ip => in_path("ip"),
    };
    let cure = match need {
        Need::Root => "root. There is no sudo here: become root with su",
        Need::Overlay => "the overlay filesystem. Load it: sudo modprobe overlay",
        Need::Ip => {
            "the program ip. Debian, Ubuntu: sudo apt install iproute2; Fedora: sudo dnf install \
             iproute; Arch: sudo pacman -S iproute2"
        }
        Need::Rootfs | Need::Pids => "",
    };
    (!there).then(|| cure.to_string())
}

fn kernel_version() -> Option<(u32, u32)> {
    let system = uname().ok()?;
    let release = system.release().to_str()?;
    let mut numbers = release.split(|it: char| !it.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The folders for root's programs are often missing in a normal user's PATH.
fn in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(Into::into);
    env::split_paths(&path).chain(usual).any(|folder| folder.join(program).exists())
}

/// It is in the kernel, or can be loaded into it: mount(2) does that by itself.
fn has_overlay() -> bool {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let release = uname().map(|system| system.release().to_os_string()).unwrap_or_default();
    let modules = Path::new("/lib/modules").join(release).join("modules.dep");
    known.lines().any(|line| line.ends_with("\toverlay"))
        || fs::read_to_string(modules).is_ok_and(|list| list.contains("/overlay.ko"))
}
