//! axe-core, which finds what keeps people from reading a page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use workshop::{project, testing};

/// axe-core, as package-lock.json pins it; npm checks its integrity.
pub(crate) fn script(test: &str) -> Option<String> {
    let source = project::root().unwrap().join("book/tests/axe");
    let folder: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axe");
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.exists() {
        fs::create_dir_all(&folder).unwrap();
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), folder.join(file)).unwrap();
        }
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit"])
            .current_dir(&folder)
            .output();
        if !npm.is_ok_and(|npm| npm.status.success()) {
            testing::skip(test, "npm cannot fetch axe-core");
            return None;
        }
    }
    Some(fs::read_to_string(script).unwrap())
}

/// The expression that says what is seriously wrong on a page, or only with its colours.
pub(crate) fn complaints(colours: bool) -> String {
    let only = if colours { ", runOnly: ['color-contrast']" } else { "" };
    "axe.run({resultTypes: ['violations']ONLY}).then((all) => all.violations
        .filter((it) => it.impact === 'serious' || it.impact === 'critical')
        .map((it) => it.id + ': ' + it.nodes.map((node) => node.html + ' ' + node.failureSummary).slice(0, 2).join(' ')))"
        .replace("ONLY", only)
}
