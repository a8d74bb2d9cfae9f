//! Medians, ratios and targets, for people and for programs.

use std::fmt::Write;
use std::fs;
use std::thread;

use anyhow::{Context, Result};
use colored::Colorize;
use serde::Serialize;

use super::contestants::{Contestant, Does};
use super::measure::{Findings, Missing, Times};
use crate::doctor;

/// At most so much of another's time; not for every pair there is a target.
const PAIRS: [(Contestant, Contestant, Option<f64>); 7] = [
    (Contestant::Final, Contestant::CrunLimits, Some(0.7)),
    (Contestant::Final, Contestant::Bwrap, None),
    (Contestant::Final, Contestant::Podman, Some(0.02)),
    (Contestant::FinalNone, Contestant::Crun, Some(0.5)),
    (Contestant::FinalNone, Contestant::Runc, None),
    (Contestant::FinalNone, Contestant::Bwrap, Some(1.0)),
    (Contestant::FinalNone, Contestant::Unshare, None),
];

const MEBIBYTE: u64 = 1 << 20;

/// What is told.
#[derive(Serialize)]
pub(super) struct Report {
    machine: String,
    processors: usize,
    /// How many processes wanted a processor in the last minute (proc_loadavg(5))
    load: f64,
    runs: u32,
    contestants: Vec<Row>,
    missing: Vec<Missing>,
    ratios: Vec<Ratio>,
    supervisor_private_bytes: Option<Size>,
    binary_bytes: Size,
}

#[derive(Serialize)]
struct Row {
    version: Option<String>,
    does: Does,
    /// The medians, in milliseconds
    hot_ms: f64,
    cold_ms: f64,
    /// Nothing if most runs left something
    clean_ms: Option<f64>,
    /// Every single run
    times: Times,
}

/// How much of another's time it takes, by the medians.
#[derive(Serialize)]
struct Ratio {
    of: Contestant,
    to: Contestant,
    hot: f64,
    cold: f64,
    at_most: Option<f64>,
    met: Option<bool>,
}

#[derive(Serialize)]
struct Size {
    is: u64,
    at_most: u64,
    met: bool,
}

impl Report {
    pub(super) fn new(found: Findings, runs: u32, binary: u64) -> Result<Self> {
        let contestants: Vec<_> = found.results.into_iter().map(Row::new).collect();
        let row = |name| contestants.iter().find(|row| row.times.name == name);
        let ratio = |(of, to, at_most): (Contestant, Contestant, Option<f64>)| {
            let (one, other) = (row(of)?, row(to)?);
            let (hot, cold) = (one.hot_ms / other.hot_ms, one.cold_ms / other.cold_ms);
            let met = at_most.map(|most| hot <= most && cold <= most);
            Some(Ratio { of, to, hot, cold, at_most, met })
        };
        let ratios = PAIRS.into_iter().filter_map(ratio).collect();
        Ok(Self {
            machine: doctor::describe()?,
            processors: thread::available_parallelism().map_or(1, usize::from),
            load: load()?,
            runs,
            contestants,
            missing: found.missing,
            ratios,
            supervisor_private_bytes: found.supervisor.map(|is| Size::new(is, MEBIBYTE)),
            binary_bytes: Size::new(binary, 3 * MEBIBYTE),
        })
    }

    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self).context("cannot write JSON")? + "\n")
    }

    /// At most 80 columns.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "{}, {} processors\n", self.machine, self.processors)?;
        let heading = format!(
            "{:<11}{:>14}{:>7}   name-\n{:<11}{:>7}{:>7}{:>7}  spaces  overlay  veth  cgroup  \
             limits  seccomp",
            "", "to the exit", "to a", "ms, medians", "hot", "cold", "clean"
        );
        writeln!(out, "{}", heading.bold())?;
        for row in &self.contestants {
            row.write(out)?;
        }
        writeln!(out)?;
        self.write_ratios(out)?;
        if let Some(size) = &self.supervisor_private_bytes {
            size.write(out, "the supervisor's private memory")?;
        }
        self.binary_bytes.write(out, "the size of final")?;
        self.write_notes(out)
    }

    fn write_ratios(&self, out: &mut String) -> std::fmt::Result {
        if self.ratios.is_empty() {
            return Ok(());
        }
        writeln!(out, "{}", format!("{:<24}{:>8}{:>8}  target", "ratio", "hot", "cold").bold())?;
        for ratio in &self.ratios {
            let pair = format!("{} / {}", ratio.of.name(), ratio.to.name());
            write!(out, "{pair:<24}{:>8.3}{:>8.3}", ratio.hot, ratio.cold)?;
            if let (Some(most), Some(met)) = (ratio.at_most, ratio.met) {
                write!(out, "  at most {most:.2}: {}", verdict(met))?;
                if !met && (ratio.hot <= most || ratio.cold <= most) {
                    write!(out, " {}", if ratio.hot <= most { "cold" } else { "hot" })?;
                }
            }
            writeln!(out)?;
        }
        writeln!(out)
    }

    fn write_notes(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out)?;
        if self.load > self.processors as f64 {
            let busy = "The machine was busy with other things".yellow();
            writeln!(out, "{busy} (load {:.1}): these figures say little.", self.load)?;
        }
        for missing in &self.missing {
            writeln!(out, "{} {}: {}", "not measured".yellow(), missing.name.name(), missing.why)?;
        }
        let runs = |count: fn(&Times) -> usize| {
            self.contestants.first().map_or(0, |row| count(&row.times))
        };
        writeln!(
            out,
            "{} runs each hot, {} cold, {} until the host is clean. The limits are 256 MiB\n\
             of memory, one processor and 64 processes.",
            runs(|times| times.hot.len()),
            runs(|times| times.cold.len()),
            runs(|times| times.clean.len()),
        )?;
        let mut versions: Vec<String> = Vec::new();
        for row in &self.contestants {
            let program = row.times.name.name().trim_end_matches("-limits");
            versions.extend(row.version.iter().map(|version| format!("{program} {version}")));
        }
        versions.dedup();
        if !versions.is_empty() {
            writeln!(out, "Beside: {}.", versions.join(", "))?;
        }
        if self.contestants.iter().any(|row| row.times.name == Contestant::Bwrap) {
            writeln!(out, "bwrap's seventh namespace is a user namespace (--unshare-all).")?;
        }
        if self.machine.contains("cgroup v1") {
            writeln!(
                out,
                "They see the v1 cgroups alone: with v2 beside them crun refuses to run."
            )?;
        }
        Ok(())
    }
}

