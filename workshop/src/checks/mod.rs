//! The checks: what must hold for a container since a step, told from the kernel's evidence.
//!
//! Every check gets a fresh cage, starts one or more containers in it with the binary that is
//! checked, and looks at them from outside.

mod cgroups;
mod child;
mod chroot;
mod exec;
mod mount;
mod network;
mod overlay;
mod pid;
mod run;
mod uts;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::cage::Cage;
use crate::container::{Ended, Held, Running, Subject};

/// Something that must hold for a container.
pub struct Check {
    /// A short name, unique
    pub name: &'static str,
    /// What must hold, as a sentence
    pub title: &'static str,
    /// The step that brings it
    pub since: u8,
    /// The last step for which it must hold
    pub until: u8,
    /// New at its step, or a duty
    pub kind: Kind,
    /// How a person sees the same; `stepNN` stands for the step
    pub by_hand: &'static str,
    probe: fn(&Lab) -> Result<Verdict>,
}

/// The last step.
const LAST: u8 = 10;

/// What a check is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What its step adds: the step before does not have it
    New,
    /// What must not be lost on the way, whatever a step adds
    Duty,
}

/// What a check found out.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Does it hold?
    pub holds: bool,
    /// What had to be seen
    pub expected: String,
    /// What the kernel says
    pub found: String,
    /// What it means if it does not hold
    pub meaning: String,
}

impl Verdict {
    fn new(
        holds: bool,
        expected: impl Into<String>,
        found: impl Into<String>,
        meaning: impl Into<String>,
    ) -> Self {
        Self { holds, expected: expected.into(), found: found.into(), meaning: meaning.into() }
    }
}

/// Every check, in the order of the steps.
pub fn all() -> impl Iterator<Item = &'static Check> {
    let modules = [
        run::CHECKS,
        exec::CHECKS,
        uts::CHECKS,
        child::CHECKS,
        pid::CHECKS,
        chroot::CHECKS,
        mount::CHECKS,
        cgroups::CHECKS,
        overlay::CHECKS,
        network::CHECKS,
    ];
    modules.into_iter().flatten()
}

/// The checks that a step must pass.
pub fn valid_at(step: u8) -> impl Iterator<Item = &'static Check> {
    all().filter(move |check| (check.since..=check.until).contains(&step))
}

impl Check {
    /// Runs the check on a binary. That it could not be told is a red verdict too.
    pub fn run(&self, bench: &Bench, subject: &Subject) -> Result<Verdict> {
        let cage = Cage::build(&bench.folder)?;
        let lab = Lab { cage: &cage, subject, rootfs: bench.folder.join("rootfs") };
        let verdict = (self.probe)(&lab);
        cage.sweep()?;
        Ok(verdict.unwrap_or_else(|error| {
            let meaning = "The container did not get as far as this check looks.";
            Verdict::new(false, self.title, format!("{error:#}"), meaning)
        }))
    }
}

/// A folder for a series of checks, with a copy of the root filesystem: whatever a container does
/// to it, the original stays as it is.
pub struct Bench {
    folder: PathBuf,
}

impl Bench {
    /// Makes the folder in the place for temporary files.
    pub fn new(rootfs: &Path) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("workshop-{}-{count}", process::id()));
        // Private: by this, too, `clean` knows it for ours.
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| format!("cannot create {}", folder.display()))?;
        let bench = Self { folder };
        let copy =
            Command::new("cp").arg("-a").arg(rootfs).arg(bench.folder.join("rootfs")).output();
        let copy = copy.context("cannot start cp")?;
        if !copy.status.success() {
            let why = String::from_utf8_lossy(&copy.stderr).trim().replace('\n', ", ");
            bail!("cannot copy {} to {}: {why}", rootfs.display(), bench.folder.display());
        }
        Ok(bench)
    }
}

impl Bench {
    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a check works with.
struct Lab<'a> {
    cage: &'a Cage,
    subject: &'a Subject,
    rootfs: PathBuf,
}

impl Lab<'_> {
    fn run(&self, command: &[&str]) -> Result<Ended> {
        self.subject.run(self.cage, command)
    }

    fn start(&self, command: &[&str]) -> Result<Running> {
        self.subject.start(self.cage, command)
    }

    fn hold(&self, script: &str) -> Result<Held> {
        self.subject.hold(self.cage, script)
    }
}
