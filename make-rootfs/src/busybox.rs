//! A root filesystem from busybox: one program under many names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::host::Copy;
use super::job::Job;
use super::{programs, skeleton};

/// Fills the empty folder `root`. Returns what went wrong besides.
pub(super) fn fill(root: &Path, job: &Job) -> Result<Vec<String>> {
    // Alpine's busybox.static needs no libraries.
    let busybox = programs::find("busybox.static").or_else(|| programs::find("busybox")).context(
        "cannot find busybox on this machine. Install it (on Debian and Ubuntu: \
         sudo apt-get install busybox-static) or leave --from busybox out",
    )?;
    let applets = applets(&busybox)?;
    job.count("applets", applets.len());
    // All in one folder, so that they are found with any PATH.
    let folder = root.join("usr/bin");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (link, text) in [("bin", "usr/bin"), ("sbin", "usr/bin"), ("usr/sbin", "bin")] {
        link_to(text, &root.join(link))?;
    }
    let mut copy = Copy::new(root);
    copy.program(&busybox)?;
    copy.as_usual("busybox", &busybox)?;
    for applet in &applets {
        link_to("busybox", &folder.join(applet))?;
        job.step(1)?;
    }
    skeleton::add(root)?;
    Ok(copy.warnings)
}

fn link_to(text: &str, link: &Path) -> Result<()> {
    symlink(text, link).with_context(|| format!("cannot make the link {}", link.display()))
}

/// The names that this busybox answers to; only it can tell.
fn applets(busybox: &Path) -> Result<Vec<String>> {
    let list = Command::new(busybox)
        .arg("--list")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {} --list", busybox.display()))?;
    let names = String::from_utf8_lossy(&list.stdout);
    let names: Vec<String> = names
        .lines()
        .filter(|name| !name.is_empty() && !name.contains('/') && *name != "busybox")
        .map(str::to_owned)
        .collect();
    if !list.status.success() || names.is_empty() {
        bail!("{} --list names no programs. Install busybox again", busybox.display());
    }
    Ok(names)
}
