//! `cargo workshop start` and `catch-up`: the starting point of a step, put into `mine/`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use colored::Colorize;

use super::keep::{Keeper, text};
use super::todo::{self, Marked};
use super::tree::Tree;
use super::{NAME, SOURCE};
use crate::progress::Progress;
use crate::steps::{self, Step};
use crate::{diff, output, project, terminal};

/// The manifest of the attendee's crate.
const MANIFEST: &str = include_str!("starter/Cargo.toml");
/// The versions of its dependencies: the steps' own, which are here already.
pub(super) const LOCK: &str = include_str!("starter/Cargo.lock");
/// What step 01 begins with.
const EMPTY: &str = include_str!("starter/main.rs");

/// Puts the starting point of a step into mine/, with the places to fill in marked
///
/// It is the step before: your own if all its checks held when you checked it last, otherwise the
/// official one. What is in mine/ now is kept in kept/, and `cargo workshop restore` brings it back.
///
/// At the step that you are at already, everything stays as it is: `cargo workshop catch-up` begins
/// it anew.
#[derive(Args)]
#[command(after_help = "Examples:
  cargo workshop start
  cargo workshop start 05
  cargo workshop start 05 --from mine
  cargo workshop start 05 --from step04")]
pub struct Options {
    /// The step that you are going to write, as 05 or pid [default: the next one]
    #[arg(value_parser = Step::find)]
    step: Option<&'static Step>,
    /// What to begin with: `mine`, what is there now; or an official step, as step04
    #[arg(long, value_name = "SOURCE", value_parser = Source::parse)]
    from: Option<Source>,
}

/// Gives you the step before this one, complete and working, to go on from
///
/// For who got lost on the way. What is in mine/ now is kept in kept/.
#[derive(Args)]
#[command(after_help = "Example:
  cargo workshop catch-up 05")]
pub struct CatchUp {
    /// The step that the class is at, as 05 or pid
    #[arg(value_parser = Step::find)]
    step: &'static Step,
}

/// Where a starting point comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Mine,
    Official(&'static Step),
    /// What the crate is before the first step
    Empty,
}

impl Source {
    fn parse(name: &str) -> Result<Self> {
        if name == NAME { Ok(Self::Mine) } else { Ok(Self::Official(Step::find(name)?)) }
    }

    /// The official step before a step.
    fn before(step: &Step) -> Result<Self> {
        let before = steps::all()?.iter().find(|it| it.number + 1 == step.number);
        Ok(before.map_or(Self::Empty, Self::Official))
    }

    fn read(self, project: &Path) -> Result<String> {
        match self {
            Self::Empty => Ok(EMPTY.to_string()),
            Self::Official(step) => diff::read(project, step),
            Self::Mine => {
                let source = super::source(project);
                fs::read_to_string(&source).with_context(|| {
                    format!("cannot begin with {NAME}/{SOURCE}. Is it there, and is it text?")
                })
            }
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Mine => "your own code".to_string(),
            Self::Official(step) => format!("the official step {:02}", step.number),
            Self::Empty => "an empty program".to_string(),
        }
    }
}

/// Does what the command line asks for.
pub fn start(options: &Options) -> Result<ExitCode> {
    let project = project::root()?;
    let progress = Progress::read(&project)?;
    let step = match options.step {
        Some(step) => step,
        None => next(&progress)?,
    };
    if options.from.is_none()
        && progress.current() == Some(step)
        && super::source(&project).exists()
    {
        return output::print(&already(step)).map(|()| ExitCode::SUCCESS);
    }
    let (source, remark) = match options.from {
        Some(source) => (source, String::new()),
        None => choose(&progress, step)?,
    };
    put(&project, progress, step, source)?;
    output::print(&remark)?;
    Ok(ExitCode::SUCCESS)
}

/// What to begin with where nobody says, and what is to be said of it.
fn choose(progress: &Progress, step: &Step) -> Result<(Source, String)> {
    let official = Source::before(step)?;
    Ok(match official {
        Source::Official(before) if progress.current() == Some(before) => {
            match progress.is_done(before) {
                true => (Source::Mine, String::new()),
                false => (official, not_green_yet(before, step)),
            }
        }
        _ => (official, String::new()),
    })
}

