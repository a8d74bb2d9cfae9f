//! System calls that nix does not have, with types that make them safe to use. Besides the
//! [trampoline](crate::trampoline), this is the only module with `unsafe` in it.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_long, c_uint, c_ulong};
use std::fs::File;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::null;

use nix::errno::Errno;
use nix::libc;
use nix::pty::Winsize;
use nix::sched::CloneFlags;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::wait::WaitPidFlag;
use nix::unistd::{ForkResult, Pid};

/// Which of the two processes returned from [`clone3`].
pub(crate) enum Cloned {
    /// The new one, and whether it is in the cgroup already.
    Child { in_cgroup: bool },
    /// The old one; the pidfd stands for the new one.
    Parent { pid: Pid, pidfd: OwnedFd },
}

/// `struct clone_args` of clone3(2), which libc does not have for every architecture; 0 means "not
/// used".
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Starts a process in new namespaces and, on cgroup v2, in `cgroup` from its first instant
/// (clone3(2)). Falls back to clone(2) where clone3 is missing, or forbidden by a seccomp filter.
pub(crate) fn clone3(flags: CloneFlags, cgroup: Option<BorrowedFd>) -> nix::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    let flags = flags.bits() as u64 | libc::CLONE_PIDFD as u64;
    let mut arguments = CloneArguments {
        flags,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..Default::default()
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM it works as fork(2) does: the child continues here on a copy of the
    // memory. That copy is whole since no other thread exists: this program starts none.
    let mut pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArguments>()) };
    let mut in_cgroup = cgroup.is_some();
    if pid < 0 && matches!(Errno::last(), Errno::ENOSYS | Errno::EINVAL | Errno::E2BIG) {
        in_cgroup = false;
        let flags = (flags | libc::SIGCHLD as u64) as c_ulong;
        // SAFETY: as above. The third argument is where CLONE_PIDFD puts the descriptor.
        pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    }
    match Errno::result(pid)? {
        0 => Ok(Cloned::Child { in_cgroup }),
        pid => {
            // SAFETY: the kernel made this descriptor for us just now.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid: Pid::from_raw(pid as i32), pidfd })
        }
    }
}

/// fork(2).
pub(crate) fn fork() -> nix::Result<ForkResult> {
    // SAFETY: no other thread exists, so the child may do whatever the parent may.
    unsafe { nix::unistd::fork() }
}

/// The number of a signal, which may be a real-time one: nix has no names for those (signal(7)).
pub(crate) type SignalNumber = c_int;

/// Sends a signal to the process behind a pidfd: never to another one that got its pid
/// (pidfd_send_signal(2)).
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd, signal: SignalNumber) -> nix::Result<()> {
    let info = null::<libc::siginfo_t>();
    // SAFETY: without siginfo, the call takes numbers only.
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) };
    Errno::result(sent).map(drop)
}

/// Sends a signal to a process (kill(2)).
pub(crate) fn send_signal(pid: Pid, signal: SignalNumber) -> nix::Result<()> {
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::kill(pid.as_raw(), signal) }).map(drop)
}

/// Waits for any signal; all have to be blocked (sigwait(3)).
pub(crate) fn next_signal() -> nix::Result<SignalNumber> {
    let mut signal = 0;
    // SAFETY: the set outlives the call, which writes one number.
    match unsafe { libc::sigwait(SigSet::all().as_ref(), &raw mut signal) } {
        0 => Ok(signal),
        error => Err(Errno::from_raw(error)),
    }
}

