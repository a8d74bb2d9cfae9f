//! The archive of files that the machine starts with: this machine's own programs as its root, and
//! in /workshop the steps, the root filesystem for their containers and the kernel's modules.

use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::BufWriter;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::kernel::Kernel;
use super::modules;
use crate::{mine, output, project, rootfs, steps};

/// The first process inside: this program.
pub(super) const INIT: &str = "/workshop/bin/workshop";

/// The folder of the kernel's modules, and the table of what they are for (see [`modules::table`]).
pub(super) const MODULES: &str = "/workshop/modules";
pub(super) const MODULES_TABLE: &str = "/workshop/modules/table";

/// What the machine has besides what every root filesystem gets from this one.
const PROGRAMS: &str = "setsid bridge clear cmp diff findmnt ipcmk ldd less lsmod lsns more nft pivot_root timeout xargs";

/// `check` inside: the steps have been built outside.
const CHECK: &str = "#!/bin/sh\nexec /workshop/bin/workshop check --built \"$@\"\n";

/// The kernel calls this by its usual path when it misses a module; so may anyone inside.
const MODPROBE: &str = "#!/bin/sh\nexec /workshop/bin/workshop vm-part modprobe -- \"$@\"\n";

/// Builds the steps and packs the archive, or finds it as it was packed last time.
pub(super) fn pack(cache: &Path, kernel: &Kernel) -> Result<PathBuf> {
    let project = project::root()?;
    let packages = packages(&project)?;
    project::build(&packages.iter().map(String::as_str).collect::<Vec<_>>())?;
    let folder = project::binaries()?;
    let mut binaries: Vec<PathBuf> = packages
        .iter()
        .map(String::as_str)
        .chain(["workshop"])
        .map(|name| folder.join(name))
        .collect();
    // What cannot be built may be just why somebody wants a machine.
    match mine::build(&project) {
        Ok(program) => binaries.push(program),
        Err(error) => output::note(&format!("{error:#}. The machine starts without it")),
    }
    let inside = project.join(rootfs::NAME);
    let key = key(&binaries, &inside, kernel)?;
    let archive = cache.join(format!("initramfs-{key:016x}"));
    if archive.exists() {
        return Ok(archive);
    }
    forget_old(cache);
    let work = cache.join(format!("initramfs.{}.new", process::id()));
    let packed = write(&work, &binaries, &inside, kernel)
        .and_then(|file| fs::rename(file, &archive).context("cannot rename it"))
        .with_context(|| format!("cannot pack {}", archive.display()));
    let _ = fs::remove_dir_all(&work);
    packed.map(|()| archive)
}

/// The steps, and the runtime that comes after them.
fn packages(project: &Path) -> Result<Vec<String>> {
    let steps = steps::all()?.iter().map(|step| step.package.clone());
    let last = ["final"].into_iter().filter(|name| project.join(name).join("Cargo.toml").is_file());
    Ok(steps.chain(last.map(str::to_string)).collect())
}

/// A number that changes when something changes that the archive is made of.
fn key(binaries: &[PathBuf], rootfs: &Path, kernel: &Kernel) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    (&kernel.image, &kernel.modules).hash(&mut hasher);
    for binary in binaries {
        let data = fs::metadata(binary);
        stamp(
            binary,
            &data.with_context(|| format!("cannot find {}", binary.display()))?,
            &mut hasher,
        );
    }
    // Rewritten whenever this machine gets or loses a library.
    if let Ok(data) = fs::metadata("/etc/ld.so.cache") {
        stamp(Path::new("libraries"), &data, &mut hasher);
    }
    if rootfs.is_dir() {
        make_rootfs::visit(rootfs, &mut |path, data| {
            stamp(path, data, &mut hasher);
            Ok(())
        })
        .with_context(|| format!("cannot read {}", rootfs.display()))?;
    }
    Ok(hasher.finish())
}

fn stamp(path: &Path, data: &Metadata, hasher: &mut DefaultHasher) {
    (path, data.len(), data.mode(), data.mtime(), data.mtime_nsec()).hash(hasher);
}

/// Archives of programs that have changed since, and what killed runs have left.
fn forget_old(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let stale = name.starts_with("initramfs.")
            && !name.split('.').any(|word| Path::new("/proc").join(word).exists());
        if name.starts_with("initramfs-") {
            let _ = fs::remove_file(entry.path());
        } else if stale {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Gathers everything in the folder `work` and writes the archive there.
fn write(work: &Path, binaries: &[PathBuf], inside: &Path, kernel: &Kernel) -> Result<PathBuf> {
    let (machine, stripped) = (work.join("machine"), work.join("bin"));
    for folder in [&machine, &stripped] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let programs: Vec<&str> = PROGRAMS.split_whitespace().collect();
    make_rootfs::fill_machine(&machine, &programs, binaries)?;
    // Whoever has made no root filesystem gets what `cargo workshop rootfs` would make.
    let inside = if inside.is_dir() { inside } else { &machine };
    let file = work.join("archive");
    let out = File::create(&file).with_context(|| format!("cannot create {}", file.display()))?;
    let mut archive = Archive::new(BufWriter::with_capacity(1 << 20, out));
    archive.tree(&machine, Path::new(""))?;
    for folder in
        ["workshop", "workshop/bin", "workshop/modules", "workshop/rootfs", "workshop/workshop"]
    {
        archive.folder(Path::new(folder))?;
    }
    archive.tree(inside, Path::new("workshop/rootfs"))?;
    // By this file the workshop's folder is known.
    archive.file(
        Path::new("workshop/workshop/steps.toml"),
        0o644,
        include_bytes!("../../steps.toml"),
    )?;
    archive.file(Path::new("workshop/bin/check"), 0o755, CHECK.as_bytes())?;
    for binary in binaries {
        strip(binary, &stripped)?;
    }
    archive.tree(&stripped, Path::new("workshop/bin"))?;
    archive.file(Path::new("sbin/modprobe"), 0o755, MODPROBE.as_bytes())?;
    let modules = modules::collect(&kernel.modules)?;
    archive.file(Path::new(&MODULES_TABLE[1..]), 0o644, modules::table(&modules).as_bytes())?;
    for module in modules {
        let path = format!("{}/{}", &MODULES[1..], module.name);
        archive.file(Path::new(&path), 0o644, &module.content)?;
    }
    archive.finish().with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Copies a binary without its debugging information, which is nine tenths of it.
fn strip(binary: &Path, folder: &Path) -> Result<()> {
    let target = folder.join(binary.file_name().unwrap_or_default());
    let stripped = Command::new("strip").arg("-o").arg(&target).arg(binary).output();
    if stripped.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    output::note(
        "cannot strip the programs: the virtual machine will take longer to start. Install binutils",
    );
    fs::copy(binary, &target).map(drop).with_context(|| format!("cannot copy {}", binary.display()))
}