/// The official step before this one.
pub fn catch_up(options: &CatchUp) -> Result<ExitCode> {
    let project = project::root()?;
    let source = Source::before(options.step)?;
    put(&project, Progress::read(&project)?, options.step, source)?;
    Ok(ExitCode::SUCCESS)
}

/// Whoever types a command twice has not asked for other code.
fn already(step: &Step) -> String {
    let number = step.number;
    let command = |words: &str| format!("cargo workshop {words}").bold();
    format!(
        "You are at step {number:02}, {}: {NAME}/{SOURCE} stays as it is\n\nGo on        {}\nbegin anew   {}\n",
        step.title,
        command("check --watch"),
        command(&format!("catch-up {number:02}"))
    )
}

fn not_green_yet(before: &Step, step: &Step) -> String {
    let (before, number) = (before.number, step.number);
    format!(
        "\nYour own step {before:02} was not checked green. To begin with it all the same:\n  \
         cargo workshop restore\n  cargo workshop start {number:02} --from mine\n"
    )
}

/// The step after the one that is done.
fn next(progress: &Progress) -> Result<&'static Step> {
    let steps = steps::all()?;
    let Some(current) = progress.current() else {
        return steps.first().context("there are no steps");
    };
    let after = steps.iter().find(|step| step.number == current.number + 1);
    if !progress.is_done(current) {
        let number = current.number;
        let leave = after.map_or(String::new(), |after| {
            format!("; or leave it: cargo workshop start {:02} --from mine", after.number)
        });
        bail!(
            "you are at step {number:02}, and its checks did not all hold yet. Go on: cargo workshop \
             check; or begin it anew: cargo workshop catch-up {number:02}{leave}"
        );
    }
    after.context(
        "step 10 was the last one. Read on: cargo run -p book -- --open; or play: cargo workshop break 10",
    )
}

fn put(project: &Path, mut progress: Progress, step: &Step, source: Source) -> Result<()> {
    let keeper = Keeper::new(project)?;
    let Marked { source: marked, homeless } = todo::mark(&source.read(project)?, step);
    let files = [("Cargo.toml", MANIFEST), ("Cargo.lock", LOCK), (SOURCE, &marked)];
    let tree: Tree = files.into_iter().map(|(name, it)| (name.into(), text(it))).collect();
    let kept = keeper.replace(tree, progress.current())?;
    progress.start(step)?;
    output::print(&report(step, source, &marked, homeless, kept.as_deref()))
}

fn report(
    step: &Step,
    source: Source,
    marked: &str,
    homeless: usize,
    kept: Option<&str>,
) -> String {
    let (number, title) = (step.number, &step.title);
    let heading = format!("Step {number:02}, {title}").bold();
    let mut text = format!("{heading}: {NAME}/{SOURCE} is {}\n", source.describe());
    if let Some(kept) = kept {
        text += &format!("What was there: kept/{kept}. Back: cargo workshop restore\n");
    }
    text += "\nTo be done, marked with TODO(you):\n";
    for (line, what) in todo::marks(marked) {
        let what = output::wrap(what, terminal::text_width().saturating_sub(7)).join("\n       ");
        text += &format!("{:>5}  {what}\n", line.to_string().bold());
    }
    if homeless > 0 {
        let apart = "(Your code differs from ours here: marks that found no place stand on top.)";
        let width = terminal::text_width().saturating_sub(7);
        text += &format!("       {}\n", output::wrap(apart, width).join("\n       "));
    }
    let command = |words: &str| format!("cargo {words}").bold();
    text += &format!("\nThe chapter  {}\n", format!("book/src/{}.md", step.folder).bold());
    text += &format!("try it       {}\n", command(&format!("mine {}", step.r#try)));
    text += &format!("is it true?  {}\n", command("workshop check --watch"));
    text += &format!("stuck?       {}\n", command("workshop hint"));
    text
}
