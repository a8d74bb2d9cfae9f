//! The part of the measurement that runs on the stage.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::contestants::{Contestant, Place};
use super::picture::Picture;
use super::stage;
use crate::{kernel, output};

/// What all of them run.
pub(super) const COMMAND: [&str; 1] = ["/bin/true"];

/// So long the machine rests before a cold run. In a tight loop the kernel's waits for all
/// processors (RCU) overlap with the run before, and are not seen.
const REST: Duration = Duration::from_millis(700);

/// A host that is not clean by then will never be.
const PATIENCE: Duration = Duration::from_secs(10);

/// So often all contestants have their turn, so that what else the machine does hits them alike.
const ROUNDS: u32 = 3;

/// So many hot runs for each cold one, since they take no time.
const HOT: u32 = 4;

/// What is to be measured.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) place: Place,
    pub(super) contestants: Vec<Contestant>,
    pub(super) runs: u32,
    /// Cgroups to join
    pub(super) cgroups: Vec<PathBuf>,
}

/// What was found.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Findings {
    pub(super) results: Vec<Times>,
    pub(super) missing: Vec<Missing>,
    /// The private memory of the supervisor of a container, in bytes, if `final` was measured
    pub(super) supervisor: Option<u64>,
}

/// How long a contestant took, in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) name: Contestant,
    /// To the exit status, one run right after the other
    pub(super) hot: Vec<f64>,
    /// The same, with a rest before each
    pub(super) cold: Vec<f64>,
    /// To a clean host, with a rest before each; nothing for a run that left something
    pub(super) clean: Vec<Option<f64>>,
}

/// A contestant that cannot run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Missing {
    pub(super) name: Contestant,
    pub(super) why: String,
}

/// Measures what the plan, in JSON, asks for, and prints the findings in JSON.
pub(super) fn play(plan: &str) -> Result<ExitCode> {
    let plan: Plan = serde_json::from_str(plan).context("cannot understand the plan")?;
    set_pdeathsig(Signal::SIGKILL).context("cannot follow the parent")?;
    let own = stage::enter(&plan.cgroups, &plan.place.rootfs)?;
    // The parent holds them back, and hands that down.
    SigSet::empty().thread_set_mask().context("cannot let signals through")?;
    let mut findings = Findings::default();
    for name in plan.contestants.iter().copied() {
        match prepare(name, &plan.place) {
            Ok(()) => findings.results.push(Times {
                name,
                hot: Vec::new(),
                cold: Vec::new(),
                clean: Vec::new(),
            }),
            Err(error) => findings.missing.push(Missing { name, why: format!("{error:#}") }),
        }
    }
    measure(&plan, &own, &mut findings);
    let is_final = |times: &Times| times.name == Contestant::Final;
    if findings.results.iter().any(is_final) {
        findings.supervisor = Some(supervisor(&plan.place)?);
    }
    output::print(&serde_json::to_string(&findings).context("cannot write JSON")?)?;
    Ok(ExitCode::SUCCESS)
}

/// Sees to it that a contestant can run, and that it does.
fn prepare(contestant: Contestant, place: &Place) -> Result<()> {
    if let Some(lack) = contestant.lacks() {
        bail!(lack);
    }
    if let Some(config) = contestant.bundle(place) {
        let folder = place.bundle(contestant);
        let made = fs::create_dir(&folder)
            .and_then(|()| fs::write(folder.join("config.json"), config.to_string()));
        made.with_context(|| format!("cannot write to {}", folder.display()))?;
    }
    // The first run may make what later ones find, and the second tells.
    for _ in 0..2 {
        let line = contestant.command(place, &COMMAND);
        let ran = run(&line).output().with_context(|| start_of(&line))?;
        if !ran.status.success() {
            let said = String::from_utf8_lossy(&ran.stderr);
            // Warnings come before.
            let last = said.lines().last().unwrap_or("it says nothing");
            bail!("it does not run here, {}: {last}", ran.status);
        }
    }
    Ok(())
}

/// Has everybody run. Who fails on the way is out.
fn measure(plan: &Plan, own: &Path, findings: &mut Findings) {
    let rounds = plan.runs.min(ROUNDS);
    let bar = progress(u64::from(rounds) * findings.results.len() as u64 * 3);
    for round in 0..rounds {
        let runs = plan.runs / rounds + u32::from(round < plan.runs % rounds);
        findings.results.retain_mut(|times| {
            let name = times.name;
            let begin = |what: &str| {
                let (number, name) = (round + 1, name.name());
                bar.set_message(format!("round {number} of {rounds}: {name}, {what}"));
                bar.inc(1);
            };
            let turn = turn(times, runs, own, &plan.place, begin);
            if let Err(error) = &turn {
                findings.missing.push(Missing { name, why: format!("{error:#}") });
            }
            turn.is_ok()
        });
    }
    bar.finish_and_clear();
}

