//! Which containers still run, and which have lost their `run`.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Leftover;
use crate::output::reason;

/// How long a killed process may take to go.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Process {
    pub(super) pid: i32,
    parent: i32,
    /// In clock ticks since the start of the machine: tells it from a later one with the same pid.
    start: u64,
    args: Vec<String>,
}

/// Reads what /proc says about a process: nothing once it has ended, even if nobody took note.
pub(super) fn read(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
    if ["Z", "X"].contains(fields.first()?) {
        return None;
    }
    let args = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let args = String::from_utf8_lossy(&args).split_terminator('\0').map(str::to_string).collect();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
        args,
    })
}

fn all() -> Result<Vec<Process>> {
    let entries =
        fs::read_dir("/proc").map_err(|error| anyhow!("cannot read /proc: {}", reason(&error)))?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(read).collect())
}

impl Process {
    /// The program it runs; the name alone if the path may not be read.
    fn program(&self) -> Option<PathBuf> {
        match fs::read_link(format!("/proc/{}/exe", self.pid)) {
            // cargo has built it anew since.
            Ok(path) => Some(path.to_string_lossy().trim_end_matches(" (deleted)").into()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let name = fs::read_to_string(format!("/proc/{}/comm", self.pid)).ok()?;
                Some(name.trim_end().into())
            }
            Err(_) => None,
        }
    }

    fn name(&self) -> Option<String> {
        Some(self.program()?.file_name()?.to_string_lossy().into_owned())
    }

    fn is_child(&self) -> bool {
        self.args.get(1).is_some_and(|arg| arg == "child")
    }

    /// Whether it runs containers: a step, or anything else that cargo has built, such as the
    /// checker or its tests.
    fn is_runner(&self) -> bool {
        let Some(program) = self.program().filter(|_| !self.is_child()) else { return false };
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let built = program.iter().any(|part| part == "debug" || part == "release");
        is_step(&name) || name == "workshop" || built
    }

    /// A step's container whose `run` is gone: those of `final` may live on without one, and a
    /// parent that cannot be seen (0) may well be a `run`.
    fn is_orphan(&self) -> bool {
        // Without root there is no more to see than the last word of `/proc/self/exe`.
        let ours = |name: String| is_step(&name) && name != "final" || name == "exe";
        self.is_child()
            && self.parent != 0
            && self.args[0] == "/proc/self/exe"
            && self.name().is_some_and(ours)
            && !read(self.parent).is_some_and(|parent| parent.is_runner())
    }

    fn lives(&self) -> bool {
        read(self.pid).is_some_and(|now| now.start == self.start)
    }
}

/// Whether a program of this name runs containers.
fn is_step(name: &str) -> bool {
    let digits = name.strip_prefix("step").unwrap_or("");
    name == "final"
        || name == "mine"
        || digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Whether this is still the run that its leftovers are named after.
pub(super) fn runs(pid: i32) -> bool {
    read(pid).is_some_and(|process| process.is_runner())
}

/// Whether the process is, or descends from, a run that still lives, other than these.
pub(super) fn belongs_to_a_run(pid: i32, except: &[i32]) -> bool {
    let ancestors = std::iter::successors(read(pid), |process| read(process.parent));
    ancestors.take(1000).any(|process| process.is_runner() && !except.contains(&process.pid))
}

/// A container that runs now, for people: `mine (pid 4711)`.
pub(super) fn live() -> Result<Option<String>> {
    Ok(all()?.into_iter().filter(|process| !process.is_orphan()).find_map(|process| {
        let name = process.name().filter(|name| is_step(name))?;
        Some(format!("{name} (pid {})", process.pid))
    }))
}

/// Finds the containers whose `run` was killed without taking them along.
pub(super) fn find(_project: &Path) -> Result<Vec<Leftover>> {
    let all = all()?;
    let orphans = all.iter().filter(|process| process.is_orphan());
    let leftovers = orphans.map(|orphan| {
        let what = format!("process {} ({})", orphan.pid, orphan.args.join(" "));
        let family = family(orphan, &all);
        Leftover::new(what, move || end(&family))
    });
    Ok(leftovers.collect())
}

/// A process and its descendants.
fn family(head: &Process, all: &[Process]) -> Vec<Process> {
    let mut pids = HashSet::from([head.pid]);
    // Parents may come after their children in the list.
    while all.iter().any(|process| pids.contains(&process.parent) && pids.insert(process.pid)) {}
    all.iter().filter(|process| pids.contains(&process.pid)).cloned().collect()
}

/// Kills the processes and waits until they are gone.
pub(super) fn end(processes: &[Process]) -> Result<()> {
    for process in processes.iter().filter(|process| process.lives()) {
        match kill(Pid::from_raw(process.pid), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => bail!("cannot kill process {}: {}", process.pid, errno.desc()),
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while let Some(survivor) = processes.iter().find(|process| process.lives()) {
        if Instant::now() > deadline {
            bail!("process {} does not end when killed. Try again later", survivor.pid);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_go_by_their_names() {
        for name in ["step04", "step10", "final", "mine"] {
            assert!(is_step(name), "{name}");
        }
        for name in ["step", "step4", "step044", "stepxx", "sh", "mined"] {
            assert!(!is_step(name), "{name}");
        }
    }
}
