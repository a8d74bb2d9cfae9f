//! Who is measured: what each is started with, and what it does for it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::bundle;

/// A way to run a command in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Contestant {
    FinalNone,
    Final,
    Crun,
    CrunLimits,
    Runc,
    Bwrap,
    Unshare,
    Podman,
}

/// What the contestants are started with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Place {
    /// The release build of `final`
    pub(super) binary: PathBuf,
    pub(super) rootfs: PathBuf,
    /// A folder for what they keep
    pub(super) folder: PathBuf,
}

/// What a contestant does, so that nobody compares apples with pears.
#[derive(Debug, Serialize)]
pub(super) struct Does {
    pub(super) namespaces: u8,
    pub(super) overlay: bool,
    pub(super) veth: bool,
    pub(super) cgroup: bool,
    pub(super) limits: bool,
    pub(super) seccomp: bool,
}

pub(super) const MEMORY: u64 = 256 << 20;
pub(super) const PROCESSES: u32 = 64;
/// Memory, one processor, and processes, in the words of `final` and podman.
const LIMITS: [&str; 6] = ["--memory", "256m", "--cpus", "1", "--pids-limit", "64"];

impl Contestant {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FinalNone => "final-none",
            Self::Final => "final",
            Self::Crun => "crun",
            Self::CrunLimits => "crun-limits",
            Self::Runc => "runc",
            Self::Bwrap => "bwrap",
            Self::Unshare => "unshare",
            Self::Podman => "podman",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::FinalNone | Self::Final => "final",
            Self::Crun | Self::CrunLimits => "crun",
            _ => self.name(),
        }
    }

    /// Why it cannot run here, if that is so.
    pub(super) fn lacks(self) -> Option<String> {
        let package = match self {
            Self::FinalNone | Self::Final => return None,
            Self::Bwrap => "bubblewrap",
            Self::Unshare => "util-linux",
            _ => self.program(),
        };
        let missing = find(self.program()).is_none();
        missing.then(|| format!("it is not installed. Install the package {package}"))
    }

    pub(super) fn does(self) -> Does {
        let is_final = matches!(self, Self::FinalNone | Self::Final);
        let limited = matches!(self, Self::Final | Self::CrunLimits | Self::Podman);
        let bridged = matches!(self, Self::Final | Self::Podman);
        Does {
            // bubblewrap's seventh is a user namespace.
            namespaces: if self == Self::Bwrap { 7 } else { 6 },
            overlay: is_final || self == Self::Podman,
            veth: bridged,
            cgroup: !matches!(self, Self::Bwrap | Self::Unshare),
            limits: limited,
            seccomp: is_final || self == Self::Podman,
        }
    }

    /// Its version, as far as it tells.
    pub(super) fn version(self) -> Option<String> {
        if self.program() == "final" {
            return None;
        }
        let said = Command::new(find(self.program())?).arg("--version").output().ok()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let is_number = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
        said.split_whitespace().find(is_number).map(str::to_string)
    }

    /// The bundle that it reads, if it is an OCI runtime.
    pub(super) fn bundle(self, place: &Place) -> Option<serde_json::Value> {
        let limited = self.does().limits;
        let oci = matches!(self, Self::Crun | Self::CrunLimits | Self::Runc);
        oci.then(|| bundle::config(&place.rootfs, self.name(), limited))
    }

    /// The command line that runs a command.
    pub(super) fn command(self, place: &Place, command: &[&str]) -> Vec<OsString> {
        let mut line = Line(vec![match self {
            Self::FinalNone | Self::Final => place.binary.clone().into(),
            _ => self.program().into(),
        }]);
        match self {
            Self::FinalNone | Self::Final => {
                line.add(["--root"]).path(&place.store()).add(["run", "--rm", "--network"]);
                match self {
                    Self::Final => line.add(["bridge"]).add(LIMITS),
                    _ => line.add(["none"]),
                };
                line.add(["--rootfs"]).path(&place.rootfs).add(command.iter().copied());
            }
            // What they run stands in the bundle.
            Self::Crun | Self::CrunLimits | Self::Runc => {
                line.add(["run", "--bundle"]).path(&place.bundle(self)).add([self.name()]);
            }
            Self::Bwrap => {
                line.add(["--unshare-all", "--ro-bind"]).path(&place.rootfs).add(["/"]);
                line.add(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
                line.add(command.iter().copied());
            }
            Self::Unshare => {
                line.add(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--fork"]);
                line.add(["--mount-proc", "--root"]).path(&place.rootfs);
                line.add(command.iter().copied());
            }
            Self::Podman => {
                // Nothing else looks after cgroups and writes a journal on the stage.
                line.add(["--root"]).path(&place.folder.join("podman"));
                line.add(["--cgroup-manager=cgroupfs", "--events-backend=none", "run", "--rm"]);
                line.add(["--network=bridge", "--cgroupns=private", "--log-driver=none"]);
                // More than this machine allows may be the default.
                line.add(["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]);
                let mut layer = place.rootfs.clone().into_os_string();
                layer.push(":O");
                line.add(LIMITS).add(["--rootfs"]).path(Path::new(&layer));
                line.add(command.iter().copied());
            }
        }
        line.0
    }
}

impl Place {
    /// Where `final` keeps its state.
    pub(super) fn store(&self) -> PathBuf {
        self.folder.join("final")
    }

    pub(super) fn bundle(&self, contestant: Contestant) -> PathBuf {
        self.folder.join(contestant.name())
    }
}

/// A command line in the making.
struct Line(Vec<OsString>);

impl Line {
    fn add<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) -> &mut Self {
        self.0.extend(words.into_iter().map(OsString::from));
        self
    }

    fn path(&mut self, path: &Path) -> &mut Self {
        self.0.push(path.into());
        self
    }
}

/// A program in the PATH.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
