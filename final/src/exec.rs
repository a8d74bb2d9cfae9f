//! Becoming the command (execve(2)).

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::execve;

use crate::message::{FAILED, Failure, NOT_EXECUTABLE, NOT_FOUND};

/// Replaces this process by the command, looked up in `path` if it has no slash. Returns only on
/// failure: 127 if it is not there, 126 if it cannot be executed.
pub(crate) fn replace(command: &[CString], environment: &[CString], path: &OsStr) -> Failure {
    let Some(program) = command.first() else {
        return Failure { status: NOT_FOUND, message: "cannot run nothing. Name a command".into() };
    };
    let mut error = Errno::ENOENT;
    for candidate in candidates(program, path) {
        let Err(reason) = execve(&candidate, command, environment);
        match reason {
            Errno::ENOENT | Errno::ENOTDIR if program.to_bytes().contains(&b'/') => error = reason,
            Errno::ENOENT | Errno::ENOTDIR => {}
            // There may be another one further down the path.
            Errno::EACCES => error = reason,
            _ => return failure(program, reason),
        }
    }
    failure(program, error)
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

fn failure(program: &CStr, error: Errno) -> Failure {
    let (status, cure) = match error {
        Errno::ENOENT => (NOT_FOUND, "Is it in the PATH, and its interpreter there?"),
        Errno::EAGAIN | Errno::ENOMEM => (FAILED, "Give the container more memory or processes"),
        Errno::ENOEXEC => (NOT_EXECUTABLE, "Is it for this machine, or a script without #!?"),
        _ => (NOT_EXECUTABLE, "Is it a program, and executable?"),
    };
    let message = format!("cannot run {program:?}: {}. {cure}", error.desc());
    Failure { status, message }
}
