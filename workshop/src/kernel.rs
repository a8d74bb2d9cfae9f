//! What the kernel says about a process: the evidence that every check rests on (proc(5)).

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::mountinfo::{self, Mount};

/// The text of a file in a process's folder below /proc.
pub fn read(pid: Pid, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where a link in a process's folder below /proc points to, as in `uts:[4026531838]`.
pub fn link(pid: Pid, name: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{name}");
    let target = fs::read_link(&path).with_context(|| format!("cannot read the link {path}"))?;
    Ok(target.to_string_lossy().into_owned())
}

/// A namespace of a process: two processes share it if the inode is the same (namespaces(7)).
pub fn namespace(pid: Pid, kind: &str) -> Result<String> {
    link(pid, &format!("ns/{kind}"))
}

/// Runs a function in the mount namespace of a process, with the root of that namespace as `/`,
/// which need not be the root of the process.
pub fn within_mounts<T: Send + 'static>(
    pid: Pid,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let path = format!("/proc/{pid}/ns/mnt");
    let namespace = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    // Only this thread moves: the caller stays where it is.
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_FS).context("cannot get a root of one's own")?;
        setns(namespace, CloneFlags::CLONE_NEWNS).context("cannot enter the mount namespace")?;
        work()
    });
    thread.join().map_err(|_| anyhow!("the thread in the mount namespace died"))?
}

/// A file or folder, whatever its name: two names that lead to the same are the same.
pub fn identity(path: impl AsRef<Path>) -> Result<(u64, u64)> {
    let path = path.as_ref();
    let data = fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    Ok((data.dev(), data.ino()))
}

/// The words a process was started with.
pub fn arguments(pid: Pid) -> Result<Vec<OsString>> {
    let path = format!("/proc/{pid}/cmdline");
    let mut bytes = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    // Every word ends with a zero byte, the last one too.
    bytes.pop();
    Ok(bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect())
}

/// A line of /proc/PID/status, as in `PPid`.
pub fn status(pid: Pid, field: &str) -> Result<String> {
    let text = read(pid, "status")?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(value.with_context(|| format!("no {field} in /proc/{pid}/status"))?.trim().to_string())
}

/// Whether a signal is in one of the sets of /proc/PID/status, as in `SigBlk`.
pub fn has_signal(pid: Pid, set: &str, signal: Signal) -> Result<bool> {
    let signals = u64::from_str_radix(&status(pid, set)?, 16)
        .with_context(|| format!("{set} in /proc/{pid}/status is no number"))?;
    Ok(signals & (1 << (signal as u8 - 1)) != 0)
}

/// The process that started this one, or inherited it.
pub fn parent(pid: Pid) -> Result<Pid> {
    Ok(Pid::from_raw(status(pid, "PPid")?.parse().context("a PPid is a number")?))
}

/// The ids of a process in every PID namespace that it is in, the outermost first.
pub fn ids(pid: Pid) -> Result<Vec<i32>> {
    let ids = status(pid, "NSpid")?;
    ids.split_whitespace().map(|id| id.parse().context("an NSpid is a number")).collect()
}

/// A zombie has ended, and nobody has waited for it.
pub fn is_zombie(pid: Pid) -> bool {
    status(pid, "State").is_ok_and(|state| state.starts_with('Z'))
}

/// The zombies that a process has not waited for. No cgroup lists them any more.
pub fn zombies_of(parent: Pid) -> Vec<Pid> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pids = pids.map(Pid::from_raw);
    pids.filter(|pid| is_zombie(*pid) && self::parent(*pid).is_ok_and(|it| it == parent)).collect()
}

/// True as long as the process is there and has not ended.
pub fn is_alive(pid: Pid) -> bool {
    Path::new(&format!("/proc/{pid}")).exists() && !is_zombie(pid)
}

/// The version of the cgroup tree that has a controller, and the folder of a process in it
/// (cgroups(7)).
pub fn cgroup(pid: Pid, controller: &str) -> Result<(u8, PathBuf)> {
    find_cgroup(controller, &read(pid, "cgroup")?, &mountinfo::own()?)
}

