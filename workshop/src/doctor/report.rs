//! What the doctor found, for people and for programs.

use std::collections::HashSet;

use anyhow::{Context, Result};
use colored::{Color, ColoredString, Colorize};
use nix::unistd::geteuid;
use serde::Serialize;

use super::cures::{Cures, Family};
use super::needs::Need;
use super::tries::{Finding, Status};
use crate::checks::Stage;
use crate::{output, steps, terminal};

type Found = [(Need, Finding)];

/// The needs, from the first of a group on.
const GROUPS: [(Need, &str); 5] = [
    (Need::Kernel, "The machine"),
    (Need::Uts, "Namespaces"),
    (Need::Rootfs, "Files"),
    (Need::Pids, "Limits"),
    (Need::Bridge, "Network and programs"),
];

/// A line for each need, under those that are not well what to do, and the verdict.
pub(super) fn text(found: &Found, stage: Option<Stage>) -> Result<String> {
    let (family, width) = (Family::here(), terminal::text_width());
    let mut text =
        format!("  {:<10} {:<5} {}\n", "", "since", "need: what was seen").dimmed().to_string();
    let (mut group, mut told) = ("", HashSet::new());
    for (need, finding) in found {
        let heading = GROUPS.iter().rev().find(|(first, _)| first <= need).map_or("", |it| it.1);
        if heading != group {
            text += &format!("{}\n", heading.bold());
            group = heading;
        }
        text += &line(*need, finding, stage, width)?;
        let cures = cures(*need, finding).lines(family);
        // Many have one cause, and then one cure will do for all.
        if finding.status != Status::Works && told.insert(cures.clone()) {
            text += &format!("      {}\n", wrapped(need.facts().what, 6, width));
            for cure in cures {
                // Left for the terminal to break: it is copied.
                text += &format!("      {} {cure}\n", "mend it:".bold());
            }
        }
    }
    let (verdict, colour) = verdict(found, stage);
    text += &format!("\n{}\n", wrapped(&verdict, 0, width).color(colour).bold());
    Ok(text)
}

/// `  ✓ works     03    UTS namespace: created`
fn line(need: Need, finding: &Finding, stage: Option<Stage>, width: usize) -> Result<String> {
    let mark = match finding.status {
        Status::Works => "✓ works   ".green(),
        Status::Degraded => "~ degraded".yellow(),
        Status::Cannot => "✗ cannot  ".red(),
    };
    let since = who(need, stage)?;
    let text = format!("{}: {}", need.facts().label, finding.seen);
    Ok(format!("  {} {since:<5} {}\n", mark.bold(), wrapped(&text, 19, width)))
}

/// A text that begins in a column, with its other lines below.
fn wrapped(text: &str, column: usize, width: usize) -> String {
    output::wrap(text, width.saturating_sub(column)).join(&format!("\n{:column$}", ""))
}

/// The first who needs it.
fn who(need: Need, asked: Option<Stage>) -> Result<String> {
    let only_checks = match asked {
        Some(stage) => !steps::needs(stage)?.contains(&need),
        None => false,
    };
    let first = need.stages()?.first().filter(|_| !only_checks).map(Stage::to_string);
    Ok(first.unwrap_or("check".into()))
}

fn cures(need: Need, finding: &Finding) -> Cures {
    finding.cures.clone().unwrap_or(need.facts().cures.clone())
}

fn verdict(found: &Found, stage: Option<Stage>) -> (String, Color) {
    let whose = match stage {
        None => "the steps and final need".to_string(),
        Some(Stage::Final) => "final needs".to_string(),
        Some(stage) => format!("step {stage} needs"),
    };
    let (missing, degraded) = (labels(found, Status::Cannot), labels(found, Status::Degraded));
    match (missing.as_str(), degraded.as_str()) {
        ("", "") => (format!("All that {whose} is here"), Color::Green),
        ("", degraded) => {
            (format!("Nothing that {whose} is missing, but degraded: {degraded}"), Color::Yellow)
        }
        (missing, _) => (format!("Not all that {whose} is to be had: {missing}"), Color::Red),
    }
}

/// The same for the ten steps, in a few words.
pub(super) fn verdict_in_short(found: &Found) -> ColoredString {
    match labels(found, Status::Cannot).as_str() {
        "" if geteuid().is_root() => "all that the ten steps need is here".green(),
        "" => "all that the ten steps need is here, as far as it shows without root".green(),
        missing => format!("missing: {missing}. What to do: cargo workshop doctor").red(),
    }
}

fn labels(found: &Found, status: Status) -> String {
    let labels = found.iter().filter(|(_, finding)| finding.status == status);
    let labels: Vec<&str> = labels.map(|(need, _)| need.facts().label).collect();
    match labels.as_slice() {
        [first, second, third, more @ ..] if !more.is_empty() => {
            format!("{first}, {second}, {third} and {} more", more.len())
        }
        few => few.join(", "),
    }
}

/// A need, as JSON has it.
#[derive(Serialize)]
struct Entry<'a> {
    need: Need,
    status: Status,
    seen: &'a str,
    since: Option<Stage>,
    steps: Vec<Stage>,
    /// Whether the checks need it, at whatever step
    checks: bool,
    cures: Cures,
}

/// A list with an object for every need.
pub(super) fn json(found: &Found) -> Result<String> {
    let mut entries = Vec::new();
    for (need, finding) in found {
        let steps = need.stages()?;
        entries.push(Entry {
            need: *need,
            status: finding.status,
            seen: &finding.seen,
            since: steps.first().copied(),
            steps,
            checks: steps::needs_of_checks()?.contains(need),
            cures: cures(*need, finding),
        });
    }
    let text = serde_json::to_string_pretty(&entries).context("cannot write JSON")?;
    Ok(format!("{text}\n"))
}
