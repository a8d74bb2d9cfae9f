//! The cage: a machine within the machine, with a hostname, a network, mounts and a limit of
//! processes of its own, so that the mistakes of a binary that is checked do not reach the real one.
//! It is no prison: the binary runs as root, and sees the machine's files and processes.
//!
//! One thread lives in the cage's namespaces and starts everything in it; the others stay outside
//! and look on. What runs in the cage is found, and killed, by its cgroup.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::unistd::{self, Pid};

use crate::kernel::{self, PidsCgroup};
use crate::mountinfo::{self, Mount};
use crate::signals::hearing_keys;
use crate::wait::until;

/// The name that the cage's machine goes by.
pub const HOSTNAME: &str = "host";

/// More processes than this cannot live in the cage at once.
const LIMIT: &str = "200";

const NONE: Option<&str> = None;

type Job = Box<dyn FnOnce() + Send>;

/// A throw-away machine to run containers on. Everything in it is killed when it goes.
pub struct Cage {
    jobs: Option<mpsc::Sender<Job>>,
    launcher: Option<thread::JoinHandle<()>>,
    /// The thread that lives in the cage: its view of the world is the cage's
    pub thread: Pid,
    cgroup: PathBuf,
    /// On v1, its cgroups in the trees of other controllers
    others: Vec<PathBuf>,
    /// Where everything in the cage starts
    folder: PathBuf,
}

impl Cage {
    /// Builds the cage, which takes root. What is started in it starts in `folder`.
    pub fn build(folder: &Path) -> Result<Self> {
        let cgroup = make_cgroup(&new_name())?;
        let (jobs, queue) = mpsc::channel::<Job>();
        let launcher = thread::spawn(move || queue.into_iter().for_each(|job| job()));
        let mut cage = Self {
            jobs: Some(jobs),
            launcher: Some(launcher),
            thread: Pid::this(),
            cgroup,
            others: Vec::new(),
            folder: folder.to_path_buf(),
        };
        cage.make_others()?;
        let own = folder.to_path_buf();
        cage.thread =
            cage.inside(move || enter_namespaces(&own))?.context("cannot build the cage")?;
        Ok(cage)
    }

    /// What is limited in another tree than the processes is to stay in the cage, too.
    fn make_others(&mut self) -> Result<()> {
        for controller in ["memory", "cpu"] {
            let Ok((1, home)) = kernel::cgroup(Pid::this(), controller) else { continue };
            let folder = home.join(new_name());
            let made = fs::create_dir(&folder);
            made.with_context(|| format!("cannot create {}", folder.display()))?;
            self.others.push(folder);
        }
        Ok(())
    }

    /// Runs a function on the thread that lives in the cage.
    pub fn inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = mpsc::channel();
        let job = Box::new(move || {
            let _ = sender.send(work());
        });
        let gone = "the cage's thread has gone";
        self.jobs.as_ref().context(gone)?.send(job).ok().context(gone)?;
        receiver.recv().context(gone)
    }

    /// Starts a program in the cage. `prepare` sets its standard streams and environment.
    pub fn spawn(
        &self,
        program: &[OsString],
        prepare: impl FnOnce(&mut Command) + Send + 'static,
    ) -> Result<Child> {
        // The shell joins the cgroups before it becomes the program: nothing can slip out.
        let join =
            r#"until [ "$1" = -- ]; do echo 0 > "$1" || exit; shift; done; shift; exec "$@""#;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", join, "sh"]).arg(self.leaf().join("cgroup.procs"));
        // A single thread that moves itself need not wait for all processors.
        command.args(self.others.iter().map(|other| other.join("tasks")));
        command.arg("--").args(hearing_keys(program)?).current_dir(&self.folder);
        let spawned = self.inside(move || {
            prepare(&mut command);
            // What this program holds back, the one that it starts would hold back, too.
            let held = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
            let spawned = command.spawn();
            held.thread_set_mask()?;
            spawned
        })?;
        let shown = program.join(OsStr::new(" "));
        spawned.with_context(|| format!("cannot start {} in the cage", shown.display()))
    }

    /// The cgroup that everything in the cage starts in.
    pub fn leaf(&self) -> PathBuf {
        self.cgroup.join("leaf")
    }

    /// The pids of all that runs in the cage.
    pub fn processes(&self) -> Vec<Pid> {
        kernel::processes_below(&self.cgroup)
    }

    /// The cgroups that somebody made in the cage.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = kernel::cgroups_below(&self.cgroup);
        found.extend(kernel::cgroups_below(&self.leaf()));
        found.extend(self.others.iter().flat_map(|other| kernel::cgroups_below(other)));
        found.retain(|cgroup| *cgroup != self.leaf());
        found
    }

    /// The mounts that the cage's machine has.
    pub fn mounts(&self) -> Result<Vec<Mount>> {
        mountinfo::of(self.thread)
    }

    /// The hostname of the cage's machine.
    pub fn hostname(&self) -> Result<String> {
        let name = self.inside(unistd::gethostname)?.context("cannot read the hostname")?;
        Ok(name.to_string_lossy().into_owned())
    }

    /// Kills all that runs in the cage and removes the cgroups that were made in it.
    pub fn sweep(&self) -> Result<()> {
        let empty = until(Duration::from_secs(5), || {
            let left = self.processes();
            for pid in &left {
                let _ = kill(*pid, Signal::SIGKILL);
            }
            left.is_empty()
        });
        if !empty {
            bail!("cannot end the processes {:?} in {}", self.processes(), self.cgroup.display());
        }
        for cgroup in self.cgroups() {
            remove_cgroup(&cgroup)?;
        }
        Ok(())
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let _ = self.sweep();
        for cgroup in self.others.iter().chain([&self.cgroup]) {
            let _ = remove_cgroup(cgroup);
        }
        // The namespaces go with the thread.
        drop(self.jobs.take());
        let _ = self.launcher.take().map(thread::JoinHandle::join);
    }
}

