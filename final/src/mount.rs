//! What is mounted in a container besides its root.

use std::ffi::{CStr, CString};
use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::Result;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::libc::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use nix::sys::stat::{Mode, mkdirat};

use crate::cgroup::{Cgroup, Version};
use crate::kernel::{self, Attributes};
use crate::message::{AS_ROOT, Attempt};
use crate::parse::{Tmpfs, Volume};
use crate::root::{Root, c_path};
use crate::uts;

/// Nothing that is mounted holds devices, but for those of [`crate::devices`].
const DATA: Attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

const KERNEL: &str = "Linux 5.12 or newer can";

/// What would show or change the host, in /proc and /sys. Some are not there on each kernel.
const MASKED: [&str; 14] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/bpf",
    "/sys/kernel/debug",
];

/// What may be read only.
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// /proc and /sys as mounted: paths below them are looked up from there, so that no link in the
/// image leads anywhere else.
pub(crate) struct Mounted {
    proc: Root,
    sys: Root,
}

impl Mounted {
    fn locate<'a>(&'a self, path: &'a str) -> (&'a Root, &'a Path) {
        match path.strip_prefix("/proc") {
            Some(below) => (&self.proc, Path::new(below)),
            None => (&self.sys, Path::new(path.strip_prefix("/sys").unwrap_or(path))),
        }
    }
}

/// A folder with a filesystem of the kernel's.
struct Entry {
    kind: &'static CStr,
    target: &'static str,
    options: &'static [(&'static CStr, Option<&'static CStr>)],
}

const PROC: Entry = Entry { kind: c"proc", target: "/proc", options: &[] };
const SYS: Entry = Entry { kind: c"sysfs", target: "/sys", options: &[] };
const SHM: Entry = Entry {
    kind: c"tmpfs",
    target: "/dev/shm",
    options: &[(c"mode", Some(c"1777")), (c"size", Some(c"64m"))],
};
const MQUEUE: Entry = Entry { kind: c"mqueue", target: "/dev/mqueue", options: &[] };

/// Mounts proc, which shows the PID namespace of who mounts it, and shm and mqueue; /dev is there
/// already.
pub(crate) fn processes(root: &Root) -> Result<Root> {
    filesystem(root, &SHM, DATA)?;
    filesystem(root, &MQUEUE, DATA)?;
    Ok(Root::new(filesystem(root, &PROC, DATA)?))
}

/// Mounts sysfs, which shows the network namespace of who mounts it.
pub(crate) fn system(root: &Root, proc: Root, privileged: bool) -> Result<Mounted> {
    let read_only = if privileged { 0 } else { MOUNT_ATTR_RDONLY };
    Ok(Mounted { proc, sys: Root::new(filesystem(root, &SYS, DATA | read_only)?) })
}

fn filesystem(root: &Root, entry: &Entry, attributes: Attributes) -> Result<OwnedFd> {
    let Entry { kind, target, options } = entry;
    let what = || format!("mount {} on {target} in the container", kind.to_string_lossy());
    let mount = kernel::new_filesystem(kind, options, attributes).or_cannot(what(), AS_ROOT)?;
    let folder = root.folder(Path::new(target))?;
    kernel::attach(mount.as_fd(), folder.as_fd()).or_cannot(what(), KERNEL)?;
    Ok(mount)
}

/// A tmpfs at `target`, with these options.
pub(crate) fn memory(
    root: &Root,
    target: &Path,
    options: &[(&CStr, Option<&CStr>)],
    attributes: Attributes,
) -> Result<OwnedFd> {
    let what = || format!("mount a tmpfs on {} in the container", target.display());
    let mount = kernel::new_filesystem(c"tmpfs", options, attributes).or_cannot(what(), AS_ROOT)?;
    let folder = root.folder(target)?;
    kernel::attach(mount.as_fd(), folder.as_fd()).or_cannot(what(), KERNEL)?;
    Ok(mount)
}

/// Shows the container its cgroup, with no way to change it. A cgroup namespace hides the rest.
pub(crate) fn cgroups(mounted: &Mounted, cgroup: &Cgroup, privileged: bool) -> Result<()> {
    let what = || "mount the cgroups on /sys/fs/cgroup in the container".to_string();
    let attributes = DATA | if privileged { 0 } else { MOUNT_ATTR_RDONLY };
    let target =
        mounted.sys.find(Path::new("/fs/cgroup"), OFlag::O_PATH).or_cannot(what(), AS_ROOT)?;
    let trees: Vec<_> =
        cgroup.branches.iter().filter(|it| it.version == Version::V1).map(|it| &it.tree).collect();
    if trees.is_empty() {
        let mount =
            kernel::new_filesystem(c"cgroup2", &[], attributes).or_cannot(what(), AS_ROOT)?;
        return kernel::attach(mount.as_fd(), target.as_fd()).or_cannot(what(), KERNEL);
    }
    let mode = [(c"mode", Some(c"755"))];
    let folders = kernel::new_filesystem(c"tmpfs", &mode, DATA).or_cannot(what(), AS_ROOT)?;
    kernel::attach(folders.as_fd(), target.as_fd()).or_cannot(what(), KERNEL)?;
    for tree in trees {
        let names = tree.split(',').map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let options: Vec<_> = names.iter().map(|name| (name.as_c_str(), None)).collect();
        mkdirat(&folders, tree.as_str(), Mode::from_bits_truncate(0o755))
            .or_cannot(what(), AS_ROOT)?;
        let folder = Root::new(folders.try_clone()?).folder(Path::new(tree))?;
        let mount =
            kernel::new_filesystem(c"cgroup", &options, attributes).or_cannot(what(), AS_ROOT)?;
        kernel::attach(mount.as_fd(), folder.as_fd()).or_cannot(what(), KERNEL)?;
    }
    kernel::restrict(folders.as_fd(), MOUNT_ATTR_RDONLY, false).or_cannot(what(), KERNEL)
}

