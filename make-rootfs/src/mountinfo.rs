//! The mounts that this process sees: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// A mount, as a process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number.
    pub id: String,
    /// The number of the mount that it lies on.
    pub parent: String,
    /// The part of the filesystem that is shown, `/` for all of it.
    pub root: PathBuf,
    /// Where it is mounted.
    pub point: PathBuf,
    /// `shared:N`, `master:N` and the like; nothing for a private mount.
    pub propagation: Vec<String>,
    /// The filesystem's name, as in `overlay`.
    pub kind: String,
    /// What was mounted, as in `/dev/sda1`; for filesystems without a device any name.
    pub source: String,
    /// Of the filesystem, not of the mount.
    pub options: String,
}

/// All mounts of this process, in the order in which they were made.
pub fn own() -> Result<Vec<Mount>> {
    of(Pid::this())
}

/// All mounts that a process or a thread sees.
pub fn of(pid: Pid) -> Result<Vec<Mount>> {
    let path = format!("/proc/{pid}/mountinfo");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(parse).collect())
}

/// One line, such as `36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/sda1 rw,errors=continue`
pub fn parse(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mount: Vec<_> = mount.split(' ').collect();
    let mut file_system = file_system.split(' ');
    Some(Mount {
        id: mount.first()?.to_string(),
        parent: mount.get(1)?.to_string(),
        root: PathBuf::from(unescape(mount.get(3)?)),
        point: PathBuf::from(unescape(mount.get(4)?)),
        propagation: mount.get(6..)?.iter().map(|tag| tag.to_string()).collect(),
        kind: file_system.next()?.to_string(),
        source: file_system.next()?.to_string(),
        options: file_system.next()?.to_string(),
    })
}

/// Blanks, newlines and backslashes are written as `\040`.
fn unescape(text: &str) -> OsString {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line =
            r"36 35 98:0 / /a\040b\134 rw shared:1 master:2 - overlay mydocker rw,lowerdir=.";
        let mount = parse(line).unwrap();
        assert_eq!(mount.point, PathBuf::from(r"/a b\"));
        assert_eq!((mount.id.as_str(), mount.parent.as_str()), ("36", "35"));
        assert_eq!((mount.kind.as_str(), mount.source.as_str()), ("overlay", "mydocker"));
        assert_eq!(mount.propagation, ["shared:1", "master:2"]);
        assert_eq!(mount.options, "rw,lowerdir=.");
        assert!(parse("36 35 98:0 / /a").is_none());
    }
}
