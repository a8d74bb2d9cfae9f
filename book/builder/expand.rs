//! The preprocessor: mdBook hands it the chapters and gets them back with every directive replaced.

use std::path::Path;

use mdbook_preprocessor::book::{Book, BookItem};
use mdbook_preprocessor::errors::Result;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use workshop::schedule;

use crate::build::report;
use crate::commands::{Command, Known};
use crate::directives::{Chapter, Gathered};
use crate::experiments;
use crate::project::Project;

/// Its name in book.toml.
pub const NAME: &str = "workshop";

/// Replaces the directives; run by mdBook, or in process.
pub struct Expand {
    /// Whether what a page needs to run Linux is put beside the pages: mdBook itself does not.
    pub linux: bool,
}

impl Preprocessor for Expand {
    fn name(&self) -> &str {
        NAME
    }

    fn run(&self, context: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let root = context.root.parent().unwrap_or(&context.root).canonicalize()?;
        let mut project = Project::read(&root)?;
        project.linux = self.linux;
        let source = Path::new("book").join(&context.config.book.src);
        let pages = schedule::pages(&root.join(&source))?;
        let mut gathered = Gathered::default();
        book.for_each_mut(|item| {
            if let BookItem::Chapter(chapter) = item
                && let Some(path) = &chapter.source_path
            {
                let file = source.join(path).display().to_string();
                chapter.content =
                    Chapter::new(&project, &pages, &file, &mut gathered).expand(&chapter.content);
            }
        });
        let mut faults = gathered.faults;
        faults.extend(gathered.coverage.faults(&project)?);
        faults.extend(experiments::faults(&project, &gathered.sessions)?);
        let known = Known::read(&root)?;
        let untried = gathered.commands.iter().filter(|command| !known.runs(&command.text));
        let untried = untried.map(|Command { place, text }| {
            format!("{place}: no session and no test runs `{text}`. Record one, or name its test in book/tests/commands.toml")
        });
        faults.extend(untried);
        report(&faults)?;
        Ok(book)
    }
}
