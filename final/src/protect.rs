//! Keeps our own binary out of the container's reach.
//!
//! With `--init` this program stays in the container as process 1, and `/proc/1/exe` must not lead
//! to a file that the container can overwrite (CVE-2019-5736). So the whole run then happens from a
//! mount of the binary that is read-only and lies in no folder. That takes a second exec, about a
//! millisecond; other runs do with the [trampoline](crate::trampoline).

use std::env;
use std::ffi::{CString, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::MOUNT_ATTR_RDONLY;
use nix::sys::prctl;
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};

use crate::kernel;
use crate::message::{AS_ROOT, Attempt};

/// Starts this program anew from a read-only mount of itself, unless it runs from one.
pub(crate) fn own_binary() -> Result<()> {
    let what = "protect our own binary from the container";
    let own = nix::fcntl::open("/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
        .or_cannot(what, "Mount /proc")?;
    let flags = fstatvfs(&own).or_cannot(what, "Mount /proc")?.flags();
    if flags.contains(FsFlags::ST_RDONLY) {
        // The name was lost on the way.
        return prctl::set_name(c"final").context("cannot set the name of this process");
    }
    let copy = match kernel::clone_mount(own.as_fd(), c"", false) {
        // It has been deleted: nobody will run it again.
        Err(Errno::ENOENT) => return Ok(()),
        copy => copy.or_cannot(what, AS_ROOT)?,
    };
    kernel::restrict(copy.as_fd(), MOUNT_ATTR_RDONLY, false)
        .or_cannot(what, "Linux 5.12 or newer can")?;
    let arguments = strings(env::args_os())?;
    let environment = strings(env::vars_os().map(|(name, value)| {
        let mut pair = name;
        pair.push("=");
        pair.push(value);
        pair
    }))?;
    let (arguments, environment): (Vec<_>, Vec<_>) = (
        arguments.iter().map(CString::as_c_str).collect(),
        environment.iter().map(CString::as_c_str).collect(),
    );
    Err(kernel::exec_file(copy.as_fd(), &arguments, &environment)).or_cannot(what, AS_ROOT)
}

fn strings(words: impl Iterator<Item = OsString>) -> Result<Vec<CString>> {
    words
        .map(|word| CString::new(word.into_vec()).context("cannot pass on our arguments"))
        .collect()
}
