//! What can be compared: the steps, the attendee's own container, and the runtime.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use crate::progress::Progress;
use crate::steps::Step;
use crate::{mine, project};

use super::{Kind, Line};

/// What the command line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// One source file
    Source(Source),
    /// The runtime that the steps lead to
    Final,
}

/// A source file that can be compared line by line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An official step's
    Step(&'static Step),
    /// The attendee's own
    Mine,
}

/// What two names mean together.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pair {
    /// Two files to compare
    Sources(Source, Source),
    /// A step and where it went in the runtime
    Runtime(&'static Step),
    /// Nothing, and why
    Wrong(&'static str),
}

/// What the command line's names mean.
pub(super) fn pair(project: &Path, from: Name, to: Option<Name>) -> Result<Pair> {
    use Source::{Mine, Step};
    Ok(match (from, to) {
        (Name::Source(from), Some(Name::Source(to))) => Pair::Sources(from, to),
        (Name::Source(Mine), None) => Pair::Sources(Mine, Step(Progress::read(project)?.at()?)),
        (Name::Source(Step(_)), None) => {
            Pair::Wrong("a step goes with another, as in: cargo workshop diff 04 05")
        }
        (Name::Source(Step(step)), Some(Name::Final))
        | (Name::Final, Some(Name::Source(Step(step)))) => Pair::Runtime(step),
        (Name::Final, _) | (_, Some(Name::Final)) => {
            Pair::Wrong("final goes with a step, as in: cargo workshop diff 08 final")
        }
    })
}

impl Name {
    /// Finds what somebody calls so.
    pub(super) fn find(name: &str) -> Result<Self> {
        match name {
            "mine" => Ok(Self::Source(Source::Mine)),
            "final" => Ok(Self::Final),
            _ => match Step::find(name) {
                Ok(step) => Ok(Self::Source(Source::Step(step))),
                Err(error) => Err(anyhow!("{error}; or mine, or final")),
            },
        }
    }
}

impl Source {
    /// Its file, as seen from the workspace.
    pub(super) fn file(self) -> String {
        self.path(Path::new("")).display().to_string()
    }

    fn path(self, project: &Path) -> PathBuf {
        match self {
            Self::Step(step) => step.source(project),
            Self::Mine => mine::source(project),
        }
    }

    /// Its text.
    pub(super) fn read(self, project: &Path) -> Result<String> {
        let path = self.path(project);
        if self == Self::Mine && !path.is_file() {
            let file = self.file();
            bail!("cannot find {file}, your own container. Begin it: cargo workshop start 01");
        }
        project::read(&path)
    }
}

/// Reads a step's source.
pub fn read(project: &Path, step: &Step) -> Result<String> {
    project::read(&step.source(project))
}

/// Leaves out the places that `start` has marked: a mark is nothing that somebody lacks.
pub(super) fn without_marks(mut lines: Vec<Line>) -> Vec<Line> {
    lines.retain(|line| line.kind == Kind::Context || !mine::is_mark(&line.text));
    lines
}
