//! `cargo workshop vm`: a small virtual machine with a kernel of its own, to break things in.
//!
//! QEMU starts a kernel with an archive of files in memory. Their first process is this program
//! again ([`init`]), and the two talk over one channel ([`link`]). Nothing is kept: when the
//! command ends, the machine is gone.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fmt, fs};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};

use nix::sys::signal::{Signal, raise};

use crate::{output, project, terminal};
use link::{Hierarchy, Job};
use qemu::Plan;
use session::Event;

mod accel;
mod cpio;
mod download;
mod init;
mod initramfs;
mod kernel;
mod link;
mod modules;
mod qemu;
mod session;

/// A machine that has not come up by then never will.
const BOOT: Duration = Duration::from_secs(60);

/// How many starts `--time` measures.
const STARTS: usize = 5;

/// Opens a shell in a small virtual machine with a kernel of its own
///
/// The steps, `check` and a root filesystem are in it. It keeps nothing.
#[derive(Args)]
#[command(after_help = "Examples:
  cargo workshop vm
  cargo workshop vm -- step08 run hostname
  cargo workshop vm --cgroup hybrid -- check all")]
pub struct Options {
    /// Which cgroups it has: v2 alone, as laptops do, or hybrid, with the controllers on v1
    #[arg(long, value_enum, default_value = "v2")]
    cgroup: Hierarchy,
    /// Its memory in megabytes
    #[arg(long, value_name = "MEGABYTES", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(256..))]
    memory: u32,
    /// Who executes its instructions: the processor (kvm) or QEMU (tcg); auto tries kvm first
    #[arg(long, value_enum, default_value = "auto")]
    accel: Accel,
    /// Kills it after so many seconds [default: 600 with a command, never with a shell]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Only measures how many seconds pass until the shell's prompt
    #[arg(long, conflicts_with = "command")]
    time: bool,
    /// A command to run instead of the shell; its exit status becomes this one's
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Who executes the machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Accel {
    Auto,
    Kvm,
    Tcg,
}

/// The parts of the machine that are this program, too.
#[derive(Subcommand)]
pub enum Part {
    /// The first process inside
    Init,
    /// Loads a module inside
    Modprobe {
        /// Options, which change nothing, and names
        #[arg(last = true)]
        words: Vec<String>,
    },
    /// Becomes QEMU, which ends when its parent does
    Qemu {
        /// QEMU and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

/// Plays one of the parts.
///
/// # Errors
/// If it is played in the wrong place, or if QEMU cannot be started.
pub fn play(part: &Part) -> Result<ExitCode> {
    match part {
        Part::Init => init::init(),
        Part::Modprobe { words } => init::modprobe(words).map(|()| ExitCode::SUCCESS),
        Part::Qemu { words } => Err(qemu::become_qemu(words)),
    }
}

/// Runs the shell or the command in the machine. The exit status is the command's own, or 125 if
/// the machine failed.
///
/// # Errors
/// None: what goes wrong is told on stderr.
pub fn run(options: &Options) -> Result<ExitCode> {
    let ended = prepare(options).and_then(|mut plan| {
        if options.time { measure(&mut plan, options) } else { converse(&mut plan, options) }
    });
    let status = ended.unwrap_or_else(|error| {
        // By now the machine is gone and the terminal is as it was.
        if let Some(Stopped(signal)) = error.downcast_ref() {
            let _ = raise(*signal);
            return 128 + *signal as u8;
        }
        output::complain(&format!("{error:#}"));
        125
    });
    Ok(ExitCode::from(status))
}

/// Is QEMU installed?
pub fn is_possible() -> bool {
    qemu::find().is_ok()
}

/// Everything that has to be there before the machine can start.
fn prepare(options: &Options) -> Result<Plan> {
    let qemu = qemu::find()?;
    let cache = cache()?;
    let kernel = kernel::find(&cache)?;
    let initramfs = initramfs::pack(&cache, &kernel)?;
    Ok(Plan { qemu, cache, kernel, initramfs, memory: options.memory, accel: options.accel })
}

/// Is there a program of this name in the PATH?
fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The folder for what is made once: target/vm.
fn cache() -> Result<PathBuf> {
    let binaries = project::binaries()?;
    let cache = binaries.parent().unwrap_or(Path::new("/")).join("vm");
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    Ok(cache)
}

/// Connects the command inside with this program's standard streams until it ends.
fn converse(plan: &mut Plan, options: &Options) -> Result<u8> {
    let limit = match options.timeout {
        None if options.command.is_empty() => None,
        seconds => Some(Duration::from_secs(seconds.unwrap_or(600))),
    };
    let end = limit.map(|limit| Instant::now() + limit);
    let interactive =
        io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
    let mut session = accel::start(plan, end)?;
    let size = interactive.then(terminal::size);
    let _raw = interactive.then(terminal::Raw::enter).transpose()?;
    session.run(&job(options, size))?;
    // Keys that are pressed while the output goes elsewhere are for whoever reads it, as `less`.
    session.listen(interactive || !io::stdin().is_terminal());
    loop {
        match session.next(end)? {
            Event::Output(bytes) => pass_on(&mut io::stdout().lock(), &bytes)?,
            Event::Errors(bytes) => pass_on(&mut io::stderr().lock(), &bytes)?,
            Event::Exit(status) => return Ok(status),
            Event::Failed(why) => bail!("cannot set up the virtual machine: {why}"),
            Event::Resized if interactive => session.resize(terminal::size()),
            Event::Ready | Event::Resized => {}
            Event::Stop(signal) => return Err(Stopped(signal).into()),
            Event::Late => bail!(
                "the virtual machine was killed after {} seconds. Give it longer: --timeout SECONDS. {}",
                limit.unwrap_or_default().as_secs(),
                session.last_words()
            ),
            Event::Gone => {
                bail!("the virtual machine ended all by itself. {}", session.last_words())
            }
        }
    }
}

fn pass_on(out: &mut impl Write, bytes: &[u8]) -> Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // A reader that has seen enough, as `head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Stopped(Signal::SIGPIPE).into()),
        written => written.context("cannot pass on the machine's output. Is the disk full?"),
    }
}

fn job(options: &Options, terminal: Option<(u16, u16)>) -> Job {
    let keep = |name: &'static str| Some((name.into(), env::var_os(name)?));
    let shell = || ["/bin/sh", "-c", SHELL].map(OsString::from).into();
    Job {
        command: if options.command.is_empty() { shell() } else { options.command.clone() },
        environment: ["TERM", "COLORTERM", "NO_COLOR", "CI"].into_iter().filter_map(keep).collect(),
        terminal,
        hierarchy: options.cgroup,
    }
}

/// A signal that ends this program.
#[derive(Debug)]
struct Stopped(Signal);

impl fmt::Display for Stopped {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "stopped by {}", self.0)
    }
}

impl Error for Stopped {}

/// The shell that opens if no command is given.
const SHELL: &str = "command -v bash >/dev/null && exec bash; exec sh";

/// Starts the machine some times and tells how long each took to show the shell's prompt.
fn measure(plan: &mut Plan, options: &Options) -> Result<u8> {
    let mut seconds = Vec::new();
    for _ in 0..STARTS {
        let start = Instant::now();
        let end = Some(start + BOOT);
        let mut session = accel::start(plan, end)?;
        session.run(&job(options, Some((24, 80))))?;
        loop {
            match session.next(end)? {
                Event::Output(_) => break,
                Event::Ready | Event::Resized => {}
                _ => bail!("the shell did not show its prompt. {}", session.last_words()),
            }
        }
        seconds.push(start.elapsed().as_secs_f64());
    }
    let each: Vec<_> = seconds.iter().map(|seconds| format!("{seconds:.2}")).collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let accel = if plan.accel == Accel::Kvm { "kvm" } else { "tcg" };
    output::print(&format!(
        "{median:.2} s from start to prompt under {accel}, the median of {}\n",
        each.join(" ")
    ))?;
    Ok(0)
}
