//! `cargo workshop check`: runs the checks and tells a person, or a program, what they found.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use colored::Colorize;
use nix::unistd::geteuid;
use serde::Serialize;

use crate::checks::{self, Bench, Check, Kind, Verdict};
use crate::container::Subject;
use crate::steps::{self, Step};
use crate::{output, project, rootfs, sudo};

/// What to check, and how to tell.
#[derive(Args)]
pub struct Options {
    /// An official step, as step05, or all of them: all
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
    /// The root filesystem for the containers, of which they get a copy [default: rootfs/]
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// Tells it in JSON: a list with an object for every check
    #[arg(long)]
    json: bool,
    /// Everything has been built already, by the user who asked sudo for root
    #[arg(long, hide = true)]
    built: bool,
}

/// A binary, and the step that it must be as good as.
struct Candidate {
    step: &'static Step,
    subject: Subject,
}

/// One check's verdict on one binary.
#[derive(Serialize)]
struct Report {
    step: u8,
    check: &'static str,
    title: &'static str,
    since: u8,
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
    let mut reports = Vec::new();
    for candidate in &candidates {
        if !options.json {
            output::print(&format!("{}\n", heading(candidate).bold()))?;
        }
        let bench = Bench::new(&rootfs)?;
        for check in checks::valid_at(candidate.step.number) {
            let report = report(check, candidate, &bench)?;
            if !options.json {
                output::print(&describe(&report))?;
            }
            reports.push(report);
        }
    }
    let red = reports.iter().filter(|report| !report.verdict.holds).count();
    // The first hint for the first step whose own checks do not hold.
    let is_stuck = |report: &&Report| {
        !report.verdict.holds && report.kind == Kind::New && report.since == report.step
    };
    if let (false, Some(report)) = (options.json, reports.iter().find(is_stuck)) {
        let step = Step::find(&report.step.to_string())?;
        if let Some(hint) = step.hints.first() {
            output::print(&format!("{} {hint}\n", "A hint:".bold()))?;
        }
    }
    let text = if options.json {
        serde_json::to_string_pretty(&reports).context("cannot write JSON")?
    } else {
        summary(reports.len(), red)
    };
    output::print(&format!("{text}\n"))?;
    Ok(if red == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The binaries to check; the official steps are built first.
fn candidates(options: &Options) -> Result<Vec<Candidate>> {
    if let (Some(bin), Some(step)) = (&options.bin, options.step) {
        let binary =
            bin.canonicalize().with_context(|| format!("cannot find {}", bin.display()))?;
        let subject = Subject { binary, words: options.words.clone() };
        return Ok(vec![Candidate { step, subject }]);
    }
    let what = options.what.as_deref().unwrap_or("all");
    let wanted: Vec<&'static Step> = if what == "all" {
        steps::all()?.iter().collect()
    } else if what.starts_with("step") {
        vec![Step::find(what)?]
    } else {
        let step = Step::find(what)?;
        bail!(
            "{what} alone stands for a container of your own, in a crate called mine, and there is none. \
             To check the official step: cargo workshop check {}",
            step.package
        );
    };
    if !options.built {
        project::build(&wanted.iter().map(|step| step.package.as_str()).collect::<Vec<_>>())?;
    }
    let folder = project::binaries()?;
    let candidate = |step: &'static Step| {
        let binary = folder.join(&step.package);
        Candidate { step, subject: Subject { binary, words: vec!["run".into()] } }
    };
    Ok(wanted.into_iter().map(candidate).collect())
}

fn report(check: &'static Check, candidate: &Candidate, bench: &Bench) -> Result<Report> {
    Ok(Report {
        step: candidate.step.number,
        check: check.name,
        title: check.title,
        since: check.since,
        kind: check.kind,
        verdict: check.run(bench, &candidate.subject)?,
        by_hand: check.by_hand.replace("stepNN", &candidate.step.package),
    })
}

fn heading(candidate: &Candidate) -> String {
    format!(
        "{} as step {:02}, {}",
        candidate.subject.binary.display(),
        candidate.step.number,
        candidate.step.title
    )
}

/// A tick and the title; under a cross, why.
fn describe(report: &Report) -> String {
    let new = if report.kind == Kind::New && report.since == report.step { " (new)" } else { "" };
    let title = format!("{}{new}", report.title);
    let verdict = &report.verdict;
    if verdict.holds {
        return format!("  {} {:02} {title}\n", "✓".green().bold(), report.since);
    }
    let line = |label: &str, text: &str| format!("         {:<16}{text}\n", label.bold());
    [
        format!("  {} {:02} {title}\n", "✗".red().bold(), report.since),
        line("expected", &verdict.expected),
        line("the kernel says", &verdict.found),
        line("that means", &verdict.meaning),
        line("see it by hand", &report.by_hand),
    ]
    .concat()
}

fn summary(all: usize, red: usize) -> String {
    match red {
        0 => format!("{}", format!("{all} checks, all hold").green().bold()),
        _ => format!("{}", format!("{all} checks, {red} do not hold").red().bold()),
    }
}
