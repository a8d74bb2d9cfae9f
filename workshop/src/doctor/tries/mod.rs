//! The attempts. Each takes a process of its own and leaves it changed: the namespaces, mounts and
//! links that it makes go when the process ends.

pub(super) mod cgroups;
pub(super) mod filesystems;
pub(super) mod machine;
pub(super) mod namespaces;
pub(super) mod network;
pub(super) mod programs;

use anyhow::Error;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::cures::{self, Cures};

/// How far the machine offers something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is well
    Works,
    /// One can go on, but something will be missing
    Degraded,
    /// Whoever needs it fails
    Cannot,
}

/// What an attempt found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The verdict
    pub status: Status,
    /// What was seen
    pub seen: String,
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

/// What a system call that failed means, for root.
fn refused(what: &str, error: Errno) -> Finding {
    let finding = Finding::cannot(format!("cannot {what}: {}", error.desc()));
    match error {
        Errno::EPERM | Errno::EACCES => finding.cured_by(cures::CONTAINER),
        _ => finding,
    }
}
