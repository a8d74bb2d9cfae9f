//! A kernel for the machine: the one fetched before, one of the host's own, or a new one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{download, modules};

/// A kernel and its modules.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    /// The folder of its modules: lib/modules/RELEASE
    pub(super) modules: PathBuf,
}

/// Finds a kernel, and fetches one if there is none.
pub(super) fn find(cache: &Path) -> Result<Kernel> {
    let fetched = cache.join("kernel");
    if let Some(kernel) = below(&fetched).or_else(|| below(Path::new("/"))) {
        return Ok(kernel);
    }
    download::fetch(cache, &fetched)?;
    below(&fetched).ok_or_else(|| download::missing("the packages hold no kernel that can be used"))
}

/// The newest kernel in a root filesystem that can be read and has the modules that are needed.
fn below(root: &Path) -> Option<Kernel> {
    let folders = ["usr/lib/modules", "lib/modules"].map(|folder| root.join(folder));
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders.into_iter().rev().find_map(|modules| {
        let release = modules.file_name()?.to_string_lossy().into_owned();
        let images = [root.join(format!("boot/vmlinuz-{release}")), modules.join("vmlinuz")];
        // Ubuntu lets only root read them.
        let image = images.into_iter().find(|image| File::open(image).is_ok())?;
        modules::collect(&modules).ok()?;
        Some(Kernel { image, modules })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_the_modules_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let make = |release: &str, builtin: &str| {
            let modules = root.path().join("lib/modules").join(release);
            fs::create_dir_all(modules.join("kernel")).unwrap();
            fs::create_dir_all(root.path().join("boot")).unwrap();
            fs::write(modules.join("modules.builtin"), builtin).unwrap();
            fs::write(root.path().join(format!("boot/vmlinuz-{release}")), "").unwrap();
        };
        assert!(below(root.path()).is_none());
        make("6.2", "kernel/overlay.ko\n");
        assert!(below(root.path()).is_none());
        make("6.1", "virtio_pci.ko\nvirtio_console.ko\noverlay.ko\nveth.ko\nbridge.ko\n");
        assert!(below(root.path()).unwrap().image.ends_with("boot/vmlinuz-6.1"));
    }
}
