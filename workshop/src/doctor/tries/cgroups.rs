//! A cgroup is created, limited, joined and removed again.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

use super::{Tried, failed, refused};
use crate::{cage, kernel};

pub(in super::super) fn pids() -> Tried {
    limit("pids", ["pids.max", "pids.max"], "20")
}

pub(in super::super) fn memory() -> Tried {
    limit("memory", ["memory.limit_in_bytes", "memory.max"], "104857600")
}

pub(in super::super) fn cpu() -> Tried {
    limit("cpu", ["cpu.cfs_quota_us", "cpu.max"], "50000")
}

/// The file is called differently on v1 and on v2.
fn limit(controller: &str, [v1, v2]: [&str; 2], value: &str) -> Tried {
    let (version, home) = kernel::cgroup(Pid::this(), controller)?;
    let parent = kernel::parent_for_new(version, &home, controller)?;
    let folder = parent.join(cage::new_name());
    let made = fs::create_dir(&folder);
    made.map_err(|error| refused(&format!("create {}", folder.display()), error))?;
    let cgroup = Cgroup(folder);
    let file = cgroup.0.join(if version == 1 { v1 } else { v2 });
    let written = fs::write(&file, value);
    written.map_err(|error| failed(&format!("write {value} to {}", file.display()), &error))?;
    cgroup.join()?;
    Ok(format!("created and limited, on v{version}"))
}

/// Goes again whatever happens.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Has a process join that ends at once.
    fn join(&self) -> Result<()> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "echo 0 > \"$1\"", "sh"]).arg(self.0.join("cgroup.procs"));
        let joined = shell.output().context("cannot start a shell")?;
        if !joined.status.success() {
            bail!("cannot join it: {}", String::from_utf8_lossy(&joined.stderr).trim());
        }
        Ok(())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
