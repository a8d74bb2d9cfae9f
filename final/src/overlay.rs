//! The image's layers, never written, and above them a folder for what the container writes
//! (Documentation/filesystems/overlayfs).

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;

use crate::message::{AS_ROOT, Attempt};

const NONE: Option<&str> = None;

/// mount(2) takes options up to a page.
const LONGEST: usize = 4095;

/// Where a container writes.
#[derive(Debug)]
pub(crate) enum Area {
    /// On a tmpfs that this process alone sees, mounted there; its memory counts as the container's.
    Memory(PathBuf),
    /// In a folder on disk, to be kept.
    Disk(PathBuf),
}

/// An overlay, and the files that come with it.
pub(crate) struct Overlay {
    /// Where it is mounted
    pub(crate) root: PathBuf,
    /// A folder for files that are mounted into it
    pub(crate) files: PathBuf,
}

/// Mounts `layers`, the topmost first, in this mount namespace.
pub(crate) fn merge(layers: &[PathBuf], area: &Area) -> Result<Overlay> {
    let base = match area {
        Area::Memory(point) => {
            let flags = MsFlags::MS_NODEV;
            let memory = mount(Some("final"), point, Some("tmpfs"), flags, Some("mode=0755"));
            memory.or_cannot(format_args!("mount a tmpfs on {}", point.display()), AS_ROOT)?;
            point
        }
        Area::Disk(folder) => folder,
    };
    for name in ["upper", "work", "root", "files"] {
        let folder = base.join(name);
        fs::create_dir(&folder)
            .or_cannot(format_args!("make {}", folder.display()), "Make room")?;
    }
    let (upper, work, root) = (base.join("upper"), base.join("work"), base.join("root"));
    let names: Vec<&Path> = layers.iter().map(PathBuf::as_path).chain([&*upper, &*work]).collect();
    // Characters that mean something in options and many layers: a short name for each, that of an
    // open descriptor. Else the paths, so that /proc/mounts shows them.
    let plain = options(&names);
    let result = if plain.len() <= LONGEST && !names.iter().any(|name| is_special(name)) {
        overlay(&root, &plain)
    } else {
        let opened = names.iter().map(|name| open(name)).collect::<Result<Vec<_>>>()?;
        let short: Vec<_> = opened
            .iter()
            .map(|file| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
            .collect();
        let short = options(&short.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        if short.len() > LONGEST {
            bail!("cannot mount {} layers: too many. Merge some of them", layers.len());
        }
        overlay(&root, &short)
    };
    let cure = match area {
        Area::Memory(_) => "Load it: modprobe overlay",
        Area::Disk(_) => {
            "Load it: modprobe overlay. On a disk that is an overlay itself, use --rm or another --root"
        }
    };
    result.or_cannot(format_args!("mount the layers as an overlay on {}", root.display()), cure)?;
    Ok(Overlay { root, files: base.join("files") })
}

fn overlay(root: &Path, options: &OsString) -> nix::Result<()> {
    // A device in the image is none: whoever made the image must not reach the host's disks.
    let flags = MsFlags::MS_NODEV;
    mount(Some("overlay"), root, Some("overlay"), flags, Some(options.as_os_str()))
}

/// `lowerdir=A:B,upperdir=C,workdir=D`, where the last two names are C and D.
fn options(names: &[&Path]) -> OsString {
    let [layers @ .., upper, work] = names else { return OsString::new() };
    let mut options = OsString::from("lowerdir=");
    for (number, layer) in layers.iter().enumerate() {
        options.push(if number == 0 { "" } else { ":" });
        options.push(layer);
    }
    for (key, folder) in [(",upperdir=", upper), (",workdir=", work)] {
        options.push(key);
        options.push(folder);
    }
    options
}

fn is_special(path: &Path) -> bool {
    path.as_os_str().as_bytes().iter().any(|byte| b":,\\".contains(byte))
}

fn open(folder: &Path) -> Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let opened = nix::fcntl::open(folder, flags, Mode::empty()).map(File::from);
    opened.or_cannot(format_args!("open {}", folder.display()), "Is it a folder?")
}

/// Makes the mounts of this namespace our own: nothing comes from the host, nothing goes there.
pub(crate) fn make_private() -> Result<()> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .or_cannot("make all mounts private", "Is / a mount point? In a chroot it is not")
}