/// By this name `clean` knows who made a cgroup.
pub(crate) fn new_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("workshop-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A cgroup with the limit, and in it one for the processes: on v2 only leaves may hold any.
fn make_cgroup(name: &str) -> Result<PathBuf> {
    let own = PidsCgroup::of(Pid::this())?;
    let cgroup = own.parent_for_new()?.join(name);
    let write = |file: &str, text: &str| {
        let file = cgroup.join(file);
        fs::write(&file, text).with_context(|| format!("cannot write {text} to {}", file.display()))
    };
    fs::create_dir(&cgroup).with_context(|| format!("cannot create {}", cgroup.display()))?;
    let hand_down = || {
        // Without these, who limits memory or processors looks for them outside of the cage.
        let _ = write("cgroup.subtree_control", "+memory +cpu");
        write("cgroup.subtree_control", "+pids")
    };
    let filled = write("pids.max", LIMIT)
        .and_then(|()| if own.version == 2 { hand_down() } else { Ok(()) })
        .and_then(|()| fs::create_dir(cgroup.join("leaf")).context("cannot create a leaf cgroup"));
    if let Err(error) = filled {
        let _ = fs::remove_dir(&cgroup);
        return Err(error);
    }
    Ok(cgroup)
}

/// Removes a cgroup and those below it.
pub(crate) fn remove_cgroup(cgroup: &Path) -> Result<()> {
    for below in kernel::cgroups_below(cgroup) {
        remove_cgroup(&below)?;
    }
    fs::remove_dir(cgroup).with_context(|| format!("cannot remove {}", cgroup.display()))
}

/// Moves this thread into namespaces of its own, and returns its id.
fn enter_namespaces(folder: &Path) -> Result<Pid> {
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET;
    unshare(flags).context("cannot create namespaces")?;
    let set_all = |propagation| {
        mount(NONE, "/", NONE, MsFlags::MS_REC | propagation, NONE)
            .context("cannot set the propagation of mounts")
    };
    // Private towards the machine, but shared within, as systemd does on a real one: a step that
    // forgets to make its mounts private is seen to leak them.
    set_all(MsFlags::MS_PRIVATE)?;
    replace_run_and_sys().context("cannot mount the cage's own /run and /sys")?;
    // A mount of its own, as /home is on many machines: a step that makes only / private leaks here.
    mount(Some(folder), folder, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
        .with_context(|| format!("cannot mount {} on itself", folder.display()))?;
    set_all(MsFlags::MS_SHARED)?;
    unistd::sethostname(HOSTNAME).context("cannot set the hostname")?;
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    if !up.context("cannot start ip. Install the package iproute2")?.success() {
        bail!("cannot start the loopback interface");
    }
    Ok(unistd::gettid())
}

/// Names of network namespaces live in /run, and /sys shows the network it was mounted in. All
/// mounts are private by now: a shared copy would take the cgroups along when it goes.
fn replace_run_and_sys() -> nix::Result<()> {
    let (cgroups, aside) = ("/sys/fs/cgroup", "/run/cgroup");
    let rbind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    unistd::mkdir(aside, nix::sys::stat::Mode::S_IRWXU)?;
    mount(Some(cgroups), aside, NONE, rbind, NONE)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), NONE)?;
    mount(Some(aside), cgroups, NONE, rbind, NONE)?;
    umount2(aside, MntFlags::MNT_DETACH)
}
