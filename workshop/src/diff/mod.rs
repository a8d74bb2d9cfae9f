//! `cargo workshop diff`: what changes from one source to another, shown as an instructor projects
//! it. In a pipe it is a patch.

mod fold;
mod hunks;
mod layout;
mod pager;
mod pairs;
mod runtime;
mod source;
mod views;
mod words;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args, Command};

use crate::{ladder, output, project, steps, terminal};
use fold::Part;
use hunks::all_lines;
use source::{Name, Pair};

pub use hunks::{Hunk, Kind, Line, hunks, patch};
pub use source::read;

/// From so many columns on both sides stand beside each other: most lines of the steps are whole.
const WIDE: usize = 140;

/// Shows what changes from one step to another, or what your own container lacks
///
/// On a terminal what stays the same is folded, and a wide one shows two columns.
///
/// In a pipe it is a patch that makes FROM's source TO's.
#[derive(Args)]
#[command(
    override_usage = "cargo workshop diff [OPTIONS] <FROM> <TO>
       cargo workshop diff [OPTIONS] mine
       cargo workshop diff --stat",
    after_help = "Examples:
  cargo workshop diff 04 05      what is new in step 05
  cargo workshop diff mine       what yours lacks: the lines with a +
  cargo workshop diff 08 final   where step 08 went in the runtime
  cargo workshop diff 04 05 | patch mine/src/main.rs"
)]
pub struct Options {
    /// Where to start from: a step, as 04 or child; mine; or final
    #[arg(value_parser = Name::find, required_unless_present = "stat")]
    from: Option<Name>,
    /// Where to arrive [default after mine: the official step that you are at]
    #[arg(value_parser = Name::find)]
    to: Option<Name>,
    /// Old and new side by side, however narrow the terminal is
    #[arg(long, conflicts_with = "unified")]
    side_by_side: bool,
    /// Old and new one below the other, however wide the terminal is
    #[arg(long)]
    unified: bool,
    /// Shows everything at once, not page by page
    #[arg(long)]
    no_pager: bool,
    /// Counts the changed lines between all neighbours and compares them with the budget
    #[arg(long, conflicts_with_all = ["from", "to", "side_by_side", "unified", "no_pager"])]
    stat: bool,
}

/// Where people read a difference.
#[derive(Clone, Copy)]
struct Screen {
    columns: usize,
    /// Whether old and new stand side by side
    sides: bool,
}

/// Does what the command line asks for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let project = project::root()?;
    let Some(from) = options.from else {
        output::print(&ladder::table(&ladder::pairs(&project, steps::all()?)?))?;
        return Ok(ExitCode::SUCCESS);
    };
    let screen = screen(options);
    let text = match source::pair(&project, from, options.to)? {
        Pair::Sources(from, to) => {
            let (old, new) = (from.read(&project)?, to.read(&project)?);
            difference([&from.file(), &to.file()], [&old, &new], screen)
        }
        Pair::Runtime(step) => runtime::show(&project, step, screen)?,
        Pair::Wrong(why) => wrong_usage(why),
    };
    if options.no_pager || !io::stdout().is_terminal() {
        output::print(&text)?;
    } else {
        pager::page(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What differs between two sources, unchanged items folded, for a terminal of this many columns.
pub fn folded(files: [&str; 2], sources: [&str; 2], columns: usize) -> String {
    difference(files, sources, Some(Screen { columns, sides: false }))
}

/// None for programs: they get a patch.
fn screen(options: &Options) -> Option<Screen> {
    let is_terminal = io::stdout().is_terminal();
    let columns = if is_terminal { usize::from(terminal::size().1) } else { WIDE };
    let sides = options.side_by_side || (columns >= WIDE && !options.unified);
    (is_terminal || options.side_by_side).then_some(Screen { columns, sides })
}

fn difference(files: [&str; 2], sources: [&str; 2], screen: Option<Screen>) -> String {
    let [old, new] = sources;
    let Some(screen) = screen else {
        return patch(files[0], &hunks(old, new));
    };
    let parts = fold::fold(source::without_marks(all_lines(old, new)));
    if !parts.iter().any(|part| matches!(part, Part::Lines(_))) {
        return format!("No line of code differs:\n  {}\n  {}\n", files[0], files[1]);
    }
    let show = if screen.sides { views::sides } else { views::unified };
    show(files, &parts, screen.columns)
}

/// Complains as clap does, and ends with status 2.
fn wrong_usage(why: &str) -> ! {
    let mut command = Options::augment_args(Command::new("cargo workshop diff"));
    command.error(ErrorKind::WrongNumberOfValues, why).exit()
}
