//! `cargo workshop bench`: how long `final` takes to start a container, beside other runtimes.
//!
//! All of them run on a [`stage`], where this program, started anew, has them run in turn
//! ([`measure`]). What it found comes back in JSON, and [`report`] shows it.

mod bundle;
mod contestants;
mod measure;
mod picture;
mod report;
mod stage;

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, ExitCode};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use make_rootfs::{Interrupted, absolute};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::geteuid;

use crate::{output, project, rootfs, sudo};
use contestants::{Contestant, Place, find};
use measure::{Findings, Plan};
use stage::Stage;

/// Measures how fast `final` starts a container, beside other runtimes
///
/// Each runs /bin/true on the same root filesystem: one run right after the other (hot), with 0.7
/// seconds of rest before each (cold), and until nothing of it is left on the host. All have their
/// turn three times; what is told are medians. They run in a cage with a network, mounts and
/// cgroups of its own. Needs hyperfine; takes about a minute.
#[derive(Args)]
#[command(after_help = "Examples:
  cargo workshop bench
  cargo workshop bench --runs 20 --only final,crun-limits
  cargo workshop bench --json | jq .ratios")]
pub struct Options {
    /// How often each runs cold; four times as often hot, half as often until the host is clean
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Only these, with commas between them or one an option
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        value_delimiter = ',',
        hide_possible_values = false
    )]
    only: Vec<Contestant>,
    /// The root filesystem that they all run on [default: rootfs/]
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// Another build of `final` than the release build of this workspace
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
    /// Tells it in JSON, in milliseconds and bytes
    #[arg(long)]
    json: bool,
    /// `final` has been built already, by the user who asked sudo for root
    #[arg(long, hide = true)]
    built: bool,
}

/// Measures and tells. The exit status is 0 if it could be measured, whatever came out.
pub fn bench(options: &Options) -> Result<ExitCode> {
    if find("hyperfine").is_none() {
        bail!(
            "cannot measure: there is no hyperfine. Debian, Ubuntu: sudo apt install hyperfine; \
             Fedora: sudo dnf install hyperfine; Arch: sudo pacman -S hyperfine"
        );
    }
    let binary = match &options.bin {
        Some(path) => absolute(path)?,
        None => project::released_final()?,
    };
    if options.bin.is_none() && !options.built {
        project::build_final()?;
    }
    if !geteuid().is_root() {
        return Err(sudo::again(&["--built"]));
    }
    let rootfs = match &options.rootfs {
        Some(folder) => absolute(folder)?,
        None => project::root()?.join(rootfs::NAME),
    };
    if !rootfs.join("bin/true").exists() {
        bail!(
            "cannot find a root filesystem with /bin/true in {}. Make it: cargo workshop rootfs",
            rootfs.display()
        );
    }
    let size =
        fs::metadata(&binary).with_context(|| format!("cannot find {}", binary.display()))?.len();
    let before = hold_signals_back()?;
    let found = match on_stage(options, binary, rootfs) {
        Err(error) if error.is::<Interrupted>() => return stop(&error, &before),
        found => found?,
    };
    let _ = before.thread_set_mask();
    // Why there is nothing has been said.
    let Some(found) = found else { return Ok(ExitCode::FAILURE) };
    let report = report::Report::new(found, options.runs, size)?;
    output::print(&if options.json { report.json()? } else { report.table() })?;
    Ok(ExitCode::SUCCESS)
}

/// Plays the part on the stage: `plan` is a [`Plan`] in JSON.
pub fn play(plan: &str) -> Result<ExitCode> {
    measure::play(plan)
}

/// Builds the stage, has everything measured on it, and removes it.
fn on_stage(options: &Options, binary: PathBuf, rootfs: PathBuf) -> Result<Option<Findings>> {
    let signals = SignalFd::with_flags(&stopping(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .context("cannot open a signalfd")?;
    let stage = Stage::build()?;
    let all = Contestant::value_variants().iter().copied();
    let wanted = |name: &Contestant| options.only.is_empty() || options.only.contains(name);
    let contestants = all.filter(wanted).collect();
    let plan = Plan {
        place: Place { binary, rootfs, folder: stage.folder.clone() },
        contestants,
        runs: options.runs,
        cgroups: stage.cgroups.clone(),
    };
    let plan = serde_json::to_string(&plan).context("cannot write JSON")?;
    let program = env::current_exe().context("cannot tell this program's own path")?;
    let line: [OsString; 3] = [program.into(), "bench-part".into(), plan.into()];
    let mut part = stage.spawn(&line)?;
    let text = read(&mut part, &signals)?;
    let status = part.wait().context("cannot wait for the measurement")?;
    match status.code() {
        Some(0) => serde_json::from_str(&text).context("cannot understand what was measured"),
        Some(_) => Ok(None),
        None => bail!("the measurement was killed: {status}"),
    }
}

/// Reads what the part prints to its end, unless a signal arrives first.
fn read(part: &mut Child, signals: &SignalFd) -> Result<String> {
    let mut stdout = part.stdout.take().context("no stdout")?;
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let mut watched = [
            PollFd::new(stdout.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut watched, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled.context("cannot wait for the measurement")?,
        };
        if let Ok(Some(signal)) = signals.read_signal() {
            let signal = i32::try_from(signal.ssi_signo).unwrap_or_default();
            bail!(Interrupted(Signal::try_from(signal).unwrap_or(Signal::SIGTERM)));
        }
        match stdout.read(&mut chunk).context("cannot read what was measured")? {
            0 => return String::from_utf8(text).context("cannot understand what was measured"),
            count => text.extend_from_slice(&chunk[..count]),
        }
    }
}

fn stopping() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect()
}

/// The stage has to be removed before this process may end.
fn hold_signals_back() -> Result<SigSet> {
    stopping().thread_swap_mask(SigmaskHow::SIG_BLOCK).context("cannot hold signals back")
}

/// Ends by the signal that asked for it, as the parent expects.
fn stop(error: &anyhow::Error, before: &SigSet) -> Result<ExitCode> {
    output::note(&error.to_string());
    let _ = before.thread_set_mask();
    if let Some(Interrupted(signal)) = error.downcast_ref() {
        let _ = raise(*signal);
    }
    Ok(ExitCode::FAILURE)
}
