//! What is written down about a container before anything is done for it, so that `prune` can
//! undo it if this process cannot.
//!
//! A container that is kept has a folder, `ROOT/containers/NAME`, with `state.json` in it. One that
//! goes with its end leaves nothing on a disk: its state is a file in `/run`, where nothing outlives
//! a boot. Who adds or prunes a container holds the lock on `ROOT/lock`.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::getpid;
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::message::{AS_ROOT, Attempt};
use crate::network::{self, Attachment};
use crate::parse::Name;

/// A process, not to be mistaken for a later one with the same pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// When it was started, in clock ticks after the machine was (proc_pid_stat(5)).
    start: u64,
    /// The machine's start.
    boot: String,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) name: Name,
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    /// The folder goes when the container ends.
    pub(crate) remove: bool,
    pub(crate) supervisor: Process,
    /// The container's process 1, by its pid on the host, once it runs.
    pub(crate) init: Option<Process>,
    pub(crate) cgroup: Cgroup,
    pub(crate) network: Attachment,
    /// How a container that is kept has ended.
    pub(crate) status: Option<u8>,
}

/// Where nothing outlives a boot.
pub(crate) const RUN: &str = "/run/containers-from-scratch";

const NO_ROOM: &str = "Make room on the disk";

/// `ROOT`
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
    /// How the names of its files in `/run` begin
    prefix: String,
}

/// As long as it lives, no other process adds or prunes containers.
pub(crate) struct Lock(#[expect(dead_code, reason = "its end is the end of the lock")] Flock<File>);

impl Store {
    /// Makes the folders that are missing.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let cure = "Run it as root, or name another folder with --root";
        let what = || format!("use {}", root.display());
        for folder in ["containers", "images", "layers", "mnt"] {
            let folder = root.join(folder);
            if !folder.is_dir() {
                make_private(&folder).or_cannot(what(), cure)?;
            }
        }
        let root = root.canonicalize().or_cannot(what(), cure)?;
        let data = root.metadata().or_cannot(what(), cure)?;
        Ok(Self { root, prefix: format!("{:x}-{:x}-", data.dev(), data.ino()) })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Waits until nobody else holds the lock.
    pub(crate) fn lock(&self) -> Result<Lock> {
        lock(&self.root.join("lock"))
    }

    /// Where containers mount what is seen by themselves only.
    pub(crate) fn mount_point(&self) -> PathBuf {
        self.root.join("mnt")
    }

    /// The folder of a container that is kept.
    pub(crate) fn folder(&self, name: &Name) -> PathBuf {
        self.root.join("containers").join(name.as_str())
    }

    /// The state of a container that is kept, or of one that is not.
    fn file(&self, name: &Name, kept: bool) -> PathBuf {
        match kept {
            true => self.folder(name).join("state.json"),
            false => Path::new(RUN).join(format!("{}{name}.json", self.prefix)),
        }
    }

    /// Whether there is a container of that name.
    pub(crate) fn has(&self, name: &Name) -> bool {
        let places = [self.folder(name), self.file(name, false)];
        places.iter().any(|place| place.symlink_metadata().is_ok())
    }

    /// Takes the name; `describe` then says what there will be to undo. Call it under the lock.
    pub(crate) fn add(
        &self,
        _: &Lock,
        name: &Name,
        kept: bool,
        describe: impl FnOnce() -> Result<State>,
    ) -> Result<State> {
        if self.has(name) {
            bail!(
                "cannot call it {name}: there is a container of that name. Choose another, or \
                 remove that one with: final rm {name}"
            );
        }
        let file = self.file(name, kept);
        let folder = file.parent().unwrap_or(Path::new(RUN));
        make_private(folder).or_cannot(format_args!("create {}", folder.display()), AS_ROOT)?;
        let write = |state: &State| {
            let text = serde_json::to_string(state).context("cannot write down the state")?;
            // What is cut off here is of a container for which nothing has been done yet.
            let written = File::create_new(&file).and_then(|mut it| it.write_all(text.as_bytes()));
            written.or_cannot(format_args!("write {}", file.display()), NO_ROOM)
        };
        let added = describe().and_then(|state| {
            // An address that nothing tells of any more would be lost until the next `prune`.
            write(&state).inspect_err(|_| drop(network::detach(&state.network, &self.root)))?;
            Ok(state)
        });
        if added.is_err() {
            let _ = self.remove(name);
        }
        added
    }

    /// Writes the state: whoever reads it meanwhile finds the old or the new one, never half of it.
    pub(crate) fn save(&self, state: &State) -> Result<()> {
        let file = self.file(&state.name, !state.remove);
        let new = file.with_extension("new");
        let text = serde_json::to_string(state).context("cannot write down the state")?;
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &file));
        written.or_cannot(format_args!("write {}", file.display()), NO_ROOM)
    }

    /// Reads a container's state.
    pub(crate) fn load(&self, name: &Name) -> Result<State> {
        let file = self.file(name, self.folder(name).exists());
        let text = fs::read_to_string(&file)
            .or_cannot(format_args!("read {}", file.display()), "Is it the right --root?")?;
        parse(&text).map_err(|error| {
            let cure = "Remove what is left with: final prune";
            anyhow!("cannot understand {}: {error:#}. {cure}", file.display())
        })
    }

    /// The names of all containers.
    pub(crate) fn names(&self) -> Result<Vec<Name>> {
        let kept = entries(&self.root.join("containers"))?.into_iter();
        let ours = |file: String| {
            let name = file.strip_prefix(&self.prefix)?.strip_suffix(".json")?;
            Some(name.to_owned())
        };
        let all = kept.chain(entries(Path::new(RUN))?.into_iter().filter_map(ours));
        Ok(all.filter_map(|name| name.parse().ok()).collect())
    }

    /// Removes a container with all that it wrote.
    pub(crate) fn remove(&self, name: &Name) -> Result<()> {
        let (folder, passing) = (self.folder(name), self.file(name, false));
        // The state goes last: as long as something is left, it is known whose that is.
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let removed = entries
            .filter(|entry| entry.file_name() != "state.json")
            .try_for_each(|entry| match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path()),
                false => fs::remove_file(entry.path()),
            })
            .and_then(|()| ignore_missing(fs::remove_file(folder.join("state.json"))))
            .and_then(|()| ignore_missing(fs::remove_dir(&folder)))
            .and_then(|()| ignore_missing(fs::remove_file(&passing)));
        removed.or_cannot(format_args!("remove the container {name}"), "Try: final prune")
    }
}