fn load() -> Result<f64> {
    let file = "/proc/loadavg";
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let first = text.split_whitespace().next().and_then(|load| load.parse().ok());
    first.with_context(|| format!("cannot understand {file}"))
}

impl Row {
    fn new(times: Times) -> Self {
        let never = f64::INFINITY;
        let clean: Vec<_> = times.clean.iter().map(|run| run.unwrap_or(never)).collect();
        Self {
            version: times.name.version(),
            does: times.name.does(),
            hot_ms: median(&times.hot),
            cold_ms: median(&times.cold),
            clean_ms: Some(median(&clean)).filter(|it| it.is_finite()),
            times,
        }
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let clean = self.clean_ms.map_or("never".to_string(), |time| format!("{time:.1}"));
        let does = &self.does;
        let mark = |it| if it { "yes" } else { "-" };
        let line = format!(
            "{:<11}{:>7.1}{:>7.1}{clean:>7}  {:^6}  {:^7}  {:^4}  {:^6}  {:^6}  {:^7}",
            self.times.name.name(),
            self.hot_ms,
            self.cold_ms,
            does.namespaces,
            mark(does.overlay),
            mark(does.veth),
            mark(does.cgroup),
            mark(does.limits),
            mark(does.seccomp),
        );
        writeln!(out, "{}", line.trim_end())
    }
}

impl Size {
    fn new(is: u64, at_most: u64) -> Self {
        Self { is, at_most, met: is <= at_most }
    }

    fn write(&self, out: &mut String, what: &str) -> std::fmt::Result {
        let mebibytes = |bytes: u64| bytes as f64 / MEBIBYTE as f64;
        let (is, most) = (mebibytes(self.is), mebibytes(self.at_most));
        writeln!(out, "{what:<32}{is:>5.2} MiB  at most {most:.0} MiB: {}", verdict(self.met))
    }
}

fn verdict(met: bool) -> colored::ColoredString {
    if met { "met".green().bold() } else { "missed".red().bold() }
}

/// The one in the middle, or between the two there.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (count, middle) if count % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        (_, middle) => sorted[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
        assert_eq!(median(&[7.0]), 7.0);
    }
}
