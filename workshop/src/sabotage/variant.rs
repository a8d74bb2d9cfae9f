//! A step with a mistake in it: its source, and a crate of its own to build it in.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::checks::{self, Check, Stage};
use crate::steps::{self, Sabotage, Step};
use crate::{diff, patch, project};

/// A known-wrong variant of a step.
#[derive(Clone, Copy)]
pub struct Variant {
    /// The step that it is made from.
    pub step: &'static Step,
    /// What is wrong with it.
    pub sabotage: &'static Sabotage,
}

impl Variant {
    /// All of a step.
    pub fn of(step: &'static Step) -> impl Iterator<Item = Self> {
        step.sabotage.iter().map(move |sabotage| Self { step, sabotage })
    }

    /// All of all steps.
    pub fn all() -> Result<Vec<Self>> {
        Ok(steps::all()?.iter().flat_map(Self::of).collect())
    }

    /// What its package and its program are called: `step05-swap`.
    pub fn package(&self) -> String {
        format!("{}-{}", self.step.package, self.sabotage.name)
    }

    /// The step that it is checked as.
    pub fn stage(&self) -> Stage {
        Stage::Step(self.step.number)
    }

    /// The checks that it is held to.
    pub fn checks(&self) -> Vec<&'static Check> {
        checks::valid_at(self.stage()).collect()
    }

    /// The patch that makes the mistake, as a path in the workshop's folder.
    pub fn patch(&self) -> String {
        format!("workshop/sabotage/{}/{}.patch", self.step.package, self.sabotage.name)
    }

    /// The step's source, and that with the mistake.
    pub fn sources(&self, root: &Path) -> Result<[String; 2]> {
        let name = self.patch();
        let text = project::read(&root.join(&name))?;
        let right = diff::read(root, self.step)?;
        let wrong = patch::apply(&right, &text)
            .with_context(|| format!("{name} does not fit {}/src/main.rs", self.step.folder))?;
        Ok([right, wrong])
    }
}

/// Writes a workspace with a crate for each variant, and with the dependencies of the real one.
pub fn write_workspace(root: &Path, folder: &Path, variants: &[Variant]) -> Result<()> {
    for variant in variants {
        let name = variant.package();
        let manifest = project::read(&root.join(&variant.step.folder).join("Cargo.toml"))?;
        // Tests are not needed, and what they use takes long to compile.
        let sections = manifest.split("\n\n").filter(|it| !it.starts_with("[dev-dependencies]"));
        let manifest = sections.collect::<Vec<_>>().join("\n\n");
        let own_name = format!("name = \"{}\"", variant.step.package);
        let manifest = manifest.replacen(&own_name, &format!("name = \"{name}\""), 1);
        write(&folder.join(&name).join("Cargo.toml"), &manifest)?;
        let [_, wrong] = variant.sources(root)?;
        write(&folder.join(&name).join("src/main.rs"), &wrong)?;
    }
    let names: Vec<_> = variants.iter().map(Variant::package).collect();
    write(
        &folder.join("Cargo.toml"),
        &workspace(&project::read(&root.join("Cargo.toml"))?, &names),
    )?;
    write(&folder.join("Cargo.lock"), &project::read(&root.join("Cargo.lock"))?)
}

/// The real workspace's manifest with other members. What it says of single packages is left out.
fn workspace(manifest: &str, members: &[String]) -> String {
    let common = manifest.split("[profile.dev.package").next().unwrap_or_default();
    let lines = common.lines().filter(|line| !line.starts_with("exclude = "));
    let lines = lines.map(|line| match line.starts_with("members = ") {
        true => format!("members = {members:?}\n"),
        false => format!("{line}\n"),
    });
    lines.collect()
}

/// Leaves what is the same alone, so that cargo need not build it again.
fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let folder = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_members_differ() {
        let manifest = "[workspace]\nmembers = [\"a\"]\nexclude = [\"mine\"]\n\n[workspace.dependencies]\nnix = \"0\"\n\n[profile.dev.package.book]\nopt-level = 1\n";
        let expected =
            "[workspace]\nmembers = [\"b\", \"c\"]\n\n[workspace.dependencies]\nnix = \"0\"\n\n";
        assert_eq!(workspace(manifest, &["b".into(), "c".into()]), expected);
    }
}
