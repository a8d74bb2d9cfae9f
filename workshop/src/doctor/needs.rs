//! What not every machine offers. `steps.toml` says who needs what; the doctor, the skips of the
//! checks and the book's badges all go by the same table.

use std::str::FromStr;

use anyhow::{Context, Error, Result};
use serde::{Deserialize, Serialize};

use super::cures::Cures;
use super::table::TABLE;
use super::tries::Tried;
use crate::checks::Stage;
use crate::steps;

/// Something that not every machine offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
#[allow(missing_docs)] // The table says what each is.
pub enum Need {
    Kernel,
    Root,
    Disk,
    Uts,
    Pid,
    Ipc,
    Mount,
    Net,
    Cgroup,
    User,
    Rootfs,
    Overlay,
    MountSetattr,
    Pids,
    Memory,
    Cpu,
    Bridge,
    Veth,
    NfTables,
    Ip,
    Ps,
    Ping,
}

/// What is known about a need.
pub struct Facts {
    /// Which one
    pub need: Need,
    /// Its short name, as in `steps.toml`
    pub name: &'static str,
    /// What a person calls it, in a word or two
    pub label: &'static str,
    /// What it is, with the man page
    pub what: &'static str,
    /// Tries whether it is to be had. Harmless in a process that ends afterwards.
    pub(super) attempt: fn() -> Tried,
    /// Whether only root can try
    pub as_root: bool,
    /// What mends it, unless the attempt knows better
    pub(super) cures: Cures,
}

impl Need {
    /// All that is known about it.
    pub fn facts(self) -> &'static Facts {
        &TABLE[self as usize]
    }

    /// Whether the book shows it beside a step: the rest every machine with a Linux has.
    pub fn has_badge(self) -> bool {
        !matches!(self, Self::Kernel | Self::Disk)
    }

    /// Who needs it, from the first step on.
    pub fn stages(self) -> Result<Vec<Stage>> {
        let steps = steps::all()?.iter().map(|step| Stage::Step(step.number));
        let mut stages = Vec::new();
        for stage in steps.chain([Stage::Final]) {
            if steps::needs(stage)?.contains(&self) {
                stages.push(stage);
            }
        }
        Ok(stages)
    }
}

impl FromStr for Need {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let facts = TABLE.iter().find(|facts| facts.name == name);
        let names = || TABLE.iter().map(|facts| facts.name).collect::<Vec<_>>().join(", ");
        let facts = facts
            .with_context(|| format!("there is no need '{name}'. Name one of: {}", names()))?;
        Ok(facts.need)
    }
}

impl TryFrom<String> for Need {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<Need> for &'static str {
    fn from(need: Need) -> Self {
        need.facts().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_needs() {
        for (index, facts) in TABLE.iter().enumerate() {
            assert_eq!(facts.need as usize, index, "{}", facts.name);
            assert_eq!(facts.name.parse::<Need>().unwrap(), facts.need);
        }
        let error = "docker".parse::<Need>().unwrap_err().to_string();
        assert!(error.starts_with("there is no need 'docker'. Name one of: kernel, "), "{error}");
    }

    #[test]
    fn somebody_needs_each() {
        let checks = steps::needs_of_checks().unwrap();
        for facts in &TABLE {
            let stages = facts.need.stages().unwrap();
            assert!(!stages.is_empty() || checks.contains(&facts.need), "{}", facts.name);
        }
    }

    #[test]
    fn every_one_has_a_cure_everywhere_and_says_what_it_is() {
        for Facts { name, what, cures, .. } in &TABLE {
            assert!(what.contains('(') || *name == "disk" || *name == "rootfs", "{name}: {what}");
            for cure in [&cures.debian, &cures.fedora, &cures.arch] {
                let is_command = cure.contains("sudo ") || cure.contains("cargo ");
                assert!(is_command || cure.starts_with("su "), "{name}: {cure}");
            }
        }
    }

    /// A later step is never without what an earlier one could not do without.
    #[test]
    fn needs_only_grow_on_the_ladder() {
        for pair in steps::all().unwrap().windows(2) {
            for need in &pair[0].needs {
                assert!(pair[1].needs.contains(need) || *need == Need::User, "{need:?}");
            }
        }
    }
}
