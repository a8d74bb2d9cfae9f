//! What the tests of the runtime share: a machine to run containers on, and a look at what they
//! leave there.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use workshop::cage::Cage;
use workshop::testing;
use workshop::wait::until;

const PATIENCE: Duration = Duration::from_secs(10);

/// A machine of its own, with a folder for images and state.
pub struct Machine {
    pub cage: Cage,
    folder: TempDir,
    mounts: usize,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Nothing to run on without root, which is said aloud.
pub fn machine(test: &str) -> Option<Machine> {
    if !testing::root(test) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let cage = Cage::build(folder.path()).unwrap();
    let mounts = cage.mounts().unwrap().len();
    let machine = Machine { cage, folder, mounts };
    let image = format!("{{\"layers\":[{:?}]}}", testing::rootfs().unwrap());
    machine.write("root/images/host.json", &image);
    Some(machine)
}

impl Machine {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `--root`
    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// The states of the containers that go with their end.
    pub fn passing(&self) -> Vec<PathBuf> {
        // The cage has a /run of its own.
        let folder = format!("/proc/{}/root/run/containers-from-scratch", self.cage.thread);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path());
        files.filter(|it| it.extension().is_some_and(|kind| kind == "json")).collect()
    }

    /// Writes a file into the machine's folder, and makes the folders on the way.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The command line for `final`, words separated by blanks; `@` is the machine's folder.
    pub fn line(&self, words: &str) -> Vec<OsString> {
        let folder = self.folder.path().to_str().unwrap();
        let binary = [env!("CARGO_BIN_EXE_final"), "--root"].map(OsString::from);
        let words = words.split_whitespace().map(|word| OsString::from(word.replace('@', folder)));
        binary.into_iter().chain([self.root().into()]).chain(words).collect()
    }

    pub fn start(&self, line: &[OsString]) -> Child {
        let pipes = |command: &mut Command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.env("OURS", "from outside");
        };
        self.cage.spawn(line, pipes).unwrap()
    }

    /// Runs `final` with words separated by blanks, and with a script for the container's shell.
    pub fn shell(&self, words: &str, script: &str) -> Ended {
        let mut line = self.line(words);
        line.extend(["/bin/sh", "-c", script].map(OsString::from));
        end(self.start(&line), "")
    }

    pub fn run(&self, words: &str) -> Ended {
        end(self.start(&self.line(words)), "")
    }

    /// Fails if anything is left of any container.
    pub fn assert_clean(&self) {
        let containers = self.root().join("containers");
        let left: Vec<_> = fs::read_dir(containers).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.passing(), Vec::<PathBuf>::new());
        let left: Vec<_> = fs::read_dir(self.root().join("mnt")).into_iter().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.cage.cgroups(), Vec::<PathBuf>::new());
        assert_eq!(self.cage.mounts().unwrap().len(), self.mounts);
        // The one who puts the host's network back takes two seconds.
        let ended = until(PATIENCE, || self.cage.processes().is_empty());
        assert!(ended, "{:?}", self.cage.processes());
    }
}

/// Writes to the process, closes its stdin, and waits for its end.
pub fn end(mut process: Child, input: &str) -> Ended {
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
    pub fn assert(&self, status: i32, stdout: &str) {
        assert_eq!((self.status, self.stdout.trim(), self.stderr.trim()), (status, stdout, ""));
    }

    /// Fails unless it ended with this status and one line about it that holds these words.
    pub fn assert_error(&self, status: i32, words: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("error: cannot "), "{self:?}");
        assert!(self.stderr.contains(words), "{self:?}");
    }
}

/// Waits for a file to appear.
pub fn wait_for(path: &Path) {
    assert!(until(PATIENCE, || path.exists()));
}
