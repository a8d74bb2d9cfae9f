//! Dated copies of `mine/` in `kept/`, so that nothing of the attendee's is ever lost.
//!
//! Before anything in `mine/` is replaced there is a whole copy of it. What is replaced is moved
//! into that copy, not removed: an editor that saves in this very moment loses nothing either.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::tree::{self, Entry, Tree};
use super::{NAME, SOURCE};
use crate::progress::Progress;
use crate::steps::Step;
use crate::{clock, output, project};

/// Where the copies lie.
const KEPT: &str = "kept";
/// The file in it that whoever changes mine/ has locked.
const LOCK: &str = ".lock";
/// How the name of a copy begins that is not whole yet.
const HALF: &str = ".half-";

/// Brings back what was in mine/ before
///
/// What is there now is kept first, so that restore can be undone by restore.
#[derive(Args)]
#[command(after_help = "Examples:
  cargo workshop restore
  cargo workshop restore --list
  cargo workshop restore 2026-11-25-141207-step04")]
pub struct Options {
    /// The copy in kept/ to bring back [default: the latest that differs from mine/]
    name: Option<String>,
    /// Only lists the copies
    #[arg(long, conflicts_with = "name")]
    list: bool,
}

/// Does what the command line asks for.
pub fn restore(options: &Options) -> Result<ExitCode> {
    let project = project::root()?;
    if options.list {
        return list(&project);
    }
    let keeper = Keeper::new(&project)?;
    let name = match &options.name {
        Some(name) => name.trim_end_matches('/').trim_start_matches("kept/").to_string(),
        None => keeper.latest_other()?,
    };
    let copy = keeper.copy(&name)?;
    let mut progress = Progress::read(&project)?;
    let before = keeper.replace(copy, progress.current())?;
    output::print(&format!("Brought back: {KEPT}/{name}\n"))?;
    if let Some(before) = before {
        output::print(&format!("What was there until now: {KEPT}/{before}\n"))?;
    }
    // The copy's name ends in the step that it was at.
    let step = name.rsplit('-').next().and_then(|word| Step::find(word).ok());
    if let Some(step) = step.filter(|step| progress.current() != Some(step)) {
        progress.go_to(step)?;
        output::print(&format!("You are at step {:02}, {}\n", step.number, step.title))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(project: &Path) -> Result<ExitCode> {
    let names = names(&project.join(KEPT));
    if names.is_empty() {
        output::print("There are no copies yet: nothing of yours has been replaced\n")?;
    }
    for name in names {
        let source = fs::read_to_string(project.join(KEPT).join(&name).join(SOURCE));
        let lines = source.map_or(0, |source| source.lines().count());
        output::print(&format!("{name}  {lines} lines\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The names of the whole copies, the oldest first.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort_unstable();
    names
}

/// Who may change `mine/`: one at a time.
pub(super) struct Keeper {
    mine: PathBuf,
    kept: PathBuf,
    _lock: Flock<File>,
}

impl Keeper {
    pub(super) fn new(project: &Path) -> Result<Self> {
        let kept = project.join(KEPT);
        let opened = fs::create_dir_all(&kept).and_then(|()| File::create(kept.join(LOCK)));
        let file = opened.map_err(|error| failed("write to", &kept, &error))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
            if error == Errno::EWOULDBLOCK {
                return anyhow!(
                    "cannot change mine/ now: another cargo workshop start is at work. Try again"
                );
            }
            failed("lock", &kept.join(LOCK), &error.into())
        })?;
        let keeper = Self { mine: project.join(NAME), kept, _lock: lock };
        keeper.remove_half_copies()?;
        Ok(keeper)
    }

    /// Whoever left them was killed before anything in mine/ was replaced.
    fn remove_half_copies(&self) -> Result<()> {
        for entry in fs::read_dir(&self.kept).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(HALF) {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(|error| failed("remove", &path, &error))?;
            }
        }
        Ok(())
    }

    fn read(&self, folder: &Path) -> Result<Tree> {
        tree::read(folder).map_err(|error| failed("read", folder, &error))
    }

    fn copy(&self, name: &str) -> Result<Tree> {
        let known = names(&self.kept).iter().any(|known| known == name);
        if !known {
            bail!("there is no copy {KEPT}/{name}. These are there: cargo workshop restore --list");
        }
        self.read(&self.kept.join(name))
    }

    fn latest_other(&self) -> Result<String> {
        let now = self.read(&self.mine)?;
        for name in names(&self.kept).into_iter().rev() {
            if self.copy(&name)? != now {
                return Ok(name);
            }
        }
        bail!("there is nothing to bring back: no copy in {KEPT}/ differs from mine/")
    }

    /// Keeps a copy of what is in mine/, unless the latest copy is the same, and returns its name.
    fn keep(&self, at: Option<&Step>) -> Result<Option<String>> {
        let now = self.read(&self.mine)?;
        if now.is_empty() {
            return Ok(None);
        }
        if let Some(latest) = names(&self.kept).pop()
            && self.copy(&latest)? == now
        {
            return Ok(Some(latest));
        }
        let half = self.kept.join(format!("{HALF}{}", process::id()));
        for (name, entry) in &now {
            tree::write(&half, name, entry)
                .map_err(|error| failed("keep a copy in", &half, &error))?;
        }
        let name = self.new_name(at)?;
        fs::rename(&half, self.kept.join(&name))
            .map_err(|error| failed("keep a copy in", &self.kept, &error))?;
        Ok(Some(name))
    }

    /// `2026-11-25-141207-step04`. It sorts behind all the others, also within one second and when
    /// the clock has been put back.
    fn new_name(&self, at: Option<&Step>) -> Result<String> {
        let (now, step) = (clock::now()?, at.map_or("begin", |step| &step.package));
        let latest = names(&self.kept).pop().unwrap_or_default();
        let (stamp, count) = match latest.get(..now.len()) {
            Some(stamp) if stamp >= now.as_str() => {
                let count = latest[stamp.len()..].strip_prefix('.').unwrap_or_default();
                let count = count.split('-').next().and_then(|it| it.parse::<u32>().ok());
                (stamp.to_string(), count.unwrap_or(0) + 1)
            }
            _ => (now, 0),
        };
        let count = if count == 0 { String::new() } else { format!(".{count:04}") };
        Ok(format!("{stamp}{count}-{step}"))
    }

    /// Puts new files into mine/. What cargo would read there besides them goes; notes and the like
    /// stay. Returns the name of the copy of all that was there before.
    pub(super) fn replace(&self, new: Tree, at: Option<&Step>) -> Result<Option<String>> {
        let copy = self.keep(at)?;
        let aside = self.kept.join(copy.as_deref().unwrap_or("begin"));
        for name in self.read(&self.mine)?.keys() {
            if is_cargos(name) && !new.contains_key(name) {
                self.set_aside(name, &aside)?;
            }
        }
        for (name, entry) in &new {
            // An editor may save at any moment: what has come meanwhile is set aside, too.
            while !tree::write_new(&self.mine, name, entry)
                .map_err(|error| failed("write to", &self.mine, &error))?
            {
                self.set_aside(name, &aside)?;
            }
        }
        Ok(copy)
    }

    /// Moves a file into the copy. If it is not what has been copied, since somebody has just saved
    /// it, it gets a name of its own there.
    fn set_aside(&self, name: &Path, copy: &Path) -> Result<()> {
        let from = self.mine.join(name);
        let mut to = copy.join(name);
        let is_another = |to: &Path| fs::read(to).is_ok_and(|it| fs::read(&from).ok() != Some(it));
        while is_another(&to) {
            to.as_mut_os_string().push(".later");
        }
        let folder = to.parent().unwrap_or(copy);
        let moved = fs::create_dir_all(folder).and_then(|()| fs::rename(&from, &to));
        match moved {
            // It has just gone by itself.
            Err(error) if error.kind() == ErrorKind::NotFound && !from.exists() => Ok(()),
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                let copied = fs::copy(&from, &to).and_then(|_| fs::remove_file(&from));
                copied.map_err(|error| failed("replace", &from, &error))
            }
            moved => moved.map_err(|error| failed("replace", &from, &error)),
        }
    }
}

/// Whether cargo takes it as a part of the crate. An editor's own files beside the sources are not.
fn is_cargos(name: &Path) -> bool {
    let first = name.components().next().map(|it| it.as_os_str().to_string_lossy().into_owned());
    let first = first.as_deref().unwrap_or_default();
    let is_source = name.extension().is_some_and(|it| it == "rs");
    match first {
        "src" | "tests" | "benches" | "examples" => is_source,
        "Cargo.toml" | "Cargo.lock" | "build.rs" | "rust-toolchain" | "rust-toolchain.toml" => true,
        _ => false,
    }
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> anyhow::Error {
    let (path, reason) = (path.display(), output::reason(error));
    anyhow!("cannot {what} {path}: {reason}. Nothing of yours is lost; mend that and try again")
}

/// A text file of a tree.
pub(super) fn text(text: &str) -> Entry {
    Entry::File(text.as_bytes().to_vec(), 0o644)
}
