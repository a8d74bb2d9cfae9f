//! What the tests share: a machine to run containers on, and a look at what they leave there.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use make_rootfs::mountinfo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use workshop::cage::Cage;
use workshop::testing;
use workshop::wait::until;

/// What takes longer than that, on a machine with other things to do, never happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Set where every instruction takes twenty times as long.
pub(crate) const SLOW: &str = "SLOW_MACHINE";

/// Joins the cgroups that are named before `--`, and becomes the program after it.
const JOIN: &str =
    "until [ $1 = -- ]; do echo 0 > $1/tasks || exit; shift; done; shift; exec \"$@\"";

/// A machine of its own, with a folder for images and state.
pub(crate) struct Machine {
    pub(crate) cage: Cage,
    trees: Trees,
    folder: TempDir,
    mounts: usize,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The runtime, which lies where the tests do.
pub(crate) fn binary() -> PathBuf {
    workshop::project::binaries().unwrap().join("final")
}

/// How often something is done: on a slow machine a tenth of it.
pub(crate) fn rounds(full: u32) -> u32 {
    if env::var_os(SLOW).is_some() { full.div_ceil(10) } else { full }
}

/// Nothing to run on without root, which is said aloud.
pub(crate) fn machine(test: &str) -> Option<Machine> {
    if !testing::root(test) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let cage = Cage::build(folder.path()).unwrap();
    let mounts = cage.mounts().unwrap().len();
    let machine = Machine { trees: Trees::of(&cage), cage, folder, mounts };
    let image = format!("{{\"layers\":[{:?}]}}", testing::rootfs().unwrap());
    machine.write("root/images/host.json", &image);
    Some(machine)
}

impl Machine {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `--root`
    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// The states of the containers that go with their end.
    pub(crate) fn passing(&self) -> Vec<PathBuf> {
        // The cage has a /run of its own.
        let folder = format!("/proc/{}/root/run/containers-from-scratch", self.cage.thread);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path());
        files.filter(|it| it.extension().is_some_and(|kind| kind == "json")).collect()
    }

    /// Writes a file into the machine's folder, and makes the folders on the way.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The command line for `final`, words separated by blanks; `@` is the machine's folder.
    pub(crate) fn line(&self, words: &str) -> Vec<OsString> {
        let folder = self.folder.path().to_str().unwrap();
        let binary = [binary().into(), OsString::from("--root")];
        let words = words.split_whitespace().map(|word| OsString::from(word.replace('@', folder)));
        binary.into_iter().chain([self.root().into()]).chain(words).collect()
    }

    /// The command line for `final`, with a script for the container's shell.
    pub(crate) fn script(&self, words: &str, script: &str) -> Vec<OsString> {
        let mut line = self.line(words);
        line.extend(["/bin/sh", "-c", script].map(OsString::from));
        line
    }

    /// Starts a program on the machine, with pipes for its standard streams.
    pub(crate) fn start(&self, line: &[OsString]) -> Child {
        let pipes = |command: &mut Command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.env("OURS", "from outside");
        };
        self.cage.spawn(&self.trees.join(line), pipes).unwrap()
    }

    /// Runs `final` with words separated by blanks, and with a script for the container's shell.
    pub(crate) fn shell(&self, words: &str, script: &str) -> Ended {
        end(self.start(&self.script(words, script)), "")
    }

    /// Runs `final` with words separated by blanks.
    pub(crate) fn run(&self, words: &str) -> Ended {
        end(self.start(&self.line(words)), "")
    }

    /// What a shell on the machine itself says to a script, which has to succeed.
    pub(crate) fn host(&self, script: &str) -> String {
        let ended = end(self.start(&["sh", "-ec", script].map(OsString::from)), "");
        assert_eq!(ended.status, 0, "{script}: {ended:?}");
        ended.stdout
    }

    /// Lets the machine go first where processors are scarce.
    pub(crate) fn go_first(&self) {
        let cgroup = self.cage.leaf().parent().unwrap().to_path_buf();
        let files = self.trees.0.iter().map(|tree| (tree.join("cpu.shares"), "262144"));
        for (file, most) in files.chain([(cgroup.join("cpu.weight"), "10000")]) {
            if file.exists() {
                fs::write(file, most).unwrap();
            }
        }
    }

    /// Asks a container with an init to end, and waits until it has.
    pub(crate) fn stop(&self, process: Child) {
        kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert_eq!(end(process, "").status, 143);
    }

    /// Interfaces, nft rules and settings of the machine's network.
    pub(crate) fn network(&self) -> String {
        self.host("ip -o link; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward")
    }

    /// Fails unless the network becomes as it was before. The kernel removes the interfaces of a
    /// container that has ended in the background.
    pub(crate) fn assert_network(&self, before: &str) {
        let mut now = String::new();
        let same = until(PATIENCE, || {
            now = self.network();
            now == before
        });
        assert!(same, "before:\n{before}\nnow:\n{now}");
    }

    /// Fails if anything is left of any container.
    pub(crate) fn assert_clean(&self) {
        for folder in ["containers", "mnt"] {
            let left = fs::read_dir(self.root().join(folder)).into_iter().flatten().flatten();
            let left: Vec<_> = left.map(|entry| entry.path()).collect();
            assert!(left.is_empty(), "{left:?}");
        }
        assert_eq!(self.passing(), Vec::<PathBuf>::new());
        assert_eq!(self.cage.cgroups(), Vec::<PathBuf>::new());
        assert_eq!(self.trees.cgroups(), Vec::<PathBuf>::new());
        assert_eq!(self.cage.mounts().unwrap().len(), self.mounts);
        // Those that were killed may take a moment to be gone.
        let gone = until(PATIENCE, || self.cage.processes().is_empty());
        assert!(gone, "{:?}", self.cage.processes());
    }
}