/// The names of what lies in a folder.
fn entries(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
    };
    let entries = entries.or_cannot(format_args!("read {}", folder.display()), AS_ROOT)?;
    Ok(entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Makes a folder and those above it. What containers write is for root's eyes: it may be
/// set-user-ID.
pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Takes the lock on a file, and makes that file if it is missing.
pub(crate) fn lock(path: &Path) -> Result<Lock> {
    let what = format!("lock {}", path.display());
    let file = File::options().create(true).append(true).open(path).or_cannot(&what, AS_ROOT)?;
    let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error);
    Ok(Lock(lock.or_cannot(&what, "Try again")?))
}

impl State {
    /// True as long as somebody looks after the container.
    pub(crate) fn is_supervised(&self) -> bool {
        self.supervisor.is_alive()
    }
}

impl Process {
    /// This process.
    pub(crate) fn this() -> Result<Self> {
        Self::of(getpid().as_raw())
    }

    pub(crate) fn of(pid: i32) -> Result<Self> {
        let (_, start) = stat(pid).with_context(|| format!("cannot read /proc/{pid}/stat"))?;
        Ok(Self { pid, start, boot: boot()?.to_owned() })
    }

    /// The one that is written like this, if it was started since the machine was.
    pub(crate) fn on_this_boot(text: &str) -> Option<Self> {
        let (pid, start) = text.split_once('-')?;
        let (pid, start) = (pid.parse().ok()?, start.parse().ok()?);
        Some(Self { pid, start, boot: boot().ok()?.to_owned() })
    }

    /// Not if it is a zombie, nor if the pid is another process's by now.
    pub(crate) fn is_alive(&self) -> bool {
        let same = |(state, start)| state != 'Z' && state != 'X' && start == self.start;
        boot().is_ok_and(|boot| boot == self.boot) && stat(self.pid).is_some_and(same)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}-{}", self.pid, self.start)
    }
}

/// A process's state and start.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold blanks and parentheses of its own.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.nth(18)?.parse().ok()?))
}

/// The machine's start, by a name that no other start has (random(4)).
pub(crate) fn boot() -> Result<&'static str> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Ok(boot);
    }
    let file = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(file).or_cannot(format_args!("read {file}"), "Mount /proc")?;
    Ok(BOOT.get_or_init(|| text.trim().to_string()))
}

fn parse(text: &str) -> Result<State> {
    Ok(serde_json::from_str(text)?)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> State {
        State {
            name: "web".parse().unwrap(),
            image: "host".into(),
            command: vec!["sh".into(), "-c".into(), "echo \"\n\"".into()],
            remove: true,
            supervisor: Process::this().unwrap(),
            init: None,
            cgroup: Cgroup::default(),
            network: crate::network::Attachment {
                mode: crate::network::Mode::None,
                container: "web".into(),
                network: String::new(),
                ip: None,
                veth: None,
                ports: Vec::new(),
            },
            status: None,
        }
    }

    #[test]
    fn a_state_comes_back_as_it_was() {
        let text = serde_json::to_string(&state()).unwrap();
        assert_eq!(parse(&text).unwrap(), state());
        assert!(parse(&text.replace("\"web\"", "\"../web\"")).is_err());
    }

    #[test]
    fn a_pid_that_is_used_again_is_another_process() {
        let this = Process::this().unwrap();
        assert!(this.is_alive());
        assert!(!Process { start: this.start + 1, ..this.clone() }.is_alive());
        assert_eq!(Process::on_this_boot(&this.to_string()), Some(this.clone()));
        assert!(!Process { boot: "before".into(), ..this }.is_alive());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn a_truncated_state_is_none(cut in 0..300_usize) {
            let text = serde_json::to_string(&state()).unwrap();
            prop_assert!(parse(&text[..cut.min(text.len() - 1)]).is_err());
        }
    }
}