fn find_cgroup(controller: &str, memberships: &str, mounts: &[Mount]) -> Result<(u8, PathBuf)> {
    let find = |wanted: &str| {
        memberships.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|name| name == wanted).then_some(path)
        })
    };
    let (version, path) = match find(controller) {
        Some(path) => (1, path),
        None => (2, find("").context("the kernel has no cgroups")?),
    };
    let has_it = |mount: &&Mount| match version {
        1 => mount.kind == "cgroup" && mount.options.split(',').any(|name| name == controller),
        _ => mount.kind == "cgroup2",
    };
    let mount = mounts.iter().find(has_it).with_context(|| {
        let cure = match version {
            1 => format!("mount -t cgroup -o {controller} cgroup /sys/fs/cgroup/{controller}"),
            _ => "mount -t cgroup2 cgroup2 /sys/fs/cgroup".to_string(),
        };
        format!("cannot find a mounted cgroup hierarchy with {controller}. Mount it: {cure}")
    })?;
    let below = Path::new(path).strip_prefix(&mount.root).with_context(|| {
        format!("the cgroup {path} lies outside of what is mounted on {}", mount.point.display())
    })?;
    Ok((version, mount.point.join(below)))
}

/// The cgroup that limits the number of a process's children (cgroups(7)).
#[derive(Clone, Debug)]
pub struct PidsCgroup {
    /// 1 or 2
    pub version: u8,
    /// The cgroup's own folder
    pub folder: PathBuf,
}

impl PidsCgroup {
    /// The pids cgroup of a process, on a machine with cgroup v1, v2, or both.
    pub fn of(pid: Pid) -> Result<Self> {
        let (version, folder) = cgroup(pid, "pids")?;
        Ok(Self { version, folder })
    }

    /// The nearest cgroup, from this one upwards, in which a new one gets the pids controller.
    pub fn parent_for_new(&self) -> Result<PathBuf> {
        parent_for_new(self.version, &self.folder, "pids")
    }
}

/// The nearest cgroup, from a folder upwards, in which a new one gets the controller.
pub fn parent_for_new(version: u8, folder: &Path, controller: &str) -> Result<PathBuf> {
    let hands_down = |folder: &&Path| {
        let list = fs::read_to_string(folder.join("cgroup.subtree_control"));
        version == 1
            || list.is_ok_and(|list| list.split_whitespace().any(|name| name == controller))
    };
    let found = folder.ancestors().find(hands_down).map(Path::to_path_buf);
    found.with_context(|| {
        format!(
            "cannot find the {controller} controller: no cgroup from {} upwards hands it down. Boot \
             with systemd; start Docker with --privileged --cgroupns=host",
            folder.display()
        )
    })
}

/// Every process in a cgroup and in those below it.
pub fn processes_below(cgroup: &Path) -> Vec<Pid> {
    let listed = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<Pid> =
        listed.lines().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect();
    for child in cgroups_below(cgroup) {
        pids.extend(processes_below(&child));
    }
    pids
}

/// The cgroups right below a cgroup.
pub fn cgroups_below(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 master:2 - tmpfs tmpfs rw,mode=755
38 31 0:35 /docker /sys/fs/cgroup/pids\\040x rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn finds_the_cgroup_of_a_controller_on_v1_and_on_v2() {
        let mounts = MOUNTS.lines().filter_map(mountinfo::parse).collect::<Vec<_>>();
        let v1 = find_cgroup("pids", "8:pids:/docker/a\n0::/b\n", &mounts).unwrap();
        assert_eq!(v1, (1, "/sys/fs/cgroup/pids x/a".into()));
        let v2 = find_cgroup("pids", "1:name=systemd:/\n0::/b\n", &mounts).unwrap();
        assert_eq!(v2, (2, "/sys/fs/cgroup/unified/b".into()));
        assert!(find_cgroup("pids", "8:pids:/elsewhere\n", &mounts).is_err());
        assert!(find_cgroup("pids", "0::/b\n", &mounts[..1]).is_err());
    }
}
