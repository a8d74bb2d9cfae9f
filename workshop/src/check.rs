//! `cargo workshop check`: runs the checks and tells a person, or a program, what they found.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use colored::Colorize;
use nix::unistd::geteuid;
use serde::Serialize;

use crate::checks::{self, Bench, Check, Kind, Stage, Verdict};
use crate::container::Subject;
use crate::steps::{self, Step};
use crate::{output, project, rootfs, sudo};

/// The runtime that the steps lead to.
const FINAL: &str = "final";

/// What to check, and how to tell.
#[derive(Args)]
pub struct Options {
    /// An official step, as step05; all of them: all; or the runtime that they lead to: final
    #[arg(required_unless_present = "bin", conflicts_with = "bin")]
    what: Option<String>,
    /// Any other binary that runs containers
    #[arg(long, value_name = "PATH", requires = "step")]
    bin: Option<PathBuf>,
    /// The step that the other binary is to be checked as
    #[arg(long, value_name = "STEP", requires = "bin", value_parser = Step::find)]
    step: Option<&'static Step>,
    /// What comes before COMMAND on the other binary's command line
    #[arg(last = true, value_name = "WORDS", default_value = "run", requires = "bin")]
    words: Vec<OsString>,
    /// The root filesystem for the containers, of which they get a copy [default: rootfs/]; final
    /// has its image, host
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// Tells it in JSON: a list with an object for every check
    #[arg(long)]
    json: bool,
    /// Everything has been built already, by the user who asked sudo for root
    #[arg(long, hide = true)]
    built: bool,
}

/// A binary, and what it must be as good as.
struct Candidate {
    stage: Stage,
    title: String,
    package: &'static str,
    subject: Subject,
}

/// One check's verdict on one binary.
#[derive(Serialize)]
struct Report {
    #[serde(rename = "step")]
    stage: Stage,
    check: &'static str,
    title: &'static str,
    since: Stage,
    kind: Kind,
    #[serde(flatten)]
    verdict: Verdict,
    by_hand: String,
}

