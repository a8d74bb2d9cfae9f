//! The new process, from its first instruction to the command.

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::fcntl::{OFlag, open};
use nix::libc::rlim_t;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, fchown, setsid};

use crate::capabilities;
use crate::cgroup::Cgroup;
use crate::channel::{Channel, Message};
use crate::container::{Container, Mount, pair};
use crate::devices::Devices;
use crate::message::{AS_ROOT, Attempt, Failure, explain};
use crate::network::{self, Attachment};
use crate::root::Root;
use crate::trace::Trace;
use crate::user::Identity;
use crate::uts::Names;
use crate::{exec, kernel, mount, overlay, pid, root};

const ABANDONED: &str =
    "cannot go on: the process that started the container is gone. Start it again";

/// What the parent hands to the new process.
pub(crate) struct Start<'a> {
    pub(crate) container: &'a Container<'a>,
    pub(crate) cgroup: &'a Cgroup,
    /// clone3 has put us into the cgroup already, on v2.
    pub(crate) in_cgroup: bool,
    pub(crate) network: &'a Attachment,
}

/// Becomes the command, or tells the parent why not and ends.
pub(crate) fn become_command(start: &Start, parent: &Channel, mut trace: Trace) -> ! {
    trace.become_child();
    let failure = match prepare(start, parent, &mut trace) {
        Ok(ready) => {
            exec::replace(&start.container.command, &ready.environment, &ready.path, parent)
        }
        Err(error) => {
            let (status, message) = explain(&error);
            Failure { status, message }
        }
    };
    let status = failure.status;
    let _ = parent.send(&Message::Failed(failure));
    kernel::exit(status)
}

/// What exec needs when everything else is done.
struct Ready {
    environment: Vec<CString>,
    path: std::ffi::OsString,
}

/// The start, in order.
fn prepare(start: &Start, parent: &Channel, trace: &mut Trace) -> Result<Ready> {
    let container = start.container;
    let options = container.options;
    pid::die_with_parent()?;
    start.cgroup.join(start.in_cgroup)?;
    hide_other_cgroups()?;
    trace.did("join the cgroup");
    let names = names(start);
    names.set_hostname()?;
    overlay::make_private()?;
    trace.did("set the hostname, make all mounts private");

    umask(Mode::from_bits_truncate(0o022));
    let overlay = overlay::merge(&container.layers, &container.area)?;
    trace.did("mount the overlay");
    let root = Root::open(&overlay.root)?;
    let devices = Devices::mount(&root, options.privileged)?;
    let proc = mount::processes(&root)?;
    trace.did("mount dev and proc");
    if start.network.mode != network::Mode::Host {
        enter_network(parent)?;
        trace.did("enter the network namespace");
    }
    let mounted = mount::system(&root, proc, options.privileged)?;
    mount::cgroups(&mounted, start.cgroup, options.privileged)?;
    trace.did("mount sys and the cgroups");
    names.write(&overlay.files)?;
    mount::files(&root, &overlay.files)?;
    for mount in &container.mounts {
        match mount {
            Mount::Volume(volume) => mount::volume(&root, volume)?,
            Mount::Tmpfs(tmpfs) => mount::tmpfs(&root, tmpfs)?,
        }
    }
    if !options.privileged {
        mount::protect(&mounted, &devices.null)?;
    }
    trace.did("mount files and volumes, mask and lock paths");
    let terminal = if options.tty { Some(terminal(&devices, parent)?) } else { None };
    root.enter()?;
    trace.did("pivot into the new root");

    let identity = Identity::find(&root, container.user.as_ref())?;
    root::work_in(&root, &container.workdir)?;
    if options.read_only {
        mount::make_read_only(&root)?;
    }
    wait_for_network(parent)?;
    trace.did("look up the user, wait for the network");
    standard_streams(options.interactive, terminal, &identity)?;
    sane_limits()?;
    give_up_privileges(container, &identity)?;
    trace.did("drop capabilities, filter system calls");
    let ready = ready(container, &identity)?;
    parent.send(&Message::Trace(trace.lines()))?;
    if options.init {
        pid::stay_as_init(options.tty)?;
    }
    kernel::close_on_exec_from(3).or_cannot("close what is open", "Linux 5.11 or newer can")?;
    kernel::default_sigpipe().context("cannot reset SIGPIPE")?;
    SigSet::empty().thread_set_mask().context("cannot unblock signals")?;
    Ok(ready)
}

