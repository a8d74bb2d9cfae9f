//! The root filesystem is entered, and an overlay is mounted.

use std::env;
use std::fs;
use std::os::unix::fs::chroot;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use make_rootfs::has_shell;
use nix::mount::{MsFlags, mount};

use super::namespaces::{PLACE, enter_mounts};
use super::{Finding, Tried, failed, refused};
use crate::{project, rootfs as made};

/// Its shell is started, with it as the root.
pub(in super::super) fn rootfs() -> Tried {
    let folder = project::root()?.join(made::NAME);
    let mut entries = fs::read_dir(&folder).into_iter().flatten();
    if entries.next().is_none() {
        return Err(Finding::degraded("there is none yet: cargo workshop makes it"));
    }
    if !has_shell(&folder) {
        return Err(Finding::cannot("it has no /bin/sh"));
    }
    chroot(&folder).map_err(|error| refused("make it the root", error))?;
    env::set_current_dir("/").map_err(|error| failed("change into it", &error))?;
    let mut shell = Command::new("/bin/sh");
    // It may have no /dev/null.
    let shell = shell.args(["-c", "echo runs"]).stdin(Stdio::inherit()).output();
    let shell = shell.map_err(|error| failed("start its /bin/sh", &error))?;
    if shell.stdout != b"runs\n" {
        let said = String::from_utf8_lossy(&shell.stderr).trim().to_string();
        return Err(Finding::cannot(format!("its /bin/sh does not work: {said}")));
    }
    Ok("entered, and its shell runs".into())
}

/// As step 09 does it: the lower layer is the root filesystem, the others lie on a tmpfs.
pub(in super::super) fn overlay() -> Tried {
    let (project, none) = (project::root()?, MsFlags::empty());
    let lower = [project.join(made::NAME), project].into_iter().find(|folder| folder.is_dir());
    env::set_current_dir(lower.context("there is no folder for the lower layer")?)
        .map_err(|error| failed("change into the lower layer", &error))?;
    enter_mounts()?;
    mount(Some("tmpfs"), PLACE, Some("tmpfs"), none, None::<&str>)
        .map_err(|error| refused("mount a tmpfs for the upper layer", error))?;
    let [upper, work, merged] = ["upper", "work", "merged"].map(|name| format!("{PLACE}/{name}"));
    for folder in [&upper, &work, &merged] {
        fs::create_dir(folder).map_err(|error| failed("create folders on a tmpfs", &error))?;
    }
    let options = format!("lowerdir=.,upperdir={upper},workdir={work}");
    mount(Some("overlay"), merged.as_str(), Some("overlay"), none, Some(options.as_str()))
        .map_err(|error| refused("mount it", error))?;
    fs::write(format!("{merged}/doctor"), "").map_err(|error| failed("write to it", &error))?;
    if !Path::new(&upper).join("doctor").exists() {
        return Err(Finding::cannot("what is written to it does not reach the upper layer"));
    }
    Ok("mounted and written to".into())
}
