//! Plays a chapter's sessions on this terminal, for real.

mod presenter;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use nix::unistd::geteuid;

use crate::steps::Step;
use crate::transcript::Stage;
use crate::{output, project, rootfs, sudo};
use presenter::{Presenter, Stopped};

/// Plays a chapter's sessions on this terminal, for real
///
/// They are those that the book shows under "Run it". Nothing that they do reaches this machine, and
/// nothing is left of it afterwards.
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo workshop demo 05
  cargo workshop demo 05 --auto")]
pub struct Options {
    /// The step, as 05 or pid
    #[arg(value_parser = Step::find)]
    step: &'static Step,
    /// Goes on by itself, without a key press between the commands
    #[arg(long)]
    auto: bool,
    /// The root filesystem for the containers, of which they get a copy [default: rootfs/]
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// The step has been built already, by the user who asked sudo for root
    #[arg(long, hide = true)]
    built: bool,
}

/// Does what the command line asks for.
///
/// # Errors
/// If something cannot be played. The terminal and the machine are then as they were.
pub fn run(options: &Options) -> Result<ExitCode> {
    if !options.auto && !io::stdin().is_terminal() {
        bail!(
            "cannot wait for a key between the commands: stdin is no terminal. To go on without: --auto"
        );
    }
    if !options.built {
        project::build(&[&options.step.package])?;
        if options.rootfs.is_none() {
            rootfs::make_if_missing()?;
        }
    }
    if !geteuid().is_root() {
        return Err(sudo::again(&["--built"]));
    }
    let Err(error) = play(options) else { return Ok(ExitCode::SUCCESS) };
    let Stopped(status) = error.downcast()?;
    output::print("\n")?;
    Ok(ExitCode::from(status))
}

fn play(options: &Options) -> Result<()> {
    let (project, step) = (project::root()?, options.step);
    let rootfs = options.rootfs.clone().unwrap_or_else(|| project.join(rootfs::NAME));
    let mut presenter = Presenter::new(options.auto)?;
    for name in &step.demo {
        let session = read(&project.join(&step.folder), name)?;
        let mut stage = Stage::new(&rootfs, None)?;
        presenter.begins(&format!("step {:02}: {name}", step.number), &session)?;
        stage.play(&session, &mut presenter)?;
        stage.clear()?;
    }
    Ok(())
}

fn read(step: &Path, name: &str) -> Result<String> {
    let file = step.join(format!("tests/{name}.session"));
    fs::read_to_string(&file).with_context(|| format!("cannot read the session {}", file.display()))
}
