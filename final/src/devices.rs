//! /dev: a few harmless devices, and no way to open any other.
//!
//! Every mount of a container forbids to open devices, /dev too. So what mknod(2) makes in there is
//! good for nothing, on cgroup v1 and on v2. The devices that are meant to work are mounts of their
//! own, which do not forbid it.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use anyhow::Result;
use nix::fcntl::OFlag;
use nix::libc::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID};
use nix::sys::stat::{Mode, SFlag, makedev, mknodat, umask};
use nix::unistd::symlinkat;

use crate::kernel;
use crate::message::{AS_ROOT, Attempt};
use crate::mount::memory;
use crate::root::Root;

/// Name, major and minor number: Documentation/admin-guide/devices.txt of the kernel.
const DEVICES: [(&str, u64, u64); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Link and where it leads.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// A container's /dev.
pub(crate) struct Devices {
    folder: Root,
    /// The mount of /dev/null, to hide files behind.
    pub(crate) null: OwnedFd,
}

impl Devices {
    /// Mounts /dev with its devices, links and pseudo-terminals; with `all`, every device of the
    /// host, as --privileged has it.
    pub(crate) fn mount(root: &Root, all: bool) -> Result<Self> {
        let options = [(c"mode", Some(c"755")), (c"size", Some(c"64m"))];
        let mount =
            memory(root, Path::new("/dev"), &options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)?;
        // Everyone may use them, whatever the umask says.
        let mask = umask(Mode::empty());
        for (name, major, minor) in DEVICES {
            make(&mount, name, SFlag::S_IFCHR, makedev(major, minor))?;
        }
        if all {
            copy_all(&mount)?;
        }
        umask(mask);
        for (name, target) in LINKS {
            let made = symlinkat(target, &mount, name);
            made.or_cannot(format_args!("make /dev/{name} in the container"), AS_ROOT)?;
        }
        let folder = Root::new(mount.try_clone()?);
        let null = match all {
            true => open(&folder, "null")?,
            false => only_these(&folder, &mount)?,
        };
        let pts = [
            (c"newinstance", None),
            (c"ptmxmode", Some(c"0666")),
            (c"mode", Some(c"0620")),
            (c"gid", Some(c"5")),
        ];
        let what = "mount devpts on /dev/pts in the container";
        let pts = kernel::new_filesystem(c"devpts", &pts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)
            .or_cannot(what, AS_ROOT)?;
        let target = folder.folder(Path::new("/pts"))?;
        kernel::attach(pts.as_fd(), target.as_fd()).or_cannot(what, AS_ROOT)?;
        Ok(Self { folder, null })
    }

    /// Opens a new pseudo-terminal, both sides of it; the command's is /dev/console from now on.
    pub(crate) fn terminal(&self) -> Result<(OwnedFd, OwnedFd)> {
        let what = "make a terminal for the container";
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY;
        let master = self.folder.find(Path::new("/pts/ptmx"), flags).or_cannot(what, AS_ROOT)?;
        let master = File::from(master);
        let (terminal, number) = kernel::open_peer(&master).or_cannot(what, AS_ROOT)?;
        let what = "mount the terminal on /dev/console in the container";
        let number = self.folder.find(Path::new(&format!("/pts/{number}")), OFlag::O_PATH);
        let copy = number.and_then(|it| kernel::clone_mount(it.as_fd(), c"", false));
        let copy = copy.or_cannot(what, AS_ROOT)?;
        let console = self.folder.file(Path::new("/console"))?;
        kernel::attach(copy.as_fd(), console.as_fd()).or_cannot(what, AS_ROOT)?;
        Ok((master.into(), terminal))
    }
}

/// Mounts each device over itself, then forbids the rest of /dev.
fn only_these(folder: &Root, mount: &OwnedFd) -> Result<OwnedFd> {
    let what = |name| format!("mount /dev/{name} in the container");
    let mut null = None;
    for (name, ..) in DEVICES {
        let target = open(folder, name)?;
        let copy =
            kernel::clone_mount(target.as_fd(), c"", false).or_cannot(what(name), AS_ROOT)?;
        kernel::attach(copy.as_fd(), target.as_fd()).or_cannot(what(name), AS_ROOT)?;
        null.get_or_insert(copy);
    }
    kernel::restrict(mount.as_fd(), MOUNT_ATTR_NODEV, false)
        .or_cannot("forbid other devices in the container's /dev", "Linux 5.12 or newer can")?;
    match null {
        Some(null) => Ok(null),
        None => open(folder, "null"),
    }
}

fn make(folder: &OwnedFd, name: &str, kind: SFlag, number: u64) -> Result<()> {
    let mode = Mode::from_bits_truncate(0o666);
    mknodat(folder, name, kind, mode, number)
        .or_cannot(format_args!("make the device /dev/{name} in the container"), AS_ROOT)
}

fn open(folder: &Root, name: &str) -> Result<OwnedFd> {
    let path = Path::new("/").join(name);
    folder.find(&path, OFlag::O_PATH).or_cannot(format_args!("open /dev/{name}"), AS_ROOT)
}

/// Makes every device of the host's /dev that is not there yet.
fn copy_all(target: &OwnedFd) -> Result<()> {
    for entry in fs::read_dir("/dev").or_cannot("read /dev", AS_ROOT)?.flatten() {
        let Ok(data) = entry.metadata() else { continue };
        let kind = match data.file_type() {
            kind if kind.is_char_device() => SFlag::S_IFCHR,
            kind if kind.is_block_device() => SFlag::S_IFBLK,
            _ => continue,
        };
        let (name, mode) = (entry.file_name(), Mode::from_bits_truncate(data.mode()));
        let reserved = ["console", "ptmx"].iter().any(|it| name == *it);
        if !reserved && DEVICES.iter().all(|(it, ..)| name != *it) {
            let what = format!("make the device /dev/{} in the container", name.display());
            mknodat(target, name.as_os_str(), kind, mode, data.rdev()).or_cannot(what, AS_ROOT)?;
        }
    }
    Ok(())
}