/// The cgroup that we are in becomes the root of what we see.
fn hide_other_cgroups() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWCGROUP).or_cannot("create a cgroup namespace", AS_ROOT)
}

fn names<'a>(start: &Start<'a>) -> Names<'a> {
    let container = start.container;
    Names {
        hostname: &container.hostname,
        ip: start.network.ip,
        hosts: &container.options.add_host,
        dns: &container.options.dns,
        mode: start.network.mode,
    }
}

/// Opens a terminal in the container and hands its other side to the parent.
fn terminal(devices: &Devices, parent: &Channel) -> Result<OwnedFd> {
    let (master, terminal) = devices.terminal()?;
    parent.send(&Message::Terminal(master))?;
    Ok(terminal)
}

/// Enters the namespace that the parent has made meanwhile.
fn enter_network(parent: &Channel) -> Result<()> {
    match parent.receive()? {
        Some(Message::Network(namespace)) => setns(namespace, CloneFlags::CLONE_NEWNET)
            .or_cannot("enter the container's network namespace", AS_ROOT),
        _ => bail!(ABANDONED),
    }
}

/// The parent connects us meanwhile; if it is gone, so is the reason to go on.
fn wait_for_network(parent: &Channel) -> Result<()> {
    match parent.receive()? {
        Some(Message::Go) => Ok(()),
        _ => bail!(ABANDONED),
    }
}

/// Connects stdin, stdout and stderr, in a session of our own: no terminal of the host controls it.
fn standard_streams(interactive: bool, terminal: Option<OwnedFd>, user: &Identity) -> Result<()> {
    setsid().or_cannot("start a session", "Try again")?;
    let streams = "connect stdin, stdout and stderr";
    if let Some(terminal) = terminal {
        let (uid, _) = user.ids();
        fchown(&terminal, Some(uid), None).or_cannot("hand over the terminal", AS_ROOT)?;
        kernel::control(&terminal).or_cannot("make the terminal ours", "Try again")?;
        dup2_stdin(&terminal).or_cannot(streams, "Try again")?;
        dup2_stdout(&terminal).or_cannot(streams, "Try again")?;
        return dup2_stderr(&terminal).or_cannot(streams, "Try again");
    }
    if !interactive {
        let null = open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
        dup2_stdin(null.or_cannot("open /dev/null", "Try again")?)
            .or_cannot(streams, "Try again")?;
    }
    Ok(())
}

/// What is meant for us is not meant for the command: protection from the OOM killer, and more open
/// files than programs reckon with.
fn sane_limits() -> Result<()> {
    const FILES: (rlim_t, rlim_t) = (1024, 1 << 19);
    let score = Path::new("/proc/self/oom_score_adj");
    let protected = fs::read_to_string(score).is_ok_and(|text| text.starts_with('-'));
    if protected {
        fs::write(score, "0").or_cannot("give up protection from the OOM killer", AS_ROOT)?;
    }
    let what = "limit the number of open files";
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).or_cannot(what, AS_ROOT)?;
    let hard = hard.min(FILES.1);
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(FILES.0), hard).or_cannot(what, AS_ROOT)
}

/// From here on there is nothing left that could harm the host.
fn give_up_privileges(container: &Container, identity: &Identity) -> Result<()> {
    let filter = || match &container.filter {
        Some(program) => kernel::filter_system_calls(program)
            .or_cannot("install the seccomp filter", "Try --security-opt seccomp=unconfined"),
        None => Ok(()),
    };
    capabilities::bound(&container.capabilities)?;
    if container.no_new_privileges {
        nix::sys::prctl::set_no_new_privs().context("cannot set no_new_privs")?;
    }
    // Without no_new_privs that takes CAP_SYS_ADMIN: so it comes first, and allows what follows.
    filter()?;
    // Another user loses the capabilities by the change itself.
    identity.assume()?;
    if identity.ids().0.is_root() {
        capabilities::apply(&container.capabilities)?;
    }
    // The change of user has cleared it.
    pid::die_with_parent()
}

fn ready(container: &Container, identity: &Identity) -> Result<Ready> {
    let mut pairs = Vec::new();
    let mut path = OsStr::new(crate::container::PATH);
    let mut home = false;
    for (name, value) in &container.environment {
        match name.to_str() {
            Some("PATH") => path = value,
            Some("HOME") => home = true,
            _ => {}
        }
        pairs.push(pair(name, value)?);
    }
    if !home {
        pairs.push(pair(OsStr::new("HOME"), OsStr::new(&identity.home))?);
    }
    Ok(Ready { environment: pairs, path: path.to_owned() })
}
