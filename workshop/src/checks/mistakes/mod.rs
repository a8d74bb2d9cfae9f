//! Known mistakes, each told from the kernel's evidence.

mod cgroups;
mod chroot;
mod mount;
mod network;
mod overlay;
mod pid;

use anyhow::Result;

use super::{Bench, Lab, Stage};
use crate::cage::Cage;
use crate::container::Subject;

/// A mistake that people make.
pub struct Mistake {
    /// A short name, unique
    pub name: &'static str,
    /// The first stage that can make it
    pub since: Stage,
    /// The last one
    pub until: Stage,
    /// The checks that it turns red and that it explains
    pub explains: &'static [&'static str],
    /// What was done, why that is wrong, and what to do instead
    pub says: &'static str,
    /// Whether the kernel's evidence shows it
    made: fn(&Lab) -> Result<bool>,
}

/// Every mistake, in the order of the stages; of two that explain the same, the more telling first.
pub fn all() -> impl Iterator<Item = &'static Mistake> {
    let modules = [
        pid::MISTAKES,
        chroot::MISTAKES,
        mount::MISTAKES,
        cgroups::MISTAKES,
        overlay::MISTAKES,
        network::MISTAKES,
    ];
    modules.into_iter().flatten()
}

/// The mistake behind a red check, if it is a known one.
pub fn behind(
    check: &str,
    stage: Stage,
    bench: &Bench,
    subject: &Subject,
) -> Result<Option<&'static Mistake>> {
    let candidates = all().filter(|it| (it.since..=it.until).contains(&stage));
    for mistake in candidates.filter(|it| it.explains.contains(&check)) {
        if mistake.is_made(bench, subject)? {
            return Ok(Some(mistake));
        }
    }
    Ok(None)
}

impl Mistake {
    /// Looks for it in a binary. What cannot be looked at is no evidence.
    pub fn is_made(&self, bench: &Bench, subject: &Subject) -> Result<bool> {
        let cage = Cage::build(&bench.folder)?;
        let lab = Lab { cage: &cage, subject, rootfs: &bench.rootfs };
        let made = (self.made)(&lab).unwrap_or(false);
        cage.sweep()?;
        Ok(made)
    }
}
