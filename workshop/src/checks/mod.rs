//! The checks: what must hold for a container since a step, told from the kernel's evidence.
//!
//! Every check gets a fresh cage, starts one or more containers in it with the binary that is
//! checked, and looks at them from outside.

mod cgroups;
mod child;
mod chroot;
mod exec;
pub mod mistakes;
mod mount;
mod network;
mod overlay;
mod pid;
mod run;
mod runtime;
mod uts;

use std::fmt::{self, Display};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cage::Cage;
use crate::container::{Ended, Held, PATIENCE, Running, Subject};
use crate::kernel;
use crate::wait::until;

/// Something that must hold for a container.
pub struct Check {
    /// A short name, unique
    pub name: &'static str,
    /// What must hold, as a sentence
    pub title: &'static str,
    /// The stage that brings it
    pub since: Stage,
    /// The last stage for which it must hold
    pub until: Stage,
    /// New at its stage, or a duty
    pub kind: Kind,
    /// How a person sees the same; `stepNN` stands for the step, `ROOTFS` for the files that its
    /// containers start with
    pub by_hand: &'static str,
    probe: fn(&Lab) -> Result<Verdict>,
}

/// What a container is checked as. Whatever holds for one stage holds for the next, too, if it is
/// not said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A step of the ladder, 1 to 10
    Step(u8),
    /// The runtime that the steps lead to
    Final,
}

/// The last step. What must hold until then is about how the steps do it: `final` does the same in
/// another way.
const LAST: Stage = Stage::Step(10);

impl Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Step(number) => write!(out, "{number:02}"),
            Self::Final => out.write_str("final"),
        }
    }
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Step(number) => out.serialize_u8(*number),
            Self::Final => out.serialize_str("final"),
        }
    }
}

impl<'de> Deserialize<'de> for Stage {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Name<'a> {
            Step(u8),
            #[serde(borrow)]
            Other(std::borrow::Cow<'a, str>),
        }
        match Name::deserialize(from)? {
            Name::Step(number) => Ok(Self::Step(number)),
            Name::Other(name) if name == "final" => Ok(Self::Final),
            Name::Other(name) => Err(D::Error::custom(format!("there is no stage {name}"))),
        }
    }
}

/// What a check is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What its stage adds: the one before does not have it
    New,
    /// What must not be lost on the way, whatever a stage adds
    Duty,
}

/// What a check found out.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    pub(crate) fn new(
        holds: bool,
        expected: impl Into<String>,
        found: impl Into<String>,
        meaning: impl Into<String>,
    ) -> Self {
        Self { holds, expected: expected.into(), found: found.into(), meaning: meaning.into() }
    }
}

/// Every check, in the order of the stages.
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
    modules.into_iter().chain(runtime::CHECKS).flatten()
}

/// The checks that a stage must pass.
pub fn valid_at(stage: Stage) -> impl Iterator<Item = &'static Check> {
    all().filter(move |check| (check.since..=check.until).contains(&stage))
}

/// The checks of the last step that are about how the steps do it.
pub fn of_steps_alone() -> impl Iterator<Item = &'static Check> {
    valid_at(LAST).filter(|check| check.until == LAST)
}

impl Check {
    /// Runs the check on a binary. That it could not be told is a red verdict too.
    pub fn run(&self, bench: &Bench, subject: &Subject) -> Result<Verdict> {
        let cage = Cage::build(&bench.folder)?;
        let lab = Lab { cage: &cage, subject, rootfs: &bench.rootfs };
        let verdict = (self.probe)(&lab);
        cage.sweep()?;
        Ok(verdict.unwrap_or_else(|error| {
            let meaning = "The container did not get as far as this check looks.";
            Verdict::new(false, self.title, format!("{error:#}"), meaning)
        }))
    }
}

/// A folder for a series of checks, with a root filesystem of its own: whatever a container does to
/// it, nothing else is changed.
pub struct Bench {
    folder: PathBuf,
    rootfs: PathBuf,
}

impl Bench {
    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder in the place for temporary files, with a copy of a root filesystem.
    pub fn new(rootfs: &Path) -> Result<Self> {
        let bench = Self::empty("rootfs")?;
        // If it is a link, what that leads to.
        let source = fs::canonicalize(rootfs)
            .with_context(|| format!("cannot find the root filesystem {}", rootfs.display()))?;
        let copy = Command::new("cp").arg("-a").arg(source).arg(&bench.rootfs).output();
        let copy = copy.context("cannot start cp")?;
        if !copy.status.success() {
            let why = String::from_utf8_lossy(&copy.stderr).trim().replace('\n', ", ");
            bail!("cannot copy {} to {}: {why}", rootfs.display(), bench.folder.display());
        }
        Ok(bench)
    }

    /// Makes the folder, and has the final runtime make its image `host` in there.
    pub fn with_image(runtime: &Subject) -> Result<Self> {
        let bench = Self::empty(Subject::IMAGE)?;
        // In a virtual machine that takes a while.
        let limit = Duration::from_secs(120);
        let made = runtime.start(&Cage::build(&bench.folder)?, &["true"])?.end_within(limit)?;
        if made.status != 0 || !bench.rootfs.is_dir() {
            bail!("cannot run a first container of the image host. {}", made.describe());
        }
        Ok(bench)
    }

    fn empty(rootfs: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("workshop-{}-{count}", process::id()));
        // Private: by this, too, `clean` knows it for ours.
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { rootfs: folder.join(rootfs), folder })
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
    rootfs: &'a Path,
}

impl Lab<'_> {
    fn run(&self, command: &[&str]) -> Result<Ended> {
        self.subject.run(self.cage, command)
    }

    fn start(&self, command: &[&str]) -> Result<Running> {
        self.subject.start(self.cage, command)
    }

    /// Waits for the command's process, which its words tell, as long as there is `run`.
    fn command(&self, words: &[&str], run: Pid) -> Result<Pid> {
        let mut command = None;
        until(PATIENCE, || {
            let mut all = self.cage.processes().into_iter();
            command = all.find(|pid| kernel::arguments(*pid).is_ok_and(|it| it == words));
            command.is_some() || !kernel::is_alive(run)
        });
        command.with_context(|| {
            let words = words.join(" ");
            match kernel::is_alive(run) {
                true => format!("`run` has not started {words} within {} s", PATIENCE.as_secs()),
                false => format!("`run` has ended, and {words} does not run"),
            }
        })
    }

    fn hold(&self, script: &str) -> Result<Held> {
        self.subject.hold(self.cage, script)
    }

    /// The same with more options.
    fn hold_with(&self, options: &[&str], script: &str) -> Result<Held> {
        self.subject.with(options).hold(self.cage, script)
    }

    /// Another look at the same, with more options for the container.
    fn with<T>(&self, options: &[&str], look: impl FnOnce(&Lab) -> T) -> T {
        look(&Lab { cage: self.cage, subject: &self.subject.with(options), rootfs: self.rootfs })
    }
}