/// Runs the checks. The exit status is 0 if everything holds.
pub fn check(options: &Options) -> Result<ExitCode> {
    let candidates = candidates(options)?;
    if !geteuid().is_root() {
        return Err(sudo::again(&["--built"]));
    }
    let mut reports = Vec::new();
    for candidate in &candidates {
        if !options.json {
            output::print(&format!("{}\n", heading(candidate).bold()))?;
        }
        let bench = bench(candidate, options)?;
        for check in checks::valid_at(candidate.stage) {
            let report = report(check, candidate, &bench)?;
            if !options.json {
                output::print(&describe(&report))?;
            }
            reports.push(report);
        }
    }
    let red = reports.iter().filter(|report| !report.verdict.holds).count();
    let text = if options.json {
        serde_json::to_string_pretty(&reports).context("cannot write JSON")?
    } else {
        let not_run = candidates.iter().filter(|it| it.stage == Stage::Final);
        let not_run = not_run.flat_map(|_| checks::of_steps_alone()).count();
        [hint(&reports)?, summary(reports.len(), red, not_run)].concat()
    };
    output::print(&format!("{text}\n"))?;
    Ok(if red == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder in which the containers of a candidate start.
fn bench(candidate: &Candidate, options: &Options) -> Result<Bench> {
    if candidate.stage == Stage::Final {
        return Bench::with_image(&candidate.subject);
    }
    let rootfs = match &options.rootfs {
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

/// The first hint for the first step whose own checks do not hold.
fn hint(reports: &[Report]) -> Result<String> {
    let is_stuck = |report: &&Report| {
        !report.verdict.holds && report.kind == Kind::New && report.since == report.stage
    };
    let Some(Stage::Step(number)) = reports.iter().find(is_stuck).map(|report| report.stage) else {
        return Ok(String::new());
    };
    let hint = Step::find(&number.to_string())?.hints.first();
    Ok(hint.map(|hint| format!("{} {hint}\n", "A hint:".bold())).unwrap_or_default())
}

/// The binaries to check; the official ones are built first.
fn candidates(options: &Options) -> Result<Vec<Candidate>> {
    if let (Some(bin), Some(step)) = (&options.bin, options.step) {
        let binary =
            bin.canonicalize().with_context(|| format!("cannot find {}", bin.display()))?;
        return Ok(vec![of_step(step, Subject { binary, words: options.words.clone() })]);
    }
    let folder = project::binaries()?;
    let official = |step: &'static Step| of_step(step, Subject::step(folder.join(&step.package)));
    let what = options.what.as_deref().unwrap_or("all");
    let candidates: Vec<Candidate> = match what {
        "all" => steps::all()?.iter().map(official).collect(),
        FINAL => vec![of_final(&folder, options)?],
        _ if what.starts_with("step") => vec![official(Step::find(what)?)],
        _ => {
            let step = Step::find(what)?;
            bail!(
                "{what} alone stands for a container of your own, in a crate called mine, and there is none. \
                 To check the official step: cargo workshop check {}",
                step.package
            );
        }
    };
    if !options.built {
        project::build(&candidates.iter().map(|it| it.package).collect::<Vec<_>>())?;
    }
    Ok(candidates)
}

fn of_step(step: &'static Step, subject: Subject) -> Candidate {
    let title = format!("step {:02}, {}", step.number, step.title);
    Candidate { stage: Stage::Step(step.number), title, package: &step.package, subject }
}

fn of_final(folder: &Path, options: &Options) -> Result<Candidate> {
    if options.rootfs.is_some() {
        bail!("cannot use --rootfs with final: its containers start from its own image, host");
    }
    let subject = Subject::runtime(folder.join(FINAL));
    Ok(Candidate {
        stage: Stage::Final,
        title: "the whole runtime".into(),
        package: FINAL,
        subject,
    })
}

fn report(check: &'static Check, candidate: &Candidate, bench: &Bench) -> Result<Report> {
    Ok(Report {
        stage: candidate.stage,
        check: check.name,
        title: check.title,
        since: check.since,
        kind: check.kind,
        verdict: check.run(bench, &candidate.subject)?,
        by_hand: by_hand(check, candidate),
    })
}

/// What a person types to see it.
fn by_hand(check: &Check, candidate: &Candidate) -> String {
    let text = match candidate.stage {
        Stage::Step(_) => check.by_hand.replace("ROOTFS", rootfs::NAME),
        Stage::Final => check
            .by_hand
            .replace("stepNN run", "final -- run --rm -i --pids-limit 20 host")
            .replace("ROOTFS", "/var/lib/containers-from-scratch/layers/host"),
    };
    text.replace("stepNN", candidate.package)
}

fn heading(candidate: &Candidate) -> String {
    format!("{} as {}", candidate.subject.binary.display(), candidate.title)
}

/// A tick and the title; under a cross, why.
fn describe(report: &Report) -> String {
    let new = report.kind == Kind::New && report.since == report.stage;
    let title = format!("{}{}", report.title, if new { " (new)" } else { "" });
    // In a column as wide as the widest.
    let since =
        format!("{:<width$}", report.since.to_string(), width = report.stage.to_string().len());
    let verdict = &report.verdict;
    if verdict.holds {
        return format!("  {} {since} {title}\n", "✓".green().bold());
    }
    let line = |label: &str, text: &str| format!("         {:<16}{text}\n", label.bold());
    [
        format!("  {} {since} {title}\n", "✗".red().bold()),
        line("expected", &verdict.expected),
        line("the kernel says", &verdict.found),
        line("that means", &verdict.meaning),
        line("see it by hand", &report.by_hand),
    ]
    .concat()
}

fn summary(all: usize, red: usize, not_run: usize) -> String {
    let verdict = match red {
        0 => format!("{all} checks, all hold").green().bold(),
        _ => format!("{all} checks, {red} do not hold").red().bold(),
    };
    match not_run {
        0 => verdict.to_string(),
        _ => format!("{not_run} checks are about how the steps do it, and not run\n{verdict}"),
    }
}
