//! The ten steps and the agent as one program for i686, which tells by its path which of them it is:
//! they share what is large, the command line and the standard library. The riddles, wrong steps, are
//! another.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use toml::Table;
use workshop::sabotage::variant::Variant;
use workshop::steps::{self as ladder, Step};

use super::cache::{self, Cache};
use super::crates::{self, Workspace, beside};
use super::packages::Packages;

/// What tells the page about the machine's kernel.
pub(super) const AGENT: &str = "agent";
const AGENTS_FOLDER: &str = "book/agent";

/// The way into a step from outside of its file.
const AFTER: &str =
    "\n/// What this step does.\npub fn multi_call() -> std::process::ExitCode {\n    main()\n}\n";

/// A step starts itself as /proc/self/exe, and a wrong one is called like the right one: the kernel
/// knows, as long as there is a /proc.
const MAIN: &str = r#"//! Many programs in one.

use std::process::ExitCode;

fn main() -> ExitCode {
    let called = || std::env::args_os().next().unwrap_or_default().into();
    let path = std::fs::read_link("/proc/self/exe").unwrap_or_else(|_| called());
    match path.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
PROGRAMS        _ => {
            eprintln!("error: there is no step in {}", path.display());
            ExitCode::from(125)
        }
    }
}
"#;

/// Builds the steps into one program and returns it; it is to lie there by each of their names.
pub(super) fn build(cache: &Cache, root: &Path, packages: &Packages) -> Result<PathBuf> {
    let mut crates = Crates::new(root)?;
    for step in ladder::all()? {
        let source = cache::read_text(&step.source(root))?;
        crates.add(step, [(step.package.clone(), source)])?;
    }
    crates.workspace.copy(AGENTS_FOLDER)?;
    crates.dependencies.insert(AGENT.to_string(), beside(AGENTS_FOLDER));
    writeln!(crates.arms, "        {AGENT:?} => {AGENT}::multi_call(),")?;
    crates.with_program("steps").build(cache, packages, "steps", [])
}

/// Builds the wrong steps.
pub(super) fn riddles(cache: &Cache, root: &Path, packages: &Packages) -> Result<PathBuf> {
    let mut crates = Crates::new(root)?;
    for step in ladder::all()? {
        let mut programs = Vec::new();
        for variant in Variant::of(step) {
            let [_, wrong] = variant.sources(root)?;
            programs.push((variant.package(), wrong));
        }
        crates.add(step, programs)?;
    }
    crates.with_program("riddles").build(cache, packages, "riddles", crates::soon())
}

/// A workspace with a library for each step, since a step says its package's name, and in it a module
/// for each program.
struct Crates<'a> {
    workspace: Workspace<'a>,
    dependencies: Table,
    arms: String,
}

impl<'a> Crates<'a> {
    fn new(root: &'a Path) -> Result<Self> {
        let workspace = Workspace::new(root)?;
        Ok(Self { workspace, dependencies: Table::new(), arms: String::new() })
    }

    /// Adds the library of a step, of programs' names and sources.
    fn add(
        &mut self,
        step: &Step,
        programs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<()> {
        let (mut modules, mut sources) = (String::new(), Vec::new());
        let package = &step.package;
        for (index, (program, source)) in programs.into_iter().enumerate() {
            writeln!(modules, "pub mod program{index};")?;
            sources.push((format!("program{index}.rs"), source + AFTER));
            let call = format!("{package}::program{index}::multi_call()");
            writeln!(self.arms, "        {program:?} => {call},")?;
        }
        sources.push(("lib.rs".to_string(), modules));
        let needs = self.workspace.dependencies_of(&step.folder)?;
        self.workspace.add(package, needs, sources);
        self.dependencies.insert(package.clone(), beside(package));
        Ok(())
    }

    /// The same with the program that is all of them.
    fn with_program(mut self, name: &str) -> Workspace<'a> {
        let main = ("main.rs".to_string(), MAIN.replace("PROGRAMS", &self.arms));
        self.workspace.add(name, self.dependencies.into(), [main]);
        self.workspace
    }
}
