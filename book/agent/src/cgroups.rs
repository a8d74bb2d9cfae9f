//! The cgroups below the root: counters against limits.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::json::{array, number, object, text};
use crate::processes::start;

const ROOT: &str = "/sys/fs/cgroup";

/// The cgroups below the root.
#[derive(Default)]
pub(crate) struct Cgroups {
    /// Each as JSON, parents first
    pub(crate) all: Vec<String>,
    /// Where a process is that is not in the root
    pub(crate) of: HashMap<u32, String>,
}

impl Cgroups {
    /// Reads them. A machine with cgroup v1 has none.
    pub(crate) fn read() -> Self {
        let (root, mut cgroups) = (Path::new(ROOT), Self::default());
        if root.join("cgroup.controllers").exists() {
            cgroups.below(root);
        }
        cgroups
    }

    fn below(&mut self, folder: &Path) {
        // A folder without folders has two links, its name and its ".".
        if folder.metadata().is_ok_and(|found| found.nlink() == 2) {
            return;
        }
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut folders: Vec<_> = folders.map(|entry| entry.path()).collect();
        folders.sort();
        for folder in folders {
            let path = format!("/{}", folder.strip_prefix(ROOT).unwrap_or(&folder).display());
            self.all.push(one(&folder, &path));
            let members = start(folder.join("cgroup.procs")).unwrap_or_default();
            let pids = members.lines().filter_map(|pid| pid.parse().ok());
            self.of.extend(pids.map(|pid| (pid, path.clone())));
            self.below(&folder);
        }
    }
}

/// Counters and limits: `null` is no limit, and what has no controller here is left out.
fn one(folder: &Path, path: &str) -> String {
    let read = |file: &str| start(folder.join(file));
    let count = |file: &str| read(file).as_deref().and_then(limit);
    let mut fields = vec![("path", text(path))];
    for (name, refused) in [("pids", "max"), ("memory", "oom_kill")] {
        let Some(current) = count(&format!("{name}.current")) else { continue };
        let events = read(&format!("{name}.events")).unwrap_or_default();
        let max = count(&format!("{name}.max"));
        let refused = value(&events, refused);
        let values =
            [("current", current.to_string()), ("max", number(max)), ("refused", number(refused))];
        fields.push((name, object(values)));
    }
    if let Some(max) = read("cpu.max") {
        let stat = read("cpu.stat").unwrap_or_default();
        let max = max.split_ascii_whitespace().map(|word| number(limit(word)));
        let used = number(value(&stat, "usage_usec"));
        let throttled = number(value(&stat, "nr_throttled"));
        fields.push(("cpu", object([("max", array(max)), ("used", used), ("refused", throttled)])));
    }
    object(fields)
}

/// A number, which `max` is not.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The value in a line of name and value.
fn value(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(found, _)| *found == name).and_then(|(_, value)| limit(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_with_some_controllers() {
        let folder = std::env::temp_dir().join(format!("agent-cgroup-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        for (file, content) in [
            ("pids.current", "20\n"),
            ("pids.max", "20\n"),
            ("pids.events", "max 12\n"),
            ("cpu.max", "max 100000\n"),
            ("cpu.stat", "usage_usec 1234\nuser_usec 1000\nnr_throttled 0\n"),
        ] {
            fs::write(folder.join(file), content).unwrap();
        }
        let shown = one(&folder, "/a");
        fs::remove_dir_all(&folder).unwrap();
        let expected = r#"{"path":"/a","pids":{"current":20,"max":20,"refused":12},"cpu":{"max":[null,100000],"used":1234,"refused":0}}"#;
        assert_eq!(shown, expected);
    }
}
