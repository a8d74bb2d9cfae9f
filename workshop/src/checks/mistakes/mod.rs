//! Known mistakes, each told from the kernel's evidence.

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

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use nix::unistd::Pid;

use super::{Bench, Lab, Stage};
use crate::cage::Cage;
use crate::container::Subject;
use crate::pty::Terminal;

/// A mistake that people make.
pub struct Mistake {
    /// A short name, unique
    pub name: &'static str,
    /// The first stage that can make it
    pub since: Stage,
    /// The last one
    pub until: Stage,
    /// The checks that it turns red and that it explains; all of them if none is named
    pub explains: &'static [&'static str],
    /// What was done, why that is wrong, and what to do instead
    pub says: &'static str,
    /// Whether the kernel's evidence shows it
    made: fn(&Lab) -> Result<bool>,
}

/// Every mistake, in the order of the stages; of two that explain the same, the more telling first.
pub fn all() -> impl Iterator<Item = &'static Mistake> {
    let modules = [
        run::MISTAKES,
        exec::MISTAKES,
        uts::MISTAKES,
        child::MISTAKES,
        pid::MISTAKES,
        chroot::MISTAKES,
        mount::MISTAKES,
        cgroups::MISTAKES,
        overlay::MISTAKES,
        network::MISTAKES,
    ];
    modules.into_iter().flatten()
}

/// Looks for mistakes in one binary, for each only once.
pub struct Search<'a> {
    stage: Stage,
    bench: &'a Bench,
    subject: &'a Subject,
    seen: RefCell<HashMap<&'static str, bool>>,
}

impl<'a> Search<'a> {
    /// A search in a binary that is checked as some stage.
    pub fn new(stage: Stage, bench: &'a Bench, subject: &'a Subject) -> Self {
        Self { stage, bench, subject, seen: RefCell::default() }
    }

    /// The mistake behind a red check, if it is a known one.
    pub fn behind(&self, check: &str) -> Result<Option<&'static Mistake>> {
        for mistake in all().filter(|it| it.can_explain(check, self.stage)) {
            if self.finds(mistake)? {
                return Ok(Some(mistake));
            }
        }
        Ok(None)
    }

    /// Whether the binary makes a mistake. What cannot be looked at is no evidence.
    pub fn finds(&self, mistake: &'static Mistake) -> Result<bool> {
        if let Some(made) = self.seen.borrow().get(mistake.name) {
            return Ok(*made);
        }
        let cage = Cage::build(&self.bench.folder)?;
        let lab = Lab { cage: &cage, subject: self.subject, rootfs: &self.bench.rootfs };
        let made = (mistake.made)(&lab).unwrap_or(false);
        cage.sweep()?;
        self.seen.borrow_mut().insert(mistake.name, made);
        Ok(made)
    }
}

impl Mistake {
    fn can_explain(&self, check: &str, stage: Stage) -> bool {
        (self.since..=self.until).contains(&stage)
            && (self.explains.is_empty() || self.explains.contains(&check))
    }
}

/// How long to wait for what `run` does while the command already runs.
const SOON: Duration = Duration::from_secs(3);

/// A command that only lives. A shell would change its mask of signals when it starts others.
const LIVES: [&str; 2] = ["sleep", "60"];

/// Starts a command that only lives, whatever its streams are, and looks at `run` and at it.
fn look<T>(lab: &Lab, look: impl FnOnce(Pid, Pid) -> Result<T>) -> Result<T> {
    let running = lab.start(&LIVES)?;
    look(running.pid(), lab.command(&LIVES, running.pid())?)
}

/// The same on a terminal.
fn look_on_terminal<T>(lab: &Lab, look: impl FnOnce(Pid) -> Result<T>) -> Result<T> {
    let terminal = Terminal::start(lab.cage, &lab.subject.command_line(&LIVES), |_| {})?;
    look(lab.command(&LIVES, terminal.pid())?)
}

/// Whether a usual command can be run at all, and its exit status comes back.
fn runs(lab: &Lab) -> Result<bool> {
    Ok(lab.run(&["/bin/sh", "-c", "exit 7"])?.status == 7)
}