/// The cage has a cgroup of its own for processes; on v1, memory and processors have other trees.
struct Trees(Vec<PathBuf>);

impl Trees {
    fn of(cage: &Cage) -> Self {
        let unified = cage.leaf().with_file_name("cgroup.subtree_control");
        if unified.exists() {
            fs::write(unified, "+cpu +memory").unwrap();
            return Self(Vec::new());
        }
        let name = cage.leaf().parent().unwrap().file_name().unwrap().to_os_string();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let mounts = mountinfo::own().unwrap();
        let has = |list: &str, wanted: &str| list.split(',').any(|it| it == wanted);
        let folder = |controller: &str| {
            let lines = own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
            let (_, path) = lines.into_iter().find(|(list, _)| has(list, controller)).unwrap();
            let mount =
                mounts.iter().find(|it| it.kind == "cgroup" && has(&it.options, controller));
            let mount = mount.unwrap();
            mount.point.join(Path::new(path).strip_prefix(&mount.root).unwrap()).join(&name)
        };
        let folders = ["cpu", "memory"].map(folder);
        folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        Self(folders.into())
    }

    /// The line that starts a program in them.
    fn join(&self, line: &[OsString]) -> Vec<OsString> {
        let mut words = ["sh", "-c", JOIN, "sh"].map(OsString::from).to_vec();
        words.extend(self.0.iter().map(OsString::from));
        words.push("--".into());
        words.extend_from_slice(line);
        words
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        self.0.iter().flat_map(|folder| workshop::kernel::cgroups_below(folder)).collect()
    }
}

impl Drop for Trees {
    fn drop(&mut self) {
        for folder in self.cgroups().iter().chain(&self.0) {
            // A killed process may take a moment to leave it.
            until(PATIENCE, || fs::remove_dir(folder).is_ok());
        }
    }
}

/// Writes to the process, closes its stdin, and waits for its end.
pub(crate) fn end(mut process: Child, input: &str) -> Ended {
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    ended(&process.wait_with_output().unwrap())
}

fn ended(output: &Output) -> Ended {
    use std::os::unix::process::ExitStatusExt;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap());
    Ended { status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

impl Ended {
    /// Fails unless it ended with this status, nothing on stderr and these lines on stdout.
    pub(crate) fn assert(&self, status: i32, stdout: &str) {
        assert_eq!((self.status, self.stdout.trim(), self.stderr.trim()), (status, stdout, ""));
    }

    /// Fails unless it ended with this status and one line about it that holds these words.
    pub(crate) fn assert_error(&self, status: i32, words: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("error: cannot "), "{self:?}");
        assert!(self.stderr.contains(words), "{self:?}");
    }
}

/// Waits for a file to appear.
pub(crate) fn wait_for(path: &Path) {
    assert!(until(PATIENCE, || path.exists()), "{}", path.display());
}
