//! `cargo workshop check`: runs the checks and tells a person, or a program, what they found.

pub mod checker;
mod report;
mod watch;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use colored::Colorize;

use crate::checks::{Bench, Check, Stage};
use crate::container::Subject;
use crate::progress::Progress;
use crate::steps::{self, Step};
use crate::{mine, output, project, rootfs};
use checker::Job;
pub use report::Report;
use report::{Bar, Tally};

/// What somebody calls all the steps.
pub(crate) const ALL: &str = "all";
/// The runtime that the steps lead to.
const FINAL: &str = "final";

/// Nothing is wrong, as far as this machine can tell: not everything could be checked on it.
const SKIPPED: u8 = 3;

/// Checks a container with evidence from the kernel: yours, or an official one
///
/// Yours is built first, as you; the checks run as root, in a cage that plays the host. The exit
/// status is 0 if all hold, 1 if one does not or it cannot be built, 3 if some were skipped, since
/// this machine lacks what they need.
#[derive(Args)]
#[command(after_help = "Examples:
  cargo workshop check                 yours, as the step that you are at
  cargo workshop check 05 --watch      again whenever you save
  cargo workshop check step05          the official step 05
  cargo workshop check all --json
  cargo workshop check --bin ./tiny --step 05 -- run --quiet")]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// Checks yours again whenever a file of it changes; h, d, n and q do what they say there
    #[arg(long, conflicts_with_all = ["bin", "json", "rootfs"])]
    watch: bool,
    /// Tells it in JSON: a list with an object for every check
    #[arg(long)]
    json: bool,
    /// Everything has been built already, outside of this virtual machine
    #[arg(long, hide = true)]
    built: bool,
}

/// What to check.
#[derive(Args, Clone, Debug, Default)]
pub struct Target {
    /// A step by its number or title, as 05 or pid: yours as that step [default: the one that you
    /// are at]. As step05: the official one. All of these: all. The runtime they lead to: final
    #[arg(conflicts_with = "bin")]
    pub what: Option<String>,
    /// Any other binary that runs containers
    #[arg(long, value_name = "PATH", requires = "step")]
    pub bin: Option<PathBuf>,
    /// The step that the other binary is to be checked as
    #[arg(long, value_name = "STEP", requires = "bin", value_parser = Step::find)]
    pub step: Option<&'static Step>,
    /// What comes before COMMAND on the other binary's command line [default: run]
    #[arg(last = true, value_name = "WORDS", requires = "bin")]
    pub words: Vec<OsString>,
    /// The root filesystem for the containers, of which they get a copy [default: rootfs/]; final
    /// has its image, host
    #[arg(long, value_name = "DIR")]
    pub rootfs: Option<PathBuf>,
}

/// Which verdicts are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    All,
    /// Only those that do not hold
    Brief,
}

/// A binary, and what it must be as good as.
pub(crate) struct Candidate {
    stage: Stage,
    title: String,
    package: String,
    subject: Subject,
    /// The check that proves it in one line
    proof: Option<&'static str>,
}

/// Does what the command line asks for.
pub fn check(options: &Options) -> Result<ExitCode> {
    let target = &options.target;
    let own_step = own_step(target)?;
    if options.watch {
        return watch::watch(
            own_step.context("only yours can be watched: name a step as 05 or pid")?,
        );
    }
    if !options.built {
        build(target)?;
    }
    let tally = match own_step {
        _ if options.json => in_json(target, own_step)?,
        Some(step) => own(step, target, Detail::All)?,
        None => {
            let tally = show(target, Detail::All)?;
            output::print(&tally.summary())?;
            tally
        }
    };
    Ok(tally.exit_code())
}

fn in_json(target: &Target, own: Option<&Step>) -> Result<Tally> {
    let mut reports = Vec::new();
    checker::perform(&Job::all(target), |report| {
        reports.push(report);
        Ok(())
    })?;
    let text = serde_json::to_string_pretty(&reports).context("cannot write JSON")?;
    output::print(&format!("{text}\n"))?;
    let tally = Tally::of(reports);
    if let Some(step) = own {
        note(step, &tally)?;
    }
    Ok(tally)
}

/// The step that the attendee's own container is to be checked as, if it is what is named.
fn own_step(target: &Target) -> Result<Option<&'static Step>> {
    match target.what.as_deref() {
        Some(name) if name.starts_with("step") || [ALL, FINAL].contains(&name) => Ok(None),
        Some(name) => Step::find(name).map(Some),
        None if target.bin.is_some() => Ok(None),
        None => Progress::read(&project::root()?)?.at().map(Some),
    }
}

/// Checks the attendee's container, and notes how far it is.
fn own(step: &'static Step, target: &Target, detail: Detail) -> Result<Tally> {
    if target.rootfs.is_none() {
        rootfs::make_if_missing()?;
    }
    let tally = show(target, detail)?;
    note(step, &tally)?;
    output::print(&tally.summary())?;
    // Whoever watches has a key for it.
    if detail == Detail::All || tally.red().next().is_none() {
        output::print(&report::what_next(step, &tally)?)?;
    }
    Ok(tally)
}

