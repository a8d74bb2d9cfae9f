//! Every command that a reader is told to type has been run by a session or a test.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use workshop::steps;

use crate::transcript::typed;

/// Which test runs a command that is in no session.
const LIST: &str = "book/tests/commands.toml";

/// A command to type.
pub struct Command {
    /// Where it stands: file and line.
    pub place: String,
    /// What is typed.
    pub text: String,
}

/// What sessions and tests run.
pub struct Known {
    sessions: HashSet<String>,
    tests: BTreeMap<String, String>,
}

impl Known {
    /// Reads all sessions and the list of tests.
    pub fn read(root: &Path) -> Result<Self> {
        let steps = steps::all()?.iter().map(|step| format!("{}/tests", step.folder));
        let folders = steps.chain(["book/tests".to_string(), "book/exercises".to_string()]);
        let mut sessions = HashSet::new();
        for folder in folders {
            let folder = root.join(folder);
            // A workshop may have no sessions of some step.
            for entry in fs::read_dir(&folder).into_iter().flatten() {
                let path = entry?.path();
                if path.extension().is_some_and(|it| it == "session") {
                    let session = fs::read_to_string(&path)
                        .with_context(|| format!("cannot read {}", path.display()))?;
                    sessions.extend(typed(&session).map(|line| line.text.to_string()));
                }
            }
        }
        Ok(Self { sessions, tests: tests(root)? })
    }

    /// Whether something runs the command.
    pub fn runs(&self, command: &str) -> bool {
        let command = command.split(" # ").next().unwrap_or_default().trim();
        self.sessions.iter().any(|line| is_part(command, line))
            || self.tests.keys().any(|known| is_like(known, command))
    }
}

/// Whether a line holds these words one after the other: `rmdir` is run by `rmdir folder`.
fn is_part(command: &str, line: &str) -> bool {
    format!(" {line} ").contains(&format!(" {command} "))
}

/// `cargo workshop diff * *` stands for the command with any two words.
fn is_like(known: &str, command: &str) -> bool {
    let (known, command) = (known.split(' '), command.split(' '));
    known.clone().count() == command.clone().count()
        && known.zip(command).all(|(known, word)| known == "*" || known == word)
}

/// Command and test of each line of the list: `"cargo workshop" = "workshop/tests/user.rs::name"`.
fn tests(root: &Path) -> Result<BTreeMap<String, String>> {
    let path = root.join(LIST);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {LIST}"))?;
    let list: BTreeMap<String, String> =
        toml::from_str(&text).with_context(|| format!("cannot read {LIST}"))?;
    for (command, test) in &list {
        let (file, name) = test
            .split_once("::")
            .with_context(|| format!("{LIST}: `{test}` is no FILE::TEST of `{command}`"))?;
        let source = fs::read_to_string(root.join(file))
            .with_context(|| format!("{LIST}: cannot read {file}, which is to run `{command}`"))?;
        if !source.contains(name) {
            bail!("{LIST}: {file} has no {name}, which is to run `{command}`");
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_run_as_a_part_of_a_line() {
        assert!(is_part("rmdir", "sudo rmdir x") && is_part("ps | head", "ps | head -3"));
        assert!(!is_part("ps", "psx") && !is_part("ps x", "ps | x"));
    }

    #[test]
    fn a_star_stands_for_one_word() {
        assert!(is_like("cargo workshop diff * *", "cargo workshop diff 04 05"));
        assert!(!is_like("cargo workshop diff * *", "cargo workshop diff 04"));
    }
}
