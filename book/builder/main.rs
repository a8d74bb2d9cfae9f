//! Builds and serves the book.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use book::expand::Expand;
use book::project::{FILES, Project};
use book::{build, serve, vm};
use clap::{Parser, Subcommand};
use mdbook_preprocessor::Preprocessor;
use workshop::output;
use workshop::steps::Step;

/// Builds the book, serves it on this machine alone, and builds it again when something changes
#[derive(Parser)]
#[command(bin_name = "cargo run -p book --", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Opens it in the browser
    #[arg(long)]
    open: bool,
    /// The port to serve on; 0 takes any that is free
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

#[derive(Subcommand)]
enum Command {
    /// Only builds it, into target/book
    Build,
    /// Builds the Linux that runs in a page, from Debian's and npm's packages: some minutes, once
    Vm {
        /// Asks for newer packages first
        #[arg(long)]
        update: bool,
    },
    /// Lists the parts of a step's difference, as directives for its chapter
    Parts {
        /// 05, step05 or pid
        step: String,
    },
    /// What mdBook calls: reads a book from stdin and writes it to stdout
    #[command(hide = true)]
    Preprocess {
        #[command(subcommand)]
        question: Option<Question>,
    },
}

#[derive(Subcommand)]
enum Question {
    /// Whether a renderer is served: all are
    Supports { _renderer: String },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => serve(cli.port, cli.open),
        Some(Command::Build) => build_once().map(drop),
        Some(Command::Vm { update }) => build_vm(update),
        Some(Command::Parts { step }) => parts(&step),
        Some(Command::Preprocess { question: Some(Question::Supports { .. }) }) => Ok(()),
        Some(Command::Preprocess { question: None }) => preprocess(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn build_once() -> Result<PathBuf> {
    let start = Instant::now();
    let pages = build::build(&workshop::project::root()?, None)?;
    output::print(&format!(
        "{} in {:.1} s\n",
        pages.join("index.html").display(),
        start.elapsed().as_secs_f32()
    ))?;
    Ok(pages)
}

fn build_vm(update: bool) -> Result<()> {
    let start = Instant::now();
    let site = vm::build(&workshop::project::root()?, update)?;
    let seconds = start.elapsed().as_secs_f32();
    output::print(&format!("{} in {seconds:.1} s\n", site.display()))
}

fn serve(port: u16, open: bool) -> Result<()> {
    let pages = build_once()?;
    let book = serve::Book::listen(&workshop::project::root()?, &pages, port)?;
    output::print(&format!("{}   (Ctrl-C ends it)\n", book.address()))?;
    if open {
        serve::open(&book.address())?;
    }
    book.serve()
}

fn parts(step: &str) -> Result<()> {
    let step = Step::find(step)?;
    let project = Project::read(&workshop::project::root()?)?;
    let mut text = String::new();
    for file in FILES {
        let difference = project.difference(step, file)?;
        for name in difference.parts() {
            let hunks = difference.hunks(&name);
            let count = if hunks > 1 { format!("   ({hunks} hunks)") } else { String::new() };
            text += &format!("{{{{#diff {:02} {name}}}}}{count}\n", step.number);
        }
    }
    text += &format!("{{{{#diff {:02} {}}}}}\n", step.number, FILES[1]);
    output::print(&text)
}

fn preprocess() -> Result<()> {
    let (context, book) = mdbook_preprocessor::parse_input(io::stdin())?;
    let book = Expand { linux: false }.run(&context, book)?;
    serde_json::to_writer(io::stdout(), &book).context("cannot hand the book to mdBook")
}
