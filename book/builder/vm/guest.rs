//! The machine's root filesystem: programs, the containers' own root filesystem, and a clone of the
//! workshop in which all has been built.

use std::path::Path;

use anyhow::Result;
use workshop::sabotage::variant::Variant;
use workshop::steps as ladder;

use super::cache;
use super::files::Files;
use super::steps::AGENT;

/// What comes from `book/vm`: its mode, and where it goes.
const OWN: [(&str, u32, &str); 4] = [
    ("init", 0o755, "init"),
    ("pane", 0o755, "opt/pane"),
    ("cargo", 0o755, "opt/cargo"),
    ("pane.bashrc", 0o644, "etc/pane.bashrc"),
];

/// Where the workshop is, and in it what cargo built.
const CLONE: &str = "workshop";
const BUILT: &str = "workshop/target/release";

/// For a bash in a container of `final`, which does not hand on what `book/vm/pane` sets.
const MARK: &str = "PROMPT_COMMAND=\"printf '\\036'\"\n";

/// The image `host` of `final`, made already: an absolute path is taken as its layer.
const IMAGE: &str = "var/lib/containers-from-scratch/images/host.json";

/// The programs that are built from the workshop's sources.
pub(super) struct Built<'a> {
    pub(super) steps: &'a Path,
    pub(super) riddles: &'a Path,
    pub(super) helper: &'a Path,
    pub(super) runtime: &'a Path,
}

/// Puts it together from Debian's programs, in a folder, and the built ones.
pub(super) fn files(root: &Path, programs: &Path, built: &Built) -> Result<Files> {
    let mut files = Files::default();
    files.tree(programs, "")?;
    for (name, mode, to) in OWN {
        files.file(to, mode, cache::read(&root.join(super::SOURCES).join(name))?);
    }
    // An empty lib64 is there only for `ls /` to show what it does on other machines.
    files.tree(programs, &format!("{CLONE}/rootfs"))?;
    files.folder(&format!("{CLONE}/rootfs/lib64"));
    for settings in ["etc/bash.bashrc", "root/.bashrc"] {
        let text = cache::read_text(&programs.join(settings))? + MARK;
        files.file(&format!("{CLONE}/rootfs/{settings}"), 0o644, text.into_bytes());
    }
    files.file(IMAGE, 0o644, format!("{{\"layers\":[\"/{CLONE}/rootfs\"]}}").into_bytes());
    let mut program = |name: &str, from: &Path| -> Result<()> {
        files.file(&format!("{BUILT}/{name}"), 0o755, cache::read(from)?);
        Ok(())
    };
    program("workshop", built.helper)?;
    program("final", built.runtime)?;
    program(AGENT, built.steps)?;
    for step in ladder::all()? {
        program(&step.package, built.steps)?;
    }
    for variant in Variant::all()? {
        program(&variant.package(), built.riddles)?;
    }
    for name in sources()? {
        files.file(&format!("{CLONE}/{name}"), 0o644, cache::read(&root.join(&name))?);
    }
    Ok(files)
}

/// What the helper reads: the list of the steps, their sources, and the riddles' patches.
fn sources() -> Result<Vec<String>> {
    let mut names = vec!["workshop/steps.toml".to_string()];
    for step in ladder::all()? {
        names.push(format!("{}/src/main.rs", step.folder));
    }
    for variant in Variant::all()? {
        names.push(variant.patch());
    }
    Ok(names)
}
