//! `final run`: the process that starts a container, stays with it and cleans up after it.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;

use crate::cgroup::Cgroup;
use crate::channel::{Channel, Message};
use crate::child::{self, Start};
use crate::container::Container;
use crate::kernel::{self, Cloned, SignalNumber};
use crate::message::{AS_ROOT, Attempt, Failure, complain, warn};
use crate::network::{self, Settler};
use crate::options::Run;
use crate::state::{Process, State, Store};
use crate::supervisor::{self, Signals};
use crate::trace::Trace;
use crate::{exec, image, protect, trampoline};

/// What is the container's own from its first instant. It enters its network namespace and makes its
/// cgroup namespace later.
const NAMESPACES: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWPID);

/// Runs a container from its beginning to its end, and returns the exit status.
pub(crate) fn run(options: &Run, root: &Path) -> Result<u8> {
    let mut trace = Trace::new(options.debug);
    if options.init || !trampoline::AVAILABLE {
        protect::own_binary()?;
    }
    let store = Store::open(root)?;
    let image = image::find(&store, options)?;
    trace.did("find the image");
    let container = Container::new(options, image, &store)?;
    // What arrives from here on is for the container: nothing is left half done.
    let signals = Signals::catch()?;
    let mut state = register(&store, &container)?;
    trace.did("write down what there will be to undo");
    let outcome = start_and_supervise(&container, &store, &mut state, &signals, trace);
    if let Some(settler) = clean_up(&store, &mut state, outcome.as_ref().ok().copied()) {
        settler.start().unwrap_or_else(|error| complain(&format!("{error:#}")));
    }
    outcome
}

/// Takes the name and the address, and writes down what is going to be done, before it is done.
fn register(store: &Store, container: &Container) -> Result<State> {
    let cgroup = Cgroup::plan(container.name.as_str(), &container.limits)?;
    let lock = store.lock()?;
    store.add(&lock, &container.name, !container.options.rm, || {
        Ok(State {
            name: container.name.clone(),
            image: container.options.image.to_string_lossy().into_owned(),
            command: container.command.iter().map(|it| it.to_string_lossy().into_owned()).collect(),
            remove: container.options.rm,
            supervisor: Process::this()?,
            init: None,
            cgroup,
            network: network::intent(&container.network, container.name.as_str(), store.root())?,
            status: None,
        })
    })
}

/// The start, in order; then the run.
fn start_and_supervise(
    container: &Container,
    store: &Store,
    state: &mut State,
    signals: &Signals,
    mut trace: Trace,
) -> Result<u8> {
    state.cgroup.create(&container.limits)?;
    trace.did("create the cgroup with its limits");
    let into = state.cgroup.v2()?;
    let (ours, theirs) = Channel::pair()?;
    let cloned = kernel::clone3(NAMESPACES, into.as_ref().map(File::as_fd));
    let (pid, pidfd) = match cloned.or_cannot("create the container's namespaces", AS_ROOT)? {
        Cloned::Child { in_cgroup } => {
            drop(ours);
            let (cgroup, network) = (&state.cgroup, &state.network);
            let start = Start { container, cgroup, in_cgroup, network };
            child::become_command(&start, &theirs, trace)
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop(theirs);
    trace.did("clone a process into new namespaces");
    // The new process mounts while this one connects.
    let connected = connect(state, &ours).and_then(|()| ours.send(&Message::Go));
    if let Err(error) = connected {
        return Err(give_up(&ours, &pidfd, error));
    }
    trace.did("connect the network");
    if !state.remove {
        state.init = Process::of(pid.as_raw()).ok();
        store.save(state)?;
    }
    let terminal = wait_for_command(&ours, container.program(), &mut trace)?;
    trace.did("the command runs");
    trace.print();
    supervisor::supervise(pid, &pidfd, signals, terminal, container.options.interactive)
}

/// Makes the container's network, and hands its namespace over as soon as there is one.
fn connect(state: &State, child: &Channel) -> Result<()> {
    if state.network.mode == network::Mode::Host {
        return Ok(());
    }
    let namespace = network::namespace::create()?;
    let copy = namespace.try_clone();
    let copy = copy.or_cannot("hand over the container's network", "Raise ulimit -n")?;
    child.send(&Message::Network(copy))?;
    let warnings = network::attach(&state.network, namespace.as_fd())?;
    warnings.iter().for_each(|warning| warn(warning));
    Ok(())
}

/// Ends a start. If the new process had failed before, that is the reason.
fn give_up(child: &Channel, pidfd: &OwnedFd, error: anyhow::Error) -> anyhow::Error {
    let _ = kernel::pidfd_send_signal(pidfd.as_fd(), Signal::SIGKILL as SignalNumber);
    match wait_for_command(child, c"", &mut Trace::new(false)) {
        Err(reason) if reason.is::<Failure>() => reason,
        _ => error,
    }
}

/// Waits until the new process has become the command, which closes its end of the channel.
fn wait_for_command(child: &Channel, program: &CStr, trace: &mut Trace) -> Result<Option<OwnedFd>> {
    let (mut terminal, mut ready) = (None, false);
    loop {
        match child.receive()? {
            Some(Message::Terminal(master)) => terminal = Some(master),
            Some(Message::Trace(lines)) => {
                trace.add(&lines);
                ready = true;
            }
            Some(Message::Failed(failure)) => bail!(failure),
            Some(Message::NoExec(error)) => bail!(exec::failure(program, error)),
            None if ready => return Ok(terminal),
            _ => bail!(
                "cannot start the container: its first process was killed. Was there too little \
                 memory? Try a larger --memory"
            ),
        }
    }
}

/// Undoes what was done, goes on past failures and tells them all. A container that is kept is
/// kept if its command ran. What is the same for all containers may be left to a settler.
fn clean_up(store: &Store, state: &mut State, status: Option<u8>) -> Option<Settler> {
    if status.is_some() && state.cgroup.out_of_memory() > 0 {
        warn(
            "the kernel killed a process of the container: it reached its limit of memory. Raise it with --memory",
        );
    }
    let mut errors = state.cgroup.remove();
    let (disconnected, settler) = network::detach(&state.network, store.root());
    errors.extend(disconnected);
    if !errors.is_empty() {
        errors.push(anyhow!("cannot clean up after {}. Finish it with: final prune", state.name));
    } else if state.remove || status.is_none() {
        errors.extend(store.remove(&state.name).err());
    } else {
        state.status = status;
        errors.extend(store.save(state).err());
    }
    errors.iter().for_each(|error| complain(&format!("{error:#}")));
    settler
}
