//! Builds the book in process and checks the finished pages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use mdbook_driver::MDBook;

use crate::expand::Expand;
use crate::links::{self, Fault};
use crate::vm;

/// Builds the book of a project and returns the folder with its pages: `folder`, or else the one
/// that its book.toml names.
///
/// # Errors
/// If anything in it cannot be resolved: with file and line.
pub fn build(root: &Path, folder: Option<&Path>) -> Result<PathBuf> {
    let mut book = MDBook::load(root.join("book"))?;
    if let Some(folder) = folder {
        book.config.set("build.build-dir", folder)?;
    }
    book.with_preprocessor(Expand { linux: vm::is_built(root) });
    book.build()?;
    let pages = book.build_dir_for("html");
    vm::add_to(root, &pages)?;
    let source = Path::new("book").join(&book.config.book.src);
    let faults: Vec<String> = links::faults(&pages)?
        .into_iter()
        .map(|fault| place(root, &source, &fault))
        .collect::<Result<_>>()?;
    report(&faults)?;
    Ok(pages.canonicalize().unwrap_or(pages))
}

/// Fails with all faults, if there are any.
pub fn report(faults: &[String]) -> Result<()> {
    match faults {
        [] => Ok(()),
        [fault] => bail!("{fault}"),
        _ => bail!("{}\n{} faults in the book", faults.join("\n"), faults.len()),
    }
}

/// File and line of a fault in a page: where its chapter names the address.
fn place(root: &Path, source: &Path, fault: &Fault) -> Result<String> {
    let file = source.join(&fault.chapter);
    let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
    let (path, anchor) = fault.address.split_once('#').unwrap_or((&fault.address, ""));
    let stem = path.trim_end_matches(".html");
    let names = |line: &&str| line.contains(stem) && line.contains(anchor);
    let line = text.lines().position(|line| names(&line)).map_or(1, |index| index + 1);
    Ok(format!("{}:{line}: `{}` {}", file.display(), fault.address, fault.what))
}
