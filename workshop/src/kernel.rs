//! What the kernel says about a process: the evidence that every check rests on (proc(5)).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
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

/// True as long as the process is there and has not ended.
pub fn is_alive(pid: Pid) -> bool {
    Path::new(&format!("/proc/{pid}")).exists() && !is_zombie(pid)
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
        Self::parse(&read(pid, "cgroup")?, &mountinfo::own()?)
    }

    fn parse(memberships: &str, mounts: &[Mount]) -> Result<Self> {
        let find = |wanted: &str| {
            memberships.lines().find_map(|line| {
                let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
                controllers.split(',').any(|name| name == wanted).then_some(path)
            })
        };
        let (version, path) = match find("pids") {
            Some(path) => (1, path),
            None => (2, find("").context("the kernel has no cgroups")?),
        };
        let has_pids = |mount: &&Mount| match version {
            1 => mount.kind == "cgroup" && mount.options.split(',').any(|name| name == "pids"),
            _ => mount.kind == "cgroup2",
        };
        let cure = match version {
            1 => "mount -t cgroup -o pids cgroup /sys/fs/cgroup/pids",
            _ => "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        };
        let mount = mounts.iter().find(has_pids).with_context(|| {
            format!("cannot find a mounted cgroup hierarchy with pids. Mount it: {cure}")
        })?;
        let below = Path::new(path).strip_prefix(&mount.root).with_context(|| {
            format!(
                "the cgroup {path} lies outside of what is mounted on {}",
                mount.point.display()
            )
        })?;
        Ok(Self { version, folder: mount.point.join(below) })
    }

    /// The nearest cgroup, from this one upwards, in which a new one gets the pids controller.
    pub fn parent_for_new(&self) -> Result<PathBuf> {
        let hands_down = |folder: &&Path| {
            let list = fs::read_to_string(folder.join("cgroup.subtree_control"));
            self.version == 1
                || list.is_ok_and(|list| list.split_whitespace().any(|name| name == "pids"))
        };
        let found = self.folder.ancestors().find(hands_down).map(Path::to_path_buf);
        found.with_context(|| {
            format!(
                "cannot find the pids controller: no cgroup from {} upwards hands it down. Boot with \
                 systemd; start Docker with --privileged --cgroupns=host",
                self.folder.display()
            )
        })
    }
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
    fn finds_the_pids_cgroup_on_v1_and_on_v2() {
        let mounts = MOUNTS.lines().filter_map(mountinfo::parse).collect::<Vec<_>>();
        let v1 = PidsCgroup::parse("8:pids:/docker/a\n0::/b\n", &mounts).unwrap();
        assert_eq!((v1.version, v1.folder), (1, "/sys/fs/cgroup/pids x/a".into()));
        let v2 = PidsCgroup::parse("1:name=systemd:/\n0::/b\n", &mounts).unwrap();
        assert_eq!((v2.version, v2.folder), (2, "/sys/fs/cgroup/unified/b".into()));
        assert!(PidsCgroup::parse("8:pids:/elsewhere\n", &mounts).is_err());
        assert!(PidsCgroup::parse("0::/b\n", &mounts[..1]).is_err());
    }
}
