//! The processes of a machine, from its /proc.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The kinds of namespaces, as in /proc/PID/ns.
pub(crate) const KINDS: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// In a process' flags: it is one of the kernel's own threads.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// One process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) stat: Stat,
    /// Its pids, from the outermost namespace in sight to its own
    pub(crate) pids: Vec<u32>,
    /// Its arguments, or its name if it has none
    pub(crate) command: String,
    /// The inodes of its namespaces, in the order of [`KINDS`]; 0 if there is no such kind
    pub(crate) namespaces: [u64; 8],
    /// Where its root is, seen from here
    pub(crate) root: String,
    /// Counts, among others, how often it ran
    status: String,
}

/// What we need of /proc/PID/stat.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stat {
    pub(crate) name: String,
    pub(crate) state: char,
    pub(crate) parent: u32,
    pub(crate) has_terminal: bool,
    is_kernel_thread: bool,
}

/// Looks at all processes, again and again.
#[derive(Default)]
pub(crate) struct Looker {
    known: HashMap<u32, Process>,
    kernel_threads: HashSet<u32>,
}

impl Looker {
    /// All processes but the kernel's threads, by pid.
    pub(crate) fn look(&mut self) -> io::Result<Vec<Process>> {
        let (mut processes, mut threads) = (Vec::new(), HashSet::new());
        let names = fs::read_dir("/proc")?.flatten().map(|entry| entry.file_name());
        for pid in names.filter_map(|name| name.to_str()?.parse().ok()) {
            if self.kernel_threads.contains(&pid) {
                threads.insert(pid);
                continue;
            }
            // It may end at any time.
            let Some(status) = read(pid, "status") else { continue };
            // One that has not run since has not changed what is its own.
            let known = self.known.remove(&pid);
            if let Some(same) = known.as_ref().filter(|known| known.status == status) {
                processes.push(same.clone());
                continue;
            }
            match read(pid, "stat").as_deref().and_then(stat) {
                Some(stat) if stat.is_kernel_thread => drop(threads.insert(pid)),
                Some(stat) => processes.push(process(pid, stat, status, known)),
                None => {}
            }
        }
        processes.sort_by_key(|process| process.pid);
        self.known = processes.iter().map(|process| (process.pid, process.clone())).collect();
        self.kernel_threads = threads;
        Ok(processes)
    }

    /// Whether any of these has run or ended since the last look.
    pub(crate) fn have_run(&self, pids: &[u32]) -> bool {
        let known = |pid| self.known.get(pid).map(|process| &process.status);
        pids.iter().any(|pid| read(*pid, "status").as_ref() != known(pid))
    }
}

fn process(pid: u32, stat: Stat, status: String, known: Option<Process>) -> Process {
    let namespaces = KINDS.map(|kind| namespace(pid, kind).unwrap_or(0));
    // One that has ended has given all this back, and is shown where it was until it is waited for.
    if let Some(known) = known.filter(|_| namespaces.contains(&0)) {
        return Process { stat, status, ..known };
    }
    let command = read(pid, "cmdline").map(|text| text.trim_end().to_string());
    let command = command.filter(|text| !text.is_empty()).unwrap_or_else(|| stat.name.clone());
    let root = fs::read_link(format!("/proc/{pid}/root"));
    let root = root.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    Process { pid, stat, pids: pids(&status), command, namespaces, root, status }
}

/// A file of a process, or the start of one; bytes of no letter and the ends of arguments become
/// something to show.
fn read(pid: u32, file: &str) -> Option<String> {
    start(format!("/proc/{pid}/{file}")).map(|text| text.replace('\0', " "))
}

/// The start of a file of the kernel's, which is all of it where it is short. Looked at often, it
/// shall cost as little as can be.
pub(crate) fn start(path: impl AsRef<Path>) -> Option<String> {
    let mut bytes = [0; 4096];
    let length = File::open(path).ok()?.read(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

fn namespace(pid: u32, kind: &str) -> Option<u64> {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()?;
    inode(link.to_str()?)
}

/// Of `mnt:[4026531841]`.
fn inode(link: &str) -> Option<u64> {
    link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}

/// The name, in parentheses, may hold any letter.
fn stat(text: &str) -> Option<Stat> {
    let (start, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // proc(5) counts from 1, and the state is the third.
    let number = |at: usize| fields.get(at - 3)?.parse::<u32>().ok();
    Some(Stat {
        name: start.split_once('(')?.1.to_string(),
        state: fields.first()?.chars().next()?,
        parent: number(4)?,
        has_terminal: *fields.get(7 - 3)? != "0",
        is_kernel_thread: number(9)? & KERNEL_THREAD != 0,
    })
}

/// The pids in a process' status.
fn pids(status: &str) -> Vec<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let words = line.unwrap_or_default().split_ascii_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let text = "1034 (a) (b c) S 1030 1034 1034 58625 1034 4194560 1 2 3 4 5 6 7 8 20 0 1 0\n";
        let expected = Stat {
            name: "a) (b c".into(),
            state: 'S',
            parent: 1030,
            has_terminal: true,
            is_kernel_thread: false,
        };
        assert_eq!(stat(text), Some(expected));
        assert_eq!(stat("1034 (cut off) S 10"), None);
    }

    #[test]
    fn a_thread_of_the_kernel_is_told() {
        let text =
            "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0 4294967295 0 0 0 0\n";
        let stat = stat(text).unwrap();
        assert!(stat.is_kernel_thread && !stat.has_terminal);
    }

    #[test]
    fn links_and_lines() {
        assert_eq!(inode("mnt:[4026531841]"), Some(4_026_531_841));
        assert_eq!(inode("/dev/null"), None);
        assert_eq!(pids("Name:\tbash\nNSpid:\t1034\t1\nNSpgid:\t1034\t1\n"), [1034, 1]);
    }

    #[test]
    fn a_process_that_has_ended_stays_where_it_was() {
        let mut child = Command::new("sleep").arg("86422").spawn().unwrap();
        let mut looker = Looker::default();
        let mut look = || {
            let all = looker.look().unwrap();
            all.into_iter().find(|it| it.pid == child.id() && it.command == "sleep 86422")
        };
        let start = Instant::now();
        let before = loop {
            if let Some(process) = look() {
                break process;
            }
            assert!(start.elapsed() < Duration::from_secs(20));
        };
        kill(Pid::from_raw(before.pid.cast_signed()), Signal::SIGKILL).unwrap();
        let after = loop {
            let process = look().unwrap();
            if process.stat.state == 'Z' {
                break process;
            }
            assert!(start.elapsed() < Duration::from_secs(20));
        };
        child.wait().unwrap();
        assert_eq!(after.namespaces, before.namespaces);
        assert_eq!((after.root, after.command), (before.root, before.command));
    }

    #[test]
    fn this_process_is_seen_and_the_kernels_threads_are_not() {
        let mut looker = Looker::default();
        for _ in 0..2 {
            let all = looker.look().unwrap();
            let own = all.iter().find(|it| it.pid == std::process::id()).unwrap();
            assert_eq!(own.stat.parent, std::os::unix::process::parent_id());
            assert!(own.namespaces.iter().all(|inode| *inode != 0), "{own:?}");
            assert!(own.pids.ends_with(&[own.pid]) && own.command.contains("agent"), "{own:?}");
            assert!(!all.iter().any(|it| it.stat.is_kernel_thread));
        }
    }
}