/// Hides and locks what would show or change the host.
pub(crate) fn protect(mounted: &Mounted, null: &OwnedFd) -> Result<()> {
    let nothing = (c"nr_inodes", Some(c"2"));
    let mut empty: Option<OwnedFd> = None;
    for path in MASKED {
        let what = || format!("hide {path} in the container");
        let (root, below) = mounted.locate(path);
        let Some(target) = if_there(root.find(below, OFlag::O_PATH)).or_cannot(what(), AS_ROOT)?
        else {
            continue;
        };
        let cover = if is_folder(&target)? {
            match &empty {
                // Every copy of the first one costs less than a filesystem.
                Some(first) => kernel::clone_mount(first.as_fd(), c"", false),
                None => kernel::new_filesystem(c"tmpfs", &[nothing], DATA | MOUNT_ATTR_RDONLY),
            }
        } else {
            kernel::clone_mount(null.as_fd(), c"", false)
        };
        let cover = cover.or_cannot(what(), AS_ROOT)?;
        kernel::attach(cover.as_fd(), target.as_fd()).or_cannot(what(), KERNEL)?;
        if is_folder(&target)? {
            empty.get_or_insert(cover);
        }
    }
    for path in READ_ONLY {
        let what = || format!("make {path} read-only in the container");
        let (root, below) = mounted.locate(path);
        let Some(target) = if_there(root.find(below, OFlag::O_PATH)).or_cannot(what(), AS_ROOT)?
        else {
            continue;
        };
        let copy = kernel::clone_mount(target.as_fd(), c"", false).or_cannot(what(), AS_ROOT)?;
        kernel::restrict(copy.as_fd(), DATA | MOUNT_ATTR_RDONLY, false)
            .or_cannot(what(), KERNEL)?;
        kernel::attach(copy.as_fd(), target.as_fd()).or_cannot(what(), KERNEL)?;
    }
    Ok(())
}

/// Mounts the container's own hostname, hosts and resolv.conf over the image's.
pub(crate) fn files(root: &Root, folder: &Path) -> Result<()> {
    for name in uts::FILES {
        let target = Path::new("/etc").join(name);
        let what = || format!("mount {} in the container", target.display());
        let file = c_path(&folder.join(name))?;
        let mount = kernel::clone_mount(AT_FDCWD, &file, false).or_cannot(what(), AS_ROOT)?;
        let target = root.file(&target)?;
        kernel::attach(mount.as_fd(), target.as_fd()).or_cannot(what(), KERNEL)?;
    }
    Ok(())
}

/// Mounts a folder or file of the host, with all that is mounted below it.
pub(crate) fn volume(root: &Root, volume: &Volume) -> Result<()> {
    let (source, target) = (volume.source.display(), volume.target.display());
    let what = || format!("mount {source} on {target} in the container");
    let data = match fs::metadata(&volume.source) {
        // As Docker's -v has it.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(&volume.source).and_then(|()| fs::metadata(&volume.source))
        }
        found => found,
    };
    let data = data.or_cannot(what(), &format!("Can {source} be read, or else be made?"))?;
    let mount = kernel::clone_mount(AT_FDCWD, &c_path(&volume.source)?, true);
    let mount = mount.or_cannot(what(), AS_ROOT)?;
    let read_only = if volume.read_only { MOUNT_ATTR_RDONLY } else { 0 };
    // Before it can be seen: at no instant can anyone write to what is read-only.
    let restricted = kernel::restrict(mount.as_fd(), read_only | MOUNT_ATTR_NODEV, true);
    restricted.or_cannot(what(), KERNEL)?;
    let place = match data.is_dir() {
        true => root.folder(&volume.target)?,
        false => root.file(&volume.target)?,
    };
    let cure = "A folder goes on a folder, a file on a file";
    kernel::attach(mount.as_fd(), place.as_fd()).or_cannot(what(), cure)
}

/// Mounts a tmpfs that the command line asked for.
pub(crate) fn tmpfs(root: &Root, tmpfs: &Tmpfs) -> Result<()> {
    let mode = CString::new(format!("{:o}", tmpfs.mode))?;
    let size = tmpfs.size.map(|size| CString::new(size.to_string())).transpose()?;
    let mut options = vec![(c"mode", Some(mode.as_c_str()))];
    options.extend(size.as_deref().map(|size| (c"size", Some(size))));
    let mut attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    attributes |= if tmpfs.exec { 0 } else { MOUNT_ATTR_NOEXEC };
    attributes |= if tmpfs.read_only { MOUNT_ATTR_RDONLY } else { 0 };
    memory(root, &tmpfs.target, &options, attributes).map(drop)
}

/// Makes the root itself read-only; what is mounted in it stays as it is.
pub(crate) fn make_read_only(root: &Root) -> Result<()> {
    let done = kernel::restrict(root.as_fd(), MOUNT_ATTR_RDONLY, false);
    done.or_cannot("make the container's root read-only", KERNEL)
}

fn is_folder(file: &OwnedFd) -> Result<bool> {
    let data = nix::sys::stat::fstat(file).or_cannot("read what a path leads to", AS_ROOT)?;
    Ok(nix::sys::stat::SFlag::from_bits_truncate(data.st_mode)
        .contains(nix::sys::stat::SFlag::S_IFDIR))
}

/// A kernel without a feature lacks its files.
fn if_there(found: nix::Result<OwnedFd>) -> nix::Result<Option<OwnedFd>> {
    match found {
        Ok(file) => Ok(Some(file)),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