/// A contestant's turn in a round.
fn turn(
    times: &mut Times,
    runs: u32,
    own: &Path,
    place: &Place,
    begin: impl Fn(&str),
) -> Result<()> {
    let line = times.name.command(place, &COMMAND);
    begin("hot");
    times.hot.extend(hyperfine(&line, HOT * runs, false, place)?);
    begin("cold");
    times.cold.extend(hyperfine(&line, runs, true, place)?);
    begin("until the host is clean");
    for _ in 0..runs.div_ceil(2) {
        times.clean.push(until_clean(&line, own, place)?);
    }
    Ok(())
}

/// A bar on stderr, if that is a terminal.
fn progress(length: u64) -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(length), target);
    if let Ok(style) = ProgressStyle::with_template("{msg:46} {wide_bar} {pos}/{len}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// The milliseconds until each run's exit status.
fn hyperfine(line: &[OsString], runs: u32, cold: bool, place: &Place) -> Result<Vec<f64>> {
    #[derive(Deserialize)]
    struct Export {
        results: Vec<Measured>,
    }
    #[derive(Deserialize)]
    struct Measured {
        times: Vec<f64>,
    }
    let export = place.folder.join("hyperfine.json");
    let mut hyperfine = Command::new("hyperfine");
    hyperfine.args(["--shell=none", "--style=none", "--runs", &runs.to_string()]);
    match cold {
        true => hyperfine.arg("--prepare").arg(format!("sleep {}", REST.as_secs_f64())),
        false => hyperfine.args(["--warmup", "1"]),
    };
    hyperfine.arg("--export-json").arg(&export).arg(output::line(line));
    let ran = hyperfine.output().context("cannot start hyperfine")?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        bail!("cannot measure {}: {}", shown(line), said.trim().replace('\n', " "));
    }
    let text = fs::read_to_string(&export).context("cannot read what hyperfine measured")?;
    let export: Export = serde_json::from_str(&text).context("hyperfine writes no such JSON")?;
    let seconds = export.results.into_iter().flat_map(|measured| measured.times);
    Ok(seconds.map(|seconds| seconds * 1e3).collect())
}

/// The milliseconds until nothing of a run is left.
fn until_clean(line: &[OsString], own: &Path, place: &Place) -> Result<Option<f64>> {
    sleep(REST);
    let before = Picture::take(own, &place.store());
    let start = Instant::now();
    let status = run(line).stderr(Stdio::null()).status().with_context(|| start_of(line))?;
    if !status.success() {
        bail!("cannot measure {}: {status}", shown(line));
    }
    loop {
        let passed = start.elapsed();
        if Picture::take(own, &place.store()) == before {
            return Ok(Some(passed.as_secs_f64() * 1e3));
        }
        if passed > PATIENCE {
            return Ok(None);
        }
        sleep(Duration::from_micros(100));
    }
}

/// What one more container costs in memory: the private memory of the process that stays with it,
/// in bytes, beside another one. Pages of the program file belong to both.
fn supervisor(place: &Place) -> Result<u64> {
    let line = Contestant::Final.command(place, &["/bin/sh", "-c", "echo up; exec sleep 3"]);
    let (mut first, mut second) = (until_up(&line)?, until_up(&line)?);
    let memory = kernel::read(Pid::from_raw(second.id().cast_signed()), "smaps_rollup");
    for container in [&mut first, &mut second] {
        container.wait().context("cannot wait for a container")?;
    }
    let kilobytes = |line: &str| -> Option<u64> {
        let value = line.strip_prefix("Private_")?.split_once(':')?.1;
        value.trim().strip_suffix(" kB")?.parse().ok()
    };
    let sum: u64 = memory?.lines().filter_map(kilobytes).sum();
    if sum == 0 {
        bail!("cannot see the memory of the supervisor of {}", shown(&line));
    }
    Ok(sum * 1024)
}

/// Starts a container and waits for its first word.
fn until_up(line: &[OsString]) -> Result<Child> {
    let mut container = run(line).stdout(Stdio::piped()).spawn().with_context(|| start_of(line))?;
    let mut said = String::new();
    if let Some(stdout) = container.stdout.take() {
        BufReader::new(stdout).read_line(&mut said).context("cannot read from a container")?;
    }
    if said != "up\n" {
        bail!("cannot measure {}: it did not start", shown(line));
    }
    Ok(container)
}

fn run(line: &[OsString]) -> Command {
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn shown(line: &[OsString]) -> String {
    line.join(OsStr::new(" ")).to_string_lossy().into_owned()
}

fn start_of(line: &[OsString]) -> String {
    format!("cannot start {}", shown(line))
}
