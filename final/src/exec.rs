//! Becoming the command (execve(2)).

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use crate::message::{FAILED, Failure, NOT_EXECUTABLE, NOT_FOUND};
use crate::trampoline;

/// Replaces this process by the command, looked up in `path` if it has no slash. Returns only on
/// failure: 127 if it is not there, 126 if it cannot be executed.
pub(crate) fn replace(
    command: &[CString],
    environment: &[CString],
    path: &OsStr,
    channel: impl AsFd,
) -> Failure {
    let Some(program) = command.first() else {
        return Failure { status: NOT_FOUND, message: "cannot run nothing. Name a command".into() };
    };
    match find(program, path) {
        Ok(file) => failure(program, trampoline::jump(&file, command, environment, channel)),
        Err(error) => failure(program, error),
    }
}

/// The first that may be executed.
fn find(program: &CStr, path: &OsStr) -> nix::Result<CString> {
    let mut error = Errno::ENOENT;
    for candidate in candidates(program, path) {
        match faccessat(AT_FDCWD, candidate.as_c_str(), AccessFlags::X_OK, AtFlags::AT_EACCESS) {
            Ok(()) => return Ok(candidate),
            Err(Errno::ENOENT | Errno::ENOTDIR) if !program.to_bytes().contains(&b'/') => {}
            // There may be another one further down the path.
            Err(reason) => error = reason,
        }
    }
    Err(error)
}

fn candidates(program: &CStr, path: &OsStr) -> Vec<CString> {
    if program.to_bytes().is_empty() {
        return Vec::new();
    }
    if program.to_bytes().contains(&b'/') {
        return vec![program.to_owned()];
    }
    let folders = path.as_bytes().split(|byte| *byte == b':').map(|folder| match folder {
        b"" => Path::new("."),
        folder => Path::new(OsStr::from_bytes(folder)),
    });
    let name = OsStr::from_bytes(program.to_bytes());
    folders
        .filter_map(|folder| CString::new(folder.join(name).as_os_str().as_bytes()).ok())
        .collect()
}

/// Why the command does not run, in words.
pub(crate) fn failure(program: &CStr, error: Errno) -> Failure {
    let (status, cure) = match error {
        Errno::ENOENT => (NOT_FOUND, "Is it in the PATH, and its interpreter there?"),
        Errno::EAGAIN | Errno::ENOMEM => (FAILED, "Give the container more memory or processes"),
        Errno::ENOEXEC => (NOT_EXECUTABLE, "Is it for this machine, or a script without #!?"),
        _ => (NOT_EXECUTABLE, "Is it a program, and executable?"),
    };
    let message = format!("cannot run {program:?}: {}. {cure}", error.desc());
    Failure { status, message }
}
