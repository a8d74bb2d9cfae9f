//! The kernel's modules, and the port that the link goes through.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

use crate::vm::{initramfs, link, modules};
use crate::wait::until;

/// The drivers for the link. All other modules are loaded when the kernel asks for them.
const DRIVERS: [&str; 2] = ["virtio_pci", "virtio_console"];

pub(super) fn load_drivers() -> Result<()> {
    let table = table()?;
    // What is not in the table is built into the kernel.
    DRIVERS.iter().filter_map(|driver| modules::order(&table, driver)).flatten().try_for_each(load)
}

/// What modprobe(8) does, for the modules that the machine has. The kernel asks with aliases.
pub(in crate::vm) fn modprobe(words: &[String]) -> Result<()> {
    let table = table()?;
    for name in words.iter().filter(|word| !word.starts_with('-')) {
        let order = modules::order(&table, name);
        let order = order.with_context(|| format!("this machine has no module {name}"))?;
        order.into_iter().try_for_each(load)?;
    }
    Ok(())
}

fn table() -> Result<String> {
    let table = initramfs::MODULES_TABLE;
    fs::read_to_string(table).with_context(|| format!("cannot read {table}"))
}

fn load(name: &str) -> Result<()> {
    let path = Path::new(initramfs::MODULES).join(name);
    let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    match finit_module(&file, c"", ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot load the module {name}")),
    }
}

/// The device of the link: the kernel tells its name some time after the driver has been loaded.
pub(super) fn find_port() -> Result<PathBuf> {
    let ports = "/sys/class/virtio-ports";
    let mut found = None;
    until(Duration::from_secs(10), || {
        let entries = fs::read_dir(ports).into_iter().flatten().flatten();
        found = entries.map(|entry| entry.path()).find(|port| {
            fs::read_to_string(port.join("name")).is_ok_and(|name| name.trim() == link::NAME)
        });
        found.is_some()
    });
    let port = found.with_context(|| format!("no port in {ports} is called {}", link::NAME))?;
    let name = port.file_name().context("a port has a name")?;
    Ok(Path::new("/dev").join(name))
}
