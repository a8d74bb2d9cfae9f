//! Programs are started.

use std::env;
use std::io::ErrorKind;
use std::process::{Command, Output};

use nix::unistd::geteuid;

use super::{Finding, Tried};
use crate::output::reason;

/// Others of this name can set a link up, which the checks do, but have no netns.
pub(in super::super) fn ip() -> Tried {
    let netns = run("ip", &["netns", "list"]).map_err(Finding::cannot)?;
    if !netns.status.success() {
        return Err(Finding::degraded("this is not the ip of iproute2, and has no netns"));
    }
    Ok("its ip works".into())
}

/// Without it one only sees less.
pub(in super::super) fn ps() -> Tried {
    runs("ps", &[])?;
    Ok("lists processes".into())
}

/// Without it one only sees less.
pub(in super::super) fn ping() -> Tried {
    runs("ping", &["-c", "1", "-w", "1", "127.0.0.1"])?;
    Ok("reaches this machine".into())
}

fn runs(program: &str, words: &[&str]) -> Result<(), Finding> {
    let output = run(program, words).map_err(Finding::degraded)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Finding::degraded(format!("it fails: {}", said(&output.stderr)))),
    }
}

/// What it prints, or why it cannot be started.
pub(super) fn run(program: &str, words: &[&str]) -> Result<Output, String> {
    command(program).args(words).output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => "not installed".into(),
        _ => format!("cannot start {program}: {}", reason(&error)),
    })
}

/// The folders for root's programs are often missing in a normal user's PATH; root gets them by sudo.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    if !geteuid().is_root() {
        let path = env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
    }
    command
}

/// What a program said, in a line.
pub(super) fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(". ")
}
