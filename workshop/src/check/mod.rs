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
use crate::{checks, mine, output, project, rootfs};
use checker::Part;
pub(crate) use report::Bar;
pub use report::Report;
use report::Tally;

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
    #[arg(long, hide = true, value_enum)]
    part: Option<Part>,
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
struct Candidate {
    stage: Stage,
    title: String,
    package: String,
    subject: Subject,
}

/// Does what the command line asks for.
pub fn check(options: &Options) -> Result<ExitCode> {
    if let Some(part) = options.part {
        return part.play(&options.target);
    }
    if options.watch {
        return watch::watch(own_step(&options.target)?);
    }
    if !options.built {
        build(&options.target)?;
    }
    if options.json {
        let mut reports = Vec::new();
        checker::perform(&options.target, |report| {
            reports.push(report);
            Ok(())
        })?;
        let text = serde_json::to_string_pretty(&reports).context("cannot write JSON")?;
        output::print(&format!("{text}\n"))?;
        return Ok(Tally::of(reports).exit_code());
    }
    if let Ok(step) = own_step(&options.target) {
        let target = Target { what: Some(format!("{:02}", step.number)), ..options.target.clone() };
        return Ok(own(step, &target, Detail::All)?.exit_code());
    }
    let tally = show(&options.target, Detail::All)?;
    output::print(&tally.summary())?;
    Ok(tally.exit_code())
}

/// The step that the attendee's own container is to be checked as.
fn own_step(target: &Target) -> Result<&'static Step> {
    match target.what.as_deref() {
        Some(name) if name.starts_with("step") || ["all", FINAL].contains(&name) => {
            bail!("{name} is not yours. Name a step as 05 or pid")
        }
        Some(name) => Step::find(name),
        None if target.bin.is_some() => bail!("{NO_STEP}"),
        None => Progress::read(&project::root()?)?.current().context(NO_STEP),
    }
}

const NO_STEP: &str = "you have not begun yet. The first step: cargo workshop start 01";

/// Checks the attendee's container, and notes how far it is.
fn own(step: &'static Step, target: &Target, detail: Detail) -> Result<Tally> {
    if target.rootfs.is_none() {
        rootfs::make_if_missing()?;
    }
    let tally = show(target, detail)?;
    let mut progress = Progress::read(&project::root()?)?;
    progress.checked(step, tally.red().map(str::to_string).collect(), tally.skipped() == 0)?;
    output::print(&tally.summary())?;
    // Whoever watches has a key for it.
    if detail == Detail::All || tally.red().next().is_none() {
        output::print(&report::what_next(step, &tally)?)?;
    }
    Ok(tally)
}

/// Runs the checks and shows each verdict as it comes.
fn show(target: &Target, detail: Detail) -> Result<Tally> {
    let candidates = candidates(target)?;
    let mut plan: Vec<(&Candidate, &Check)> = Vec::new();
    for candidate in &candidates {
        plan.extend(checks::valid_at(candidate.stage).map(|check| (candidate, check)));
    }
    let bar = Bar::new(plan.len());
    let mut tally = Tally::of(Vec::new());
    let mut shown = None;
    checker::perform(target, |report| {
        let (candidate, _) = plan.get(tally.count()).context("a verdict that nobody asked for")?;
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
        bar.print(&text)?;
        bar.now(plan.get(tally.count()).map(|(_, check)| *check));
        Ok(())
    })?;
    Ok(tally)
}

/// What the command line names.
fn candidates(target: &Target) -> Result<Vec<Candidate>> {
    let folder = project::binaries()?;
    let official = |step: &'static Step| of_step(step, Subject::step(folder.join(&step.package)));
    Ok(match target.what.as_deref() {
        Some("all") => steps::all()?.iter().map(official).collect(),
        Some(FINAL) => vec![of_final(&folder, target)?],
        Some(what) if what.starts_with("step") => vec![official(Step::find(what)?)],
        _ => match (&target.bin, target.step) {
            (Some(path), Some(step)) => vec![other(path, step, &target.words)?],
            _ => {
                let subject = Subject::step(folder.join(mine::NAME));
                vec![Candidate {
                    package: mine::NAME.into(),
                    ..of_step(own_step(target)?, subject)
                }]
            }
        },
    })
}

fn of_step(step: &'static Step, subject: Subject) -> Candidate {
    let title = format!("step {:02}, {}", step.number, step.title);
    Candidate { stage: Stage::Step(step.number), title, package: step.package.clone(), subject }
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
    Ok(Candidate { stage: Stage::Final, title, package, subject })
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
