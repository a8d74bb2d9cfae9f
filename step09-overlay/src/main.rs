//! Containers from scratch, in Rust.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, Parser};
use colored::Colorize;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd;

const NONE: Option<&str> = None;

/// Containers from scratch, in Rust
#[derive(Parser)]
#[command(version)]
enum Cli {
    /// Runs a command
    Run(Container),
    /// What `run` starts inside the new namespaces
    #[command(hide = true)]
    Child(Container),
}

#[derive(Args)]
struct Container {
    /// The root filesystem [default: the folder rootfs, here or above]
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", default_value = "/bin/sh", trailing_var_arg = true)]
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    let result = match Cli::parse() {
        Cli::Run(container) => run(&container),
        Cli::Child(container) => child(&container),
    };
    ExitCode::from(result.unwrap_or_else(|error| {
        complain(format!("{error:#}"));
        125
    }))
}

fn run(container: &Container) -> Result<u8> {
    let pid = unistd::getpid();
    say(format!("{} [{}] as {pid}", "Running".green().bold(), join(&container.command)))?;
    // Mounts of its own, and private: else they would appear on the host, where systemd shares them.
    attempt("create a mount namespace", unshare(CloneFlags::CLONE_NEWNS), &as_root())?;
    let private = mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE);
    attempt("make all mounts private", private, "Is / a mount point? In a chroot it is not.")?;
    overlay(&find_rootfs(container)?)?;
    // A namespace of its own for the hostname: this process moves into it, and its children inherit it.
    attempt("create a UTS namespace", unshare(CloneFlags::CLONE_NEWUTS), &as_root())?;
    let cgroup = Cgroup::enter("20")?;
    // The command cannot be started yet: first, this program starts itself inside the namespace.
    let mut inside = Command::new("/proc/self/exe");
    inside.arg("child").args(env::args_os().skip(2));
    // Our process group is unknown in there, and a shell needs to know its own: a new one.
    // In a pipeline, as before less, the group is not ours alone, and stays as it is.
    let ours = unistd::tcgetpgrp(io::stdin()) == Ok(unistd::getpgrp());
    let foreground = ours && io::stdout().is_terminal();
    if foreground {
        inside.process_group(0);
    }
    // Not this process but its next child is the first one in the namespace: process 1.
    attempt("create a PID namespace", unshare(CloneFlags::CLONE_NEWPID), &as_root())?;
    let process = attempt("start /proc/self/exe", inside.spawn(), "Is /proc mounted?")?;
    cgroup.leave()?;
    let status = wait(&process);
    if foreground {
        take_terminal()?;
    }
    status
}

fn child(container: &Container) -> Result<u8> {
    let by_run = env::args_os().next() == Some("/proc/self/exe".into());
    ensure!(by_run, "cannot start the child by hand: it would change the host. Use run");
    // From here on, if `run` is killed, so is process 1, and with it all of its namespace.
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot ask to die with the parent")?;
    if unistd::getpgrp() == unistd::getpid() {
        take_terminal()?;
    }
    let pid = unistd::getpid();
    say(format!("{} [{}] as {pid}", "Running in child".green().bold(), join(&container.command)))?;
    unistd::sethostname("container").context("cannot set the hostname")?;
    unistd::chroot("/run/merged").context("cannot make /run/merged the root")?;
    // The working directory is still the old one: a way out.
    unistd::chdir("/").context("cannot change to the new root")?;
    // A new proc shows the PID namespace of the process that mounts it.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let proc = mount(Some("proc"), "/proc", Some("proc"), flags, NONE);
    attempt("mount proc on /proc", proc, "Does the root filesystem have a folder /proc?")?;
    start(&container.command)
}

