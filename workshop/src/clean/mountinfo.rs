//! The mounts that this process sees: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use anyhow::{Result, anyhow};

use crate::output::reason;

pub(super) struct Mount {
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) point: PathBuf,
    pub(super) kind: String,
    pub(super) source: String,
    /// Of the file system, not of the mount.
    pub(super) options: String,
}

/// All mounts, in the order in which they were made.
pub(super) fn read() -> Result<Vec<Mount>> {
    let text = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| anyhow!("cannot read /proc/self/mountinfo: {}", reason(&error)))?;
    Ok(text.lines().filter_map(parse).collect())
}

/// `36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/sda1 rw,errors=continue`
fn parse(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mount: Vec<_> = mount.split(' ').collect();
    let mut file_system = file_system.split(' ');
    Some(Mount {
        id: mount.first()?.to_string(),
        parent: mount.get(1)?.to_string(),
        point: PathBuf::from(unescape(mount.get(4)?)),
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
            .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
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
        assert_eq!(mount.options, "rw,lowerdir=.");
        assert!(parse("36 35 98:0 / /a").is_none());
    }
}
