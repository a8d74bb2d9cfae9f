//! The steps of the ladder, as `steps.toml` lists them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Result, anyhow};
use serde::Deserialize;

use crate::checks::Stage;
pub use crate::doctor::Need;

/// One step of the ladder.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// 1 to 10.
    pub number: u8,
    /// What `cargo run -p` calls it: `step05`.
    pub package: String,
    /// Its folder in the workspace: `step05-pid`.
    pub folder: String,
    /// Its topic in one word: `pid`.
    pub title: String,
    /// What it adds to the step before, in Markdown.
    pub adds: String,
    /// The arguments to try it with.
    pub r#try: String,
    /// What there is to see then, in Markdown.
    pub shows: String,
    /// Where it went in the runtime: modules, as paths below `final/src`.
    pub r#final: Vec<String>,
    /// The check that proves it in one line.
    pub proof: String,
    /// How long it takes to teach.
    pub minutes: u16,
    /// What the machine must offer.
    pub needs: Vec<Need>,
    /// The recorded sessions of its chapter that `demo` plays, in this order.
    pub demo: Vec<String>,
    /// What to add to it afterwards, in a sentence.
    pub exercise: String,
    /// For whoever teaches it: each begins with `Ask:`, `Demo:`, `Goes wrong:` or `Skip:`.
    pub notes: Vec<String>,
    /// What helps somebody who is stuck, the least telling first.
    pub hints: Vec<String>,
    /// The places to fill in the step before.
    #[serde(default)]
    pub todo: Vec<Todo>,
    /// First hints, chosen by what is red.
    #[serde(default)]
    pub nudge: Vec<Nudge>,
    /// Known-wrong variants of it.
    #[serde(default)]
    pub sabotage: Vec<Sabotage>,
}

/// A place in the step before where something is to be added.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Todo {
    /// The line above which it belongs, without its indentation; there is just one such line.
    pub above: String,
    /// What is to be done there.
    pub text: String,
}

/// A first hint for whom some checks are red.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nudge {
    /// The names of the checks.
    pub red: Vec<String>,
    /// What to think about.
    pub hint: String,
}

/// A step with a mistake in it, as the patch `sabotage/step05/NAME.patch`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sabotage {
    /// A short name that does not tell the answer.
    pub name: String,
    /// The mistake as `mistakes` knows it.
    pub mistake: String,
    /// The checks that do not hold, all of them.
    pub red: Vec<String>,
    /// Why just these, in a sentence or two.
    pub answer: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ladder {
    checks: Needs,
    r#final: Needs,
    step: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Needs {
    needs: Vec<Need>,
}

static LADDER: LazyLock<Result<Ladder, toml::de::Error>> =
    LazyLock::new(|| toml::from_str(include_str!("../steps.toml")));

fn ladder() -> Result<&'static Ladder> {
    LADDER.as_ref().map_err(|error| {
        anyhow!("cannot read workshop/steps.toml: {error}. Mend it and build again")
    })
}

/// All steps, from the first rung up. The list is compiled in, so it is never missing.
pub fn all() -> Result<&'static [Step]> {
    Ok(&ladder()?.step)
}

/// What the machine must offer to a stage.
pub fn needs(stage: Stage) -> Result<&'static [Need]> {
    match stage {
        Stage::Step(number) => Ok(&Step::find(&number.to_string())?.needs),
        Stage::Final => Ok(&ladder()?.r#final.needs),
    }
}

/// What the machine must offer for anything to be checked.
pub fn needs_of_checks() -> Result<&'static [Need]> {
    Ok(&ladder()?.checks.needs)
}

impl Step {
    /// Finds a step by its number, package, folder or title: `5`, `05`, `step05`, `step05-pid`, `pid`.
    pub fn find(name: &str) -> Result<&'static Self> {
        let steps = all()?;
        let number = name.strip_prefix("step").unwrap_or(name).parse().ok();
        let found = steps.iter().find(|step| {
            number == Some(step.number)
                || [&step.title, &step.folder].iter().any(|own| *own == name)
        });
        found.ok_or_else(|| {
            let names: Vec<_> =
                steps.iter().map(|step| format!("{:02} {}", step.number, step.title)).collect();
            anyhow!("there is no step '{name}'. Name one of these: {}", names.join(", "))
        })
    }

    /// Its one source file.
    pub fn source(&self, project: &Path) -> PathBuf {
        project.join(&self.folder).join("src/main.rs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_count_up_without_a_gap() {
        for (index, step) in all().unwrap().iter().enumerate() {
            assert_eq!(usize::from(step.number), index + 1);
            assert_eq!(step.package, format!("step{:02}", step.number));
            assert_eq!(step.folder, format!("{}-{}", step.package, step.title));
        }
        assert_eq!(all().unwrap().len(), 10);
    }

    #[test]
    fn a_step_is_found_by_every_name_it_has() {
        for name in ["5", "05", "step5", "step05", "step05-pid", "pid"] {
            assert_eq!(Step::find(name).unwrap().number, 5, "{name}");
        }
    }

    #[test]
    fn whoever_teaches_finds_questions_and_pitfalls() {
        for step in all().unwrap() {
            let kinds: Vec<_> =
                step.notes.iter().map(|note| note.split_once(": ").unwrap().0).collect();
            let count = |kind| kinds.iter().filter(|it| **it == kind).count();
            let known = ["Ask", "Demo", "Goes wrong", "Skip"].map(count);
            assert_eq!(known.iter().sum::<usize>(), kinds.len(), "{}: {kinds:?}", step.package);
            assert!(known[0] >= 2 && known[2] >= 1, "{}: {kinds:?}", step.package);
            assert!(step.exercise.ends_with('.'), "{}: {}", step.package, step.exercise);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        for name in ["", "0", "11", "step", "step05-uts", "-5", "PID"] {
            let error = Step::find(name).unwrap_err().to_string();
            assert!(error.starts_with(&format!("there is no step '{name}'")), "{error}");
            assert!(error.ends_with("01 run, 02 exec, 03 uts, 04 child, 05 pid, 06 chroot, 07 mount, 08 cgroups, 09 overlay, 10 network"), "{error}");
        }
    }
}
