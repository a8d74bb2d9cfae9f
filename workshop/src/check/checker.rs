//! The checker: the part of `check` that runs as root. It prints a line of JSON for each verdict.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::{Candidate, Report, Target, bench, by_hand, candidates};
use crate::checks::mistakes::Search;
use crate::checks::{self, Check};
use crate::{doctor, output, supervisor};

/// The hidden command that runs the checks.
const CHECKER: &str = "checker";

/// What the checker is asked for.
#[derive(Args, Clone, Debug, Default)]
pub struct Job {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Of each step no more than the one check that proves it
    #[arg(long)]
    pub(crate) proofs: bool,
}

impl Job {
    /// All checks of a target.
    pub(crate) fn all(target: &Target) -> Self {
        Self { target: target.clone(), proofs: false }
    }

    /// Its command line.
    fn words(&self) -> Vec<OsString> {
        let target = &self.target;
        let mut words: Vec<OsString> = vec![CHECKER.into()];
        if self.proofs {
            words.push("--proofs".into());
        }
        let mut add = |option: &str, value: Option<OsString>| {
            words.extend(value.into_iter().flat_map(|value| [option.into(), value]));
        };
        add("--bin", target.bin.clone().map(OsString::from));
        add("--step", target.step.map(|step| step.package.clone().into()));
        add("--rootfs", target.rootfs.clone().map(OsString::from));
        words.extend(target.what.iter().map(OsString::from));
        if !target.words.is_empty() {
            words.push("--".into());
            words.extend(target.words.iter().cloned());
        }
        words
    }

    /// The checks of a candidate, in the order in which they run.
    pub(super) fn checks(&self, candidate: &Candidate) -> Vec<&'static Check> {
        let wanted = |check: &&Check| !self.proofs || candidate.proof == Some(check.name);
        checks::valid_at(candidate.stage).filter(wanted).collect()
    }
}

/// Has the checks run, as root, and hands on each verdict.
pub(crate) fn perform(job: &Job, mut each: impl FnMut(Report) -> Result<()>) -> Result<()> {
    supervisor::perform(&job.words(), |line| {
        each(serde_json::from_str(line).context("cannot understand what the checker says")?)
    })
}

/// Runs the checks and prints the verdicts.
pub fn play(job: &Job) -> Result<ExitCode> {
    supervisor::end_with_it()?;
    for candidate in candidates(&job.target)? {
        match doctor::cannot(candidate.stage)?.first() {
            Some((need, seen)) => {
                skip(&candidate, job, &format!("{} ({seen})", need.facts().label))?;
            }
            None => judge(&candidate, job)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn judge(candidate: &Candidate, job: &Job) -> Result<()> {
    let bench = bench(candidate, &job.target)?;
    let search = Search::new(candidate.stage, &bench, &candidate.subject);
    for check in job.checks(candidate) {
        let verdict = check.run(&bench, &candidate.subject)?;
        let mistake = if verdict.holds { None } else { search.behind(check.name)? };
        tell(&Report::new(candidate.stage, check, verdict, mistake, by_hand(check, candidate)))?;
    }
    Ok(())
}

/// Where a container cannot run, or cannot be looked at, no check can say anything.
fn skip(candidate: &Candidate, job: &Job, lack: &str) -> Result<()> {
    for check in job.checks(candidate) {
        tell(&Report::skipped(candidate.stage, check, lack, by_hand(check, candidate)))?;
    }
    Ok(())
}

fn tell(report: &Report) -> Result<()> {
    let line = serde_json::to_string(report).context("cannot write JSON")?;
    output::print(&format!("{line}\n"))
}