/// Merges the root filesystem (lower, never written) with an empty folder (upper) on /run/merged.
fn overlay(lower: &Path) -> Result<()> {
    // From inside it is called ".": the option needs no escapes, whatever the folder's name.
    let what = format!("enter {}", lower.display());
    attempt(&what, unistd::chdir(lower), "Make the usual one: cargo workshop rootfs")?;
    // In memory, in our own mount namespace: it goes when the last process in there does.
    let memory = mount(Some("mydocker"), "/run", Some("tmpfs"), MsFlags::empty(), NONE);
    attempt("mount a tmpfs on /run", memory, "Is there a folder /run?")?;
    for folder in ["/run/upper", "/run/work", "/run/merged"] {
        fs::create_dir(folder).with_context(|| format!("cannot create {folder}"))?;
    }
    let layers = Some("lowerdir=.,upperdir=/run/upper,workdir=/run/work");
    let merged = mount(Some("mydocker"), "/run/merged", Some("overlay"), MsFlags::empty(), layers);
    attempt("mount an overlay on /run/merged", merged, "Load it: modprobe overlay")
}

/// A cgroup that limits the number of processes; it goes when this value does.
struct Cgroup {
    folder: PathBuf,
    home: PathBuf,
}

impl Cgroup {
    /// Creates a cgroup and moves this process into it: its children inherit it.
    fn enter(limit: &str) -> Result<Self> {
        let (version, home) = find_cgroup()?;
        // On v2 a cgroup with processes hands no controllers down: the nearest above that does.
        let hands_down = |folder: &&Path| {
            let pids = |list: String| list.split_whitespace().any(|name| name == "pids");
            version == 1
                || fs::read_to_string(folder.join("cgroup.subtree_control")).is_ok_and(pids)
        };
        let parent = home.ancestors().find(hands_down).with_context(|| {
            let cure = "Boot with systemd; start Docker with --privileged --cgroupns=host.";
            format!("cannot limit processes: no pids controller above {}. {cure}", home.display())
        })?;
        let folder = parent.join(format!("mydocker-{}", unistd::getpid()));
        // A killed run with the same pid may have left its own.
        let _ = fs::remove_dir(&folder);
        let shown = folder.display().to_string();
        attempt(&format!("create {shown}"), fs::create_dir(&folder), &as_root())?;
        let cgroup = Self { folder, home };
        write(cgroup.folder.join("pids.max"), limit)?;
        write(cgroup.folder.join("cgroup.procs"), "0")?;
        let limiting = "Limiting".green().bold();
        say(format!("{limiting} to {limit} processes: {shown} (cgroup v{version})"))?;
        Ok(cgroup)
    }

    fn leave(&self) -> Result<()> {
        write(self.home.join("cgroup.procs"), "0")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // While a process is in it, it cannot be removed.
        let removed = self.leave().map(|()| fs::remove_dir(&self.folder));
        if !matches!(removed, Ok(Ok(()))) {
            complain(format!("cannot remove {}. Try: cargo workshop clean", self.folder.display()));
        }
    }
}

/// The cgroup version that has the pids controller, and the folder of the cgroup we are in.
fn find_cgroup() -> Result<(u8, PathBuf)> {
    let read = |file| fs::read_to_string(file).with_context(|| format!("cannot read {file}"));
    let (own, mounts) = (read("/proc/self/cgroup")?, read("/proc/self/mountinfo")?);
    // v1 has a line for each hierarchy, like "8:pids:/a/b", v2 has one line, "0::/a/b".
    let pids = |line: &&str| line.split([':', ',', ' ']).any(|word| word == "pids");
    let (version, line, kind) = match own.lines().find(pids) {
        Some(line) => (1, Some(line), " - cgroup "),
        None => (2, own.lines().find(|line| line.starts_with("0::")), " - cgroup2 "),
    };
    let path =
        line.and_then(|line| line.splitn(3, ':').nth(2)).context("cannot find our cgroup")?;
    // The mount, like "39 31 0:36 /a /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids", shows /a.
    let mount = mounts.lines().find(|it| it.contains(kind) && (version == 2 || pids(it)));
    let fields: Vec<_> = mount.context("cannot find a mounted pids cgroup")?.split(' ').collect();
    let below = Path::new(path).strip_prefix(fields[3]).context("our cgroup is out of sight")?;
    Ok((version, Path::new(fields[4]).join(below)))
}

fn write(file: PathBuf, text: &str) -> Result<()> {
    attempt(&format!("write {text} to {}", file.display()), fs::write(&file, text), &as_root())
}

