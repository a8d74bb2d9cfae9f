//! The attempts. Each takes a process of its own and leaves it changed: the namespaces, mounts and
//! links that it makes go when the process ends.

pub(super) mod cgroups;
pub(super) mod filesystems;
pub(super) mod machine;
pub(super) mod namespaces;
pub(super) mod network;
pub(super) mod programs;

use std::io;

use anyhow::Error;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::cures::{self, Cures};
use crate::output::reason;

/// How far the machine offers something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// All is well
    Works,
    /// One can go on, but something will be missing
    Degraded,
    /// Whoever needs it fails
    Cannot,
}

/// What an attempt found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Finding {
    /// The verdict
    pub(super) status: Status,
    /// What was seen
    pub(super) seen: String,
    /// What mends it, if that is not what usually does
    pub(super) cures: Option<Cures>,
}

/// What was seen if all is well, or what is wrong.
pub(super) type Tried = Result<String, Finding>;

impl Finding {
    pub(super) fn of(tried: Tried) -> Self {
        match tried {
            Ok(seen) => Self { status: Status::Works, ..Self::cannot(seen) },
            Err(finding) => finding,
        }
    }

    pub(super) fn cannot(seen: impl Into<String>) -> Self {
        Self { status: Status::Cannot, seen: seen.into(), cures: None }
    }

    pub(super) fn degraded(seen: impl Into<String>) -> Self {
        Self { status: Status::Degraded, ..Self::cannot(seen) }
    }

    pub(super) fn cured_by(self, cures: Cures) -> Self {
        Self { cures: Some(cures), ..self }
    }
}

impl From<Error> for Finding {
    fn from(error: Error) -> Self {
        Self::cannot(format!("{error:#}"))
    }
}

/// A call failed, and that needs no more words.
fn failed(what: &str, error: &io::Error) -> Finding {
    Finding::cannot(format!("cannot {what}: {}", reason(error)))
}

/// A call failed that root may make: if it is forbidden, then by a container.
fn refused(what: &str, error: impl Into<io::Error>) -> Finding {
    let error = error.into();
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let finding = failed(what, &error);
    match errno {
        Errno::EPERM | Errno::EACCES | Errno::EROFS => finding.cured_by(cures::CONTAINER),
        _ => finding,
    }
}