/// A child that has ended, with its exit status as a shell tells it: 128+n for signal n. With
/// WNOHANG, none if none has (waitpid(2)).
pub(crate) fn wait(which: Option<Pid>, flags: WaitPidFlag) -> nix::Result<Option<(Pid, u8)>> {
    let mut status = 0;
    let which = which.map_or(-1, Pid::as_raw);
    loop {
        // SAFETY: the kernel writes one number.
        let ended = unsafe { libc::waitpid(which, &raw mut status, flags.bits()) };
        match Errno::result(ended) {
            Ok(0) => return Ok(None),
            Ok(pid) if libc::WIFSIGNALED(status) => {
                return Ok(Some((Pid::from_raw(pid), 128 + libc::WTERMSIG(status) as u8)));
            }
            Ok(pid) if libc::WIFEXITED(status) => {
                return Ok(Some((Pid::from_raw(pid), libc::WEXITSTATUS(status) as u8)));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Replaces this process by the program behind `file` (execveat(2)). Returns only on failure.
pub(crate) fn exec_file(file: BorrowedFd, arguments: &[&CStr], environment: &[&CStr]) -> Errno {
    let pointers = |words: &[&CStr]| {
        words.iter().map(|word| word.as_ptr()).chain([null()]).collect::<Vec<_>>()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both lists end with a null pointer, and their strings outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

/// Marks every descriptor from `first` on as close-on-exec (close_range(2)).
pub(crate) fn close_on_exec_from(first: RawFd) -> nix::Result<()> {
    // SAFETY: takes numbers only. Nothing is closed before exec.
    let marked = unsafe {
        libc::syscall(libc::SYS_close_range, first, c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    Errno::result(marked).map(drop)
}

/// Closes every descriptor but one, and ends with the status that `last` returns. For a process
/// that lives on without the files of the one it was forked from.
pub(crate) fn close_others_and_end<T: AsFd>(
    kept: Option<T>,
    last: impl FnOnce(Option<T>) -> u8,
) -> ! {
    let close = |first: c_uint, end: c_uint| {
        // SAFETY: whoever owns these descriptors does not use them any more: nothing runs after
        // `last`, which has none but the one that is kept.
        unsafe { libc::syscall(libc::SYS_close_range, first, end, 0) };
    };
    match kept.as_ref().map(|kept| kept.as_fd().as_raw_fd() as c_uint) {
        Some(kept) => {
            if let Some(last) = kept.checked_sub(1) {
                close(0, last);
            }
            close(kept + 1, c_uint::MAX);
        }
        None => close(0, c_uint::MAX),
    }
    exit(last(kept))
}

/// What a mount forbids: `MOUNT_ATTR_*` of mount_setattr(2).
pub(crate) type Attributes = u64;

/// A new filesystem that is mounted nowhere yet: `options` are words or pairs (fsopen(2)).
pub(crate) fn new_filesystem(
    kind: &CStr,
    options: &[(&CStr, Option<&CStr>)],
    attributes: Attributes,
) -> nix::Result<OwnedFd> {
    // SAFETY: takes a string and a number, returns a new descriptor.
    let context =
        descriptor(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    // What is seen as the source in mountinfo.
    let source = (c"source", Some(kind));
    for (key, value) in [source].iter().chain(options) {
        let command = if value.is_some() { FSCONFIG_SET_STRING } else { FSCONFIG_SET_FLAG };
        configure(&context, command, Some(key), *value)?;
    }
    configure(&context, FSCONFIG_CMD_CREATE, None, None)?;
    // SAFETY: takes numbers only, returns a new descriptor.
    descriptor(unsafe {
        libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes as c_uint)
    })
}

fn configure(
    context: &OwnedFd,
    command: c_uint,
    key: Option<&CStr>,
    value: Option<&CStr>,
) -> nix::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(null(), CStr::as_ptr);
    // SAFETY: both strings outlive the call; null where the command takes none.
    let done = unsafe {
        let (key, value) = (pointer(key), pointer(value));
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0)
    };
    Errno::result(done).map(drop)
}

/// A copy of the mount at `path`, and with `recursive` of those below it, mounted nowhere yet
/// (open_tree(2)).
pub(crate) fn clone_mount(
    folder: BorrowedFd,
    path: &CStr,
    recursive: bool,
) -> nix::Result<OwnedFd> {
    let recursive = if recursive { libc::AT_RECURSIVE } else { 0 };
    let flags = (recursive | libc::AT_EMPTY_PATH) as c_uint | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
    // SAFETY: takes a string and numbers, returns a new descriptor.
    descriptor(unsafe {
        libc::syscall(libc::SYS_open_tree, folder.as_raw_fd(), path.as_ptr(), flags)
    })
}

/// Forbids more to everything in a mount, and with `recursive` below it (mount_setattr(2)).
pub(crate) fn restrict(
    mount: BorrowedFd,
    attributes: Attributes,
    recursive: bool,
) -> nix::Result<()> {
    let change =
        libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let recursive = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `change` is of the size given and outlives the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(done).map(drop)
}

/// Puts a mount that is mounted nowhere on `target`, an open file or folder (move_mount(2)).
pub(crate) fn attach(mount: BorrowedFd, target: BorrowedFd) -> nix::Result<()> {
    let (from, to) = (mount.as_raw_fd(), target.as_raw_fd());
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: takes empty strings and numbers.
    let moved =
        unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, c"".as_ptr(), flags) };
    Errno::result(moved).map(drop)
}

/// Reads an option of a socket into a buffer, which also holds the question (getsockopt(2)).
pub(crate) fn socket_option(
    socket: impl AsFd,
    level: c_int,
    name: c_int,
    buffer: &mut [u8],
) -> nix::Result<()> {
    let mut length = buffer.len().try_into().map_err(|_| Errno::EINVAL)?;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads and writes no more than `length` bytes of the buffer.
    let read = unsafe {
        libc::getsockopt(socket, level, name, buffer.as_mut_ptr().cast(), &raw mut length)
    };
    Errno::result(read).map(drop)
}

/// The size of the terminal (ioctl_tty(2)).
pub(crate) fn window_size(terminal: impl AsFd) -> nix::Result<Winsize> {
    let mut size = Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel fills in one winsize.
    let done =
        unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    Errno::result(done).map(|_| size)
}

/// Sets the size of the terminal and sends SIGWINCH to who is in its foreground.
pub(crate) fn set_window_size(terminal: impl AsFd, size: &Winsize) -> nix::Result<()> {
    // SAFETY: the kernel reads one winsize.
    let done = unsafe {
        libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, size as *const Winsize)
    };
    Errno::result(done).map(drop)
}

/// Unlocks the other side of the pseudo-terminal and opens it, without looking up any path
/// (ioctl_tty(2)). Returns it with its number in /dev/pts.
pub(crate) fn open_peer(master: &File) -> nix::Result<(OwnedFd, u32)> {
    let (unlock, mut number): (c_int, c_uint) = (0, 0);
    let master = master.as_raw_fd();
    // SAFETY: the kernel reads one number.
    Errno::result(unsafe { libc::ioctl(master, libc::TIOCSPTLCK, &raw const unlock) })?;
    // SAFETY: the kernel writes one number.
    Errno::result(unsafe { libc::ioctl(master, libc::TIOCGPTN, &raw mut number) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: takes a number, returns a new descriptor.
    let peer = unsafe { libc::ioctl(master, libc::TIOCGPTPEER, flags) };
    Ok((descriptor(c_long::from(peer))?, number))
}

/// Makes the terminal the one that controls this session.
pub(crate) fn control(terminal: impl AsFd) -> nix::Result<()> {
    // SAFETY: takes numbers only.
    let done = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) };
    Errno::result(done).map(drop)
}

/// Installs a seccomp filter for this process and all that it starts (seccomp(2)).
pub(crate) fn filter_system_calls(program: &[libc::sock_filter]) -> nix::Result<()> {
    let len = program.len().try_into().map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel reads `len` instructions and keeps a copy.
    let done = unsafe {
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        libc::syscall(libc::SYS_seccomp, mode, 0, &raw const program)
    };
    Errno::result(done).map(drop)
}

/// Ends at once, without the work that ending a Rust program takes. For a forked child.
pub(crate) fn exit(status: u8) -> ! {
    // SAFETY: it does not return, and what it skips belongs to the parent.
    unsafe { libc::_exit(c_int::from(status)) }
}

/// Lets SIGPIPE end a process again: Rust ignores it, and a program that is started inherits that.
pub(crate) fn default_sigpipe() -> nix::Result<()> {
    // SAFETY: the default action runs no code of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.map(drop)
}

/// Takes charge of a descriptor that arrived in a message.
pub(crate) fn received(number: RawFd) -> OwnedFd {
    // SAFETY: recvmsg(2) made it for us just now, and each is taken once.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// A descriptor that a system call returned, or why it did not.
fn descriptor(returned: c_long) -> nix::Result<OwnedFd> {
    let number = Errno::result(returned)? as RawFd;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

// From <linux/sched.h>; what libc has of it is too narrow.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

// From <linux/mount.h>.
const FSOPEN_CLOEXEC: c_uint = 1;
const FSMOUNT_CLOEXEC: c_uint = 1;
const FSCONFIG_SET_FLAG: c_uint = 0;
const FSCONFIG_SET_STRING: c_uint = 1;
const FSCONFIG_CMD_CREATE: c_uint = 6;
const OPEN_TREE_CLONE: c_uint = 1;
const OPEN_TREE_CLOEXEC: c_uint = libc::O_CLOEXEC as c_uint;
const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: c_uint = 0x40;