fn note(step: &Step, tally: &Tally) -> Result<()> {
    let mut progress = Progress::read(&project::root()?)?;
    progress.checked(step, tally.red().map(str::to_string).collect(), tally.skipped() == 0)
}

/// Runs the checks and shows each verdict as it comes.
fn show(target: &Target, detail: Detail) -> Result<Tally> {
    let mut tally = Tally::of(Vec::new());
    let mut shown = None;
    verdicts(&Job::all(target), |report, candidate| {
        let heading = report::heading(candidate);
        let mut text = String::new();
        if shown.as_ref() != Some(&heading) {
            text += &format!("{}\n", heading.bold());
            shown = Some(heading);
        }
        if detail == Detail::All || !report.verdict.holds {
            text += &tally.describe(&report);
        }
        tally.add(report);
        Ok(text)
    })?;
    Ok(tally)
}

/// Runs the checks with a bar that tells which, and prints what `describe` says of each verdict.
pub(crate) fn verdicts(
    job: &Job,
    mut describe: impl FnMut(Report, &Candidate) -> Result<String>,
) -> Result<()> {
    let candidates = candidates(&job.target)?;
    let plan: Vec<(&Candidate, &Check)> = candidates
        .iter()
        .flat_map(|candidate| job.checks(candidate).into_iter().map(move |it| (candidate, it)))
        .collect();
    let bar = Bar::new(plan.len());
    let mut plan = plan.into_iter().peekable();
    checker::perform(job, |report| {
        let (candidate, _) = plan.next().context("a verdict that nobody asked for")?;
        bar.print(&describe(report, candidate)?)?;
        bar.now(plan.peek().map(|(_, check)| *check));
        Ok(())
    })
}

/// What the command line names.
fn candidates(target: &Target) -> Result<Vec<Candidate>> {
    let folder = project::binaries()?;
    let official = |step: &'static Step| of_step(step, Subject::step(folder.join(&step.package)));
    Ok(match target.what.as_deref() {
        Some(ALL) => steps::all()?.iter().map(official).collect(),
        Some(FINAL) => vec![of_final(&folder, target)?],
        Some(what) if what.starts_with("step") => vec![official(Step::find(what)?)],
        _ => match (&target.bin, target.step) {
            (Some(path), Some(step)) => vec![other(path, step, &target.words)?],
            _ => {
                let step = own_step(target)?.context("there is nothing to check")?;
                let subject = Subject::step(folder.join(mine::NAME));
                vec![Candidate { package: mine::NAME.into(), ..of_step(step, subject) }]
            }
        },
    })
}

fn of_step(step: &'static Step, subject: Subject) -> Candidate {
    let title = format!("step {:02}, {}", step.number, step.title);
    let (stage, package) = (Stage::Step(step.number), step.package.clone());
    Candidate { stage, title, package, subject, proof: Some(&step.proof) }
}

/// A program that somebody else made.
fn other(path: &Path, step: &'static Step, words: &[OsString]) -> Result<Candidate> {
    let binary =
        std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))?;
    if !binary.is_file() {
        bail!("cannot find the program {}", binary.display());
    }
    let words = if words.is_empty() { vec!["run".into()] } else { words.to_vec() };
    Ok(of_step(step, Subject { binary, words }))
}

fn of_final(folder: &Path, target: &Target) -> Result<Candidate> {
    if target.rootfs.is_some() {
        bail!("cannot use --rootfs with final: its containers start from its own image, host");
    }
    let subject = Subject::runtime(folder.join(FINAL));
    let (title, package) = ("the whole runtime".into(), FINAL.into());
    Ok(Candidate { stage: Stage::Final, title, package, subject, proof: None })
}

/// Builds what is of this workspace, as the user.
fn build(target: &Target) -> Result<()> {
    let candidates = candidates(target)?;
    if candidates.iter().any(|it| it.package == mine::NAME) {
        return mine::build(&project::root()?).map(|_| ());
    }
    if target.bin.is_some() {
        return Ok(());
    }
    project::build(&candidates.iter().map(|it| it.package.as_str()).collect::<Vec<_>>())
}

/// The folder in which the containers of a candidate start.
fn bench(candidate: &Candidate, target: &Target) -> Result<Bench> {
    if candidate.stage == Stage::Final {
        return Bench::with_image(&candidate.subject);
    }
    let rootfs = match &target.rootfs {
        Some(folder) => folder.clone(),
        None => project::root()?.join(rootfs::NAME),
    };
    if !rootfs.join("bin").is_dir() {
        bail!(
            "cannot find a root filesystem in {}. Make it: cargo workshop rootfs",
            rootfs.display()
        );
    }
    Bench::new(&rootfs)
}

fn by_hand(check: &Check, candidate: &Candidate) -> String {
    let text = match candidate.stage {
        Stage::Step(_) => check.by_hand.replace("ROOTFS", rootfs::NAME),
        Stage::Final => check
            .by_hand
            .replace("stepNN run", "final -- run --rm -i --pids-limit 20 host")
            .replace("ROOTFS", "/var/lib/containers-from-scratch/layers/host"),
    };
    match candidate.package.as_str() {
        mine::NAME => text.replace("cargo run -p stepNN", "cargo mine"),
        package => text.replace("stepNN", package),
    }
}
