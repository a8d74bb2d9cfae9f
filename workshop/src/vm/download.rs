//! Fetches a kernel with the host's package manager, without installing it and without root.

use std::env::consts::ARCH;
use std::fs;
use std::path::Path;
use std::process::{self, Command};

use anyhow::{Context, Error, Result, anyhow, bail};

use crate::output;

/// Packages that depend on a kernel for virtual machines: Debian's, then Ubuntu's.
const X86_64: [&str; 2] = ["linux-image-cloud-amd64", "linux-image-virtual"];
const AARCH64: [&str; 2] = ["linux-image-cloud-arm64", "linux-image-virtual"];

/// Unpacks a kernel with its modules into the folder `target`.
pub(super) fn fetch(cache: &Path, target: &Path) -> Result<()> {
    if !super::is_installed("apt-get") || !super::is_installed("dpkg-deb") {
        return Err(missing("this machine has no apt-get to fetch one with"));
    }
    let packages = packages()?;
    output::note(&format!("Fetching {}, once, into {}", packages.join(" "), target.display()));
    let folder = cache.join(format!("kernel.{}.new", process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let fetched = unpack(&packages, &folder).and_then(|()| {
        let _ = fs::remove_dir_all(target);
        fs::rename(folder.join("root"), target)
            .with_context(|| format!("cannot create {}", target.display()))
    });
    let _ = fs::remove_dir_all(&folder);
    fetched
}

/// The packages with the kernel itself and with its modules, which for Debian are one.
fn packages() -> Result<Vec<String>> {
    let names = if ARCH == "aarch64" { AARCH64 } else { X86_64 };
    for name in names {
        let Some(image) = depends(name, "linux-image-").into_iter().next() else { continue };
        let modules = depends(&image, "linux-modules-");
        return Ok([vec![image], modules].concat());
    }
    Err(missing(&format!("apt-cache knows neither {}", names.join(" nor "))))
}

/// The packages whose names begin with `prefix` that a package depends on.
fn depends(package: &str, prefix: &str) -> Vec<String> {
    let output = Command::new("apt-cache").args(["depends", package]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.filter(|name| name.starts_with(prefix)).map(str::to_string).collect()
}

fn unpack(packages: &[String], folder: &Path) -> Result<()> {
    run(Command::new("apt-get").arg("download").args(packages).current_dir(folder))?;
    let files =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for file in files.flatten() {
        run(Command::new("dpkg-deb").arg("-x").arg(file.path()).arg(folder.join("root")))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        let why = why.lines().rev().find(|line| !line.is_empty()).unwrap_or("it does not say why");
        bail!("cannot fetch a kernel with {shown}: {}. Try: sudo apt-get update", why.trim());
    }
    Ok(())
}

/// There is no kernel for this reason; what to install instead.
pub(super) fn missing(why: &str) -> Error {
    let debian = if ARCH == "aarch64" { AARCH64 } else { X86_64 };
    anyhow!(
        "cannot find a kernel for the virtual machine: {why}. Install one: on Debian {}, \
         on Ubuntu linux-image-virtual (sudo chmod a+r /boot/vmlinuz-*), on Fedora \
         kernel-core kernel-modules-core kernel-modules, on Arch linux",
        debian[0]
    )
}