fn find_rootfs(container: &Container) -> Result<PathBuf> {
    let here = env::current_dir().context("cannot tell the current folder")?;
    let mut nearby = here.ancestors().map(|folder| folder.join("rootfs"));
    let found = container.rootfs.clone().or_else(|| nearby.find(|folder| folder.is_dir()));
    found.context("cannot find a folder rootfs, here or above. Make one: cargo workshop rootfs")
}

/// Starts the command on this terminal and returns its exit status.
fn start(command: &[OsString]) -> Result<u8> {
    match Command::new(&command[0]).args(&command[1..]).spawn() {
        Ok(process) => wait(&process),
        Err(error) => {
            let (status, cure) = match error.kind() {
                io::ErrorKind::NotFound => (127, "Is it in the PATH, and its interpreter there?"),
                io::ErrorKind::WouldBlock => (125, "Too many processes: end some."),
                _ => (126, "Is it a program, and executable?"),
            };
            complain(format!("cannot run {:?}: {}. {cure}", command[0], reason(&error)));
            Ok(status)
        }
    }
}

/// Waits for a process and returns its exit status as a shell would: 128+n for signal n.
fn wait(process: &Child) -> Result<u8> {
    // Ctrl-C is for the command. It is blocked only now, because a child inherits the mask.
    let keys = SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]);
    keys.thread_block().context("cannot block SIGINT and SIGQUIT")?;
    let process = unistd::Pid::from_raw(process.id().cast_signed());
    loop {
        // Process 1 inherits every orphan of its namespace: it waits for all, or they stay as zombies.
        let changed = match waitpid(None, Some(WaitPidFlag::WUNTRACED)) {
            // Killed by a real-time signal, for which nix has no name.
            Err(Errno::EINVAL) => continue,
            changed => changed.context("cannot wait for the command")?,
        };
        match changed {
            WaitStatus::Exited(pid, status) if pid == process => return Ok(status as u8),
            WaitStatus::Signaled(pid, signal, _) if pid == process => return Ok(128 + signal as u8),
            // Ctrl-Z: process 1 cannot be stopped, so nobody would continue the command.
            WaitStatus::Stopped(pid, Signal::SIGTSTP | Signal::SIGSTOP) => {
                kill(pid, Signal::SIGCONT).context("cannot continue the command")?;
            }
            _ => {}
        }
    }
}

/// Makes our process group the terminal's foreground: the one that reads, and gets Ctrl-C.
fn take_terminal() -> Result<()> {
    // Who does this from the background is stopped by SIGTTOU, unless it is blocked.
    let stop = SigSet::from(Signal::SIGTTOU);
    let mask = stop.thread_swap_mask(SigmaskHow::SIG_BLOCK).context("cannot block SIGTTOU")?;
    let taken = unistd::tcsetpgrp(io::stdin(), unistd::getpgrp());
    mask.thread_set_mask().context("cannot unblock SIGTTOU")?;
    taken.context("cannot take the terminal")
}

fn say(line: String) -> Result<()> {
    let written = writeln!(io::stdout(), "{line}");
    attempt("write to stdout", written, "Is the disk full, or the reader gone?")
}

fn join(words: &[OsString]) -> String {
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}

/// Adds to a failed call what it was for and what to do about it.
fn attempt<T, E: Into<io::Error>>(what: &str, result: Result<T, E>, cure: &str) -> Result<T> {
    result.map_err(|error| anyhow!("cannot {what}: {}. {cure}", reason(&error.into())))
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_string(),
        None => error.to_string(),
    }
}

fn as_root() -> String {
    if unistd::geteuid().is_root() {
        return "Even root may not: start the container around this one with --privileged.".into();
    }
    let program = env::args_os().next().unwrap_or_default();
    format!("Run it as root: sudo {} run ...", program.display())
}

fn complain(message: String) {
    if !io::stderr().is_terminal() {
        colored::control::set_override(false);
    }
    let _ = writeln!(io::stderr(), "{} {message}", "error:".red().bold());
}
