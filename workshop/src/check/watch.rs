//! `cargo workshop check --watch`: checks again on every save.
//!
//! The files are looked at again and again, for not every filesystem tells of changes: shared
//! folders of virtual machines do not, nor does WSL's view of Windows' disks.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use colored::Colorize;

use super::{Detail, Target, build, own};
use crate::progress::Progress;
use crate::signals::{self, STOPPING, Signals};
use crate::steps::Step;
use crate::terminal::{self, Input, Raw};
use crate::{mine, output, project};

/// How long a save may go unnoticed, in milliseconds.
const PAUSE: u16 = 300;

/// Every source of the attendee's, with the time and the size that it was last written with.
type Files = BTreeMap<PathBuf, (SystemTime, u64)>;

/// What is to happen next.
#[derive(PartialEq, Eq)]
enum Wish {
    Check,
    Hint,
    Diff,
    Next,
    Quit,
}

/// Checks until somebody has had enough.
pub(super) fn watch(mut step: &'static Step) -> Result<ExitCode> {
    let project = project::root()?;
    let mut wish = Wish::Check;
    let mut seen = Files::new();
    let mut green = false;
    loop {
        match wish {
            Wish::Check => {
                seen = files(&project);
                green = check(step)?;
            }
            Wish::Hint => itself(&["hint", &number(step)])?,
            Wish::Diff => itself(&["diff", "mine", &number(step)])?,
            Wish::Next => {
                itself(&["start"])?;
                let current = Progress::read(&project)?.current().unwrap_or(step);
                green &= current == step;
                step = current;
                // It is red before anything has been typed.
                seen = files(&project);
            }
            Wish::Quit => break,
        }
        output::print(&format!("\n{}\n", keys(step)))?;
        wish = wait(&project, &seen)?;
    }
    Ok(if green { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn number(step: &Step) -> String {
    format!("{:02}", step.number)
}

/// Whether all checks hold. Code that cannot be built is no reason to stop watching.
fn check(step: &'static Step) -> Result<bool> {
    output::print(&"─".repeat(40).dimmed().to_string())?;
    output::print("\n")?;
    let target = Target { what: Some(number(step)), ..Target::default() };
    match build(&target).and_then(|()| own(step, &target, Detail::Brief)) {
        Ok(tally) => Ok(tally.exit_code() == ExitCode::SUCCESS),
        Err(error) => {
            output::complain(&format!("{error:#}"));
            Ok(false)
        }
    }
}

/// Another command of this program, which has the terminal meanwhile.
fn itself(words: &[&str]) -> Result<()> {
    let program = env::current_exe().context("cannot tell this program's own path")?;
    let mut itself = Command::new(program).args(words).spawn().context("cannot start it again")?;
    // What went wrong has been said.
    signals::without_keys(|| itself.wait())?.map(|_| ()).context("cannot wait for it")
}

fn keys(step: &Step) -> String {
    let key = |key: &str, means: &str| format!("{} {means}", key.bold());
    format!(
        "Step {}, {}: waiting for you to save {}/\n{}  {}  {}  {}",
        number(step),
        step.title,
        mine::NAME,
        key("h", "hint"),
        key("d", "diff against the official step"),
        key("n", "next"),
        key("q", "quit")
    )
}

/// Waits for a key or for a change.
fn wait(project: &Path, seen: &Files) -> Result<Wish> {
    if !io::stdin().is_terminal() {
        while files(project) == *seen {
            thread::sleep(Duration::from_millis(PAUSE.into()));
        }
        return Ok(Wish::Check);
    }
    // Whoever ends this gets the terminal back as it was.
    let mut signals = Signals::hold(STOPPING)?;
    let keyboard = Raw::enter()?;
    loop {
        let Input::Keys(keys) = terminal::listen(Some(&keyboard), &mut signals, PAUSE.into())?
        else {
            return Ok(Wish::Quit);
        };
        match keys.first() {
            Some(b'h') => return Ok(Wish::Hint),
            Some(b'd') => return Ok(Wish::Diff),
            Some(b'n') => return Ok(Wish::Next),
            // Ctrl-C and Ctrl-D are keys like others now.
            Some(b'q' | 0x03 | 0x04) => return Ok(Wish::Quit),
            Some(b'\r' | b'\n') => return Ok(Wish::Check),
            _ if files(project) != *seen => return Ok(Wish::Check),
            _ => {}
        }
    }
}

fn files(project: &Path) -> Files {
    let mut found = Files::new();
    list(&project.join(mine::NAME), &mut found);
    found
}

/// Looks for sources and manifests below a folder: what editors put beside them is no change.
fn list(folder: &Path, found: &mut Files) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.metadata() {
            Ok(data) if data.is_dir() && entry.file_name() != "target" => list(&path, found),
            Ok(data) if path.extension().is_some_and(|it| it == "rs" || it == "toml") => {
                let time = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.insert(path, (time, data.len()));
            }
            _ => {}
        }
    }
}
