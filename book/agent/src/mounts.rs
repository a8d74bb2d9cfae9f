//! The overlays in a mount namespace, and what was written to them.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::json::{array, object, text};

/// So many names of an upper layer are told.
const NAMES: usize = 12;

/// An overlay, as /proc/PID/mountinfo has it.
#[derive(Debug, PartialEq)]
struct Overlay {
    at: String,
    lower: String,
    upper: String,
    work: String,
}

/// The device of this machine's own root: where that is an overlay, it is no container's.
pub(crate) fn root() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut roots = mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/"));
    roots.next_back().and_then(device).map(str::to_string)
}

fn device(line: &str) -> Option<&str> {
    line.split(' ').nth(2)
}

/// The overlays that a process sees, but for that of `root`, each as JSON, with its namespace's inode.
pub(crate) fn overlays(pid: u32, namespace: u64, root: Option<&str>) -> Vec<String> {
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let json = |overlay: Overlay| {
        let upper = format!("/proc/{pid}/root{}", overlay.upper);
        let mut names = Vec::new();
        written(Path::new(&upper), "", &mut names);
        let lower = overlay.lower.split(':').map(text);
        object([
            ("ns", namespace.to_string()),
            ("at", text(&overlay.at)),
            ("lower", array(lower)),
            ("upper", text(&overlay.upper)),
            ("work", text(&overlay.work)),
            ("written", array(names)),
        ])
    };
    let others = mounts.lines().filter(|line| device(line) != root);
    others.filter_map(overlay).map(json).collect()
}

fn overlay(line: &str) -> Option<Overlay> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut words = filesystem.split(' ');
    if words.next()? != "overlay" {
        return None;
    }
    let options = words.nth(1)?;
    let option = |name: &str| {
        let mut all = options.split(',').filter_map(|option| option.split_once('='));
        all.find(|(found, _)| *found == name).map(|(_, value)| plain(value)).unwrap_or_default()
    };
    let at = plain(mount.split(' ').nth(4)?);
    Some(Overlay {
        at,
        lower: option("lowerdir"),
        upper: option("upperdir"),
        work: option("workdir"),
    })
}

/// The kernel writes spaces and the like as three octal digits.
fn plain(path: &str) -> String {
    let mut parts = path.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        match (part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()), part.get(3..)) {
            (Some(letter), Some(rest)) => {
                plain.push(letter.into());
                plain += rest;
            }
            _ => plain.extend(["\\", part]),
        }
    }
    plain
}

/// What an upper layer holds: files, empty folders, and `-` before what was removed, of which a
/// device with the number 0 is the mark.
fn written(folder: &Path, name: &str, names: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(|entry| entry.file_name());
    if entries.is_empty() && !name.is_empty() && names.len() < NAMES {
        names.push(text(name));
    }
    for entry in entries {
        if names.len() >= NAMES {
            return;
        }
        let path = format!("{name}/{}", entry.file_name().to_string_lossy());
        match entry.metadata() {
            Ok(found) if found.is_dir() => written(&entry.path(), &path, names),
            Ok(found) if found.file_type().is_char_device() && found.rdev() == 0 => {
                names.push(text(&format!("-{path}")));
            }
            _ => names.push(text(&path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_overlays() {
        let line = "60 50 0:30 / /run/my\\040root rw,relatime - overlay mydocker rw,lowerdir=.,upperdir=/run/upper,workdir=/run/work";
        let expected = Overlay {
            at: "/run/my root".into(),
            lower: ".".into(),
            upper: "/run/upper".into(),
            work: "/run/work".into(),
        };
        assert_eq!(overlay(line), Some(expected));
        assert_eq!(overlay("61 60 0:5 / /proc rw - proc proc rw"), None);
    }

    #[test]
    fn what_was_written_is_told_with_its_path() {
        let folder = std::env::temp_dir().join(format!("agent-upper-{}", std::process::id()));
        fs::create_dir_all(folder.join("etc")).unwrap();
        fs::create_dir_all(folder.join("new")).unwrap();
        fs::write(folder.join("etc/passwd"), "").unwrap();
        let mut names = Vec::new();
        written(&folder, "", &mut names);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(names, ["\"/etc/passwd\"", "\"/new\""]);
    }
}
