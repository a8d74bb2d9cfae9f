//! What can be compared: the steps, the attendee's own container, and the runtime.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::progress::Progress;
use crate::steps::Step;
use crate::{mine, output};

use super::{Kind, Line};

/// One side of a comparison, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An official step
    Step(&'static Step),
    /// The attendee's own container
    Mine,
    /// The runtime that the steps lead to
    Final,
}

/// What two names mean together.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pair {
    /// Two files to compare; neither is the runtime's
    Sources(Source, Source),
    /// A step and where it went in the runtime
    Runtime(&'static Step),
    /// Nothing, and why
    Wrong(&'static str),
}

/// What the command line's names mean.
pub(super) fn pair(project: &Path, from: Source, to: Option<Source>) -> Result<Pair> {
    Ok(match (from, to) {
        (Source::Step(step), Some(Source::Final)) | (Source::Final, Some(Source::Step(step))) => {
            Pair::Runtime(step)
        }
        (Source::Final, _) | (_, Some(Source::Final)) => {
            Pair::Wrong("final goes with a step, as in: cargo workshop diff 08 final")
        }
        (from, Some(to)) => Pair::Sources(from, to),
        (Source::Mine, None) => Pair::Sources(from, Source::Step(current(project)?)),
        (Source::Step(_), None) => {
            Pair::Wrong("a step goes with another, as in: cargo workshop diff 04 05")
        }
    })
}

/// The official step that the attendee's own is to become.
fn current(project: &Path) -> Result<&'static Step> {
    Progress::read(project)?.current().context(
        "cannot tell which step you are at: none has been started. Name it, as in \
         `cargo workshop diff mine 05`, or start: cargo workshop start 01",
    )
}

impl Source {
    /// Finds it by its name.
    pub(super) fn find(name: &str) -> Result<Self> {
        match name {
            "mine" => Ok(Self::Mine),
            "final" => Ok(Self::Final),
            _ => Step::find(name)
                .map(Self::Step)
                .map_err(|error| anyhow!("{error}; or mine, or final")),
        }
    }

    /// Its file, as seen from the workspace.
    pub(super) fn file(self) -> String {
        self.path(Path::new("")).display().to_string()
    }

    fn path(self, project: &Path) -> PathBuf {
        match self {
            Self::Step(step) => step.source(project),
            Self::Mine => mine::source(project),
            Self::Final => project.join("final/src"),
        }
    }

    pub(super) fn read(self, project: &Path) -> Result<String> {
        let path = self.path(project);
        if self == Self::Mine && !path.is_file() {
            let file = self.file();
            bail!("cannot find {file}, your own container. Begin it: cargo workshop start 01");
        }
        read_file(&path)
    }
}

/// Reads a step's source.
pub fn read(project: &Path, step: &Step) -> Result<String> {
    read_file(&step.source(project))
}

pub(super) fn read_file(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| {
        let (file, reason) = (path.display(), output::reason(&error));
        anyhow!("cannot read {file}: {reason}. Is the workshop complete? `git status` tells")
    })
}

/// Leaves out the places that `start` has marked: a mark is nothing that somebody lacks.
pub(super) fn without_marks(mut lines: Vec<Line>) -> Vec<Line> {
    lines.retain(|line| line.kind == Kind::Context || !mine::is_mark(&line.text));
    lines
}
