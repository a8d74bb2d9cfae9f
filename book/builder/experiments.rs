//! The experiments of the documents that this project grew from, and where the book does each.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde::Deserialize;
use workshop::schedule::Page;

use crate::project::Project;

/// The list.
pub const LIST: &str = "book/experiments.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Documents {
    document: Vec<Document>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    title: String,
    #[serde(default)]
    experiment: Vec<Experiment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Experiment {
    /// What is done, in Markdown.
    what: String,
    /// As the directive names them: `step05 pid`, `book by_hand`.
    sessions: Vec<String>,
    /// The page that shows them: `step05-pid.md`.
    page: String,
    /// What the document got wrong, in Markdown.
    #[serde(default)]
    wrong: String,
}

/// A session that a page shows.
pub struct Shown {
    /// The page's file: `book/src/step05-pid.md`.
    pub file: String,
    /// `step05 pid`
    pub session: String,
}

fn read(project: &Project) -> Result<(Documents, String)> {
    let text = project.read_file(LIST)?;
    let documents = toml::from_str(&text).with_context(|| format!("cannot read {LIST}"))?;
    Ok((documents, text))
}

/// A table of each document's experiments, in Markdown.
pub fn tables(project: &Project, pages: &[Page]) -> Result<String> {
    let mut text = String::new();
    for document in read(project)?.0.document {
        let _ = writeln!(
            text,
            "## {}\n\n| experiment | here | what the document gets wrong |",
            document.title
        );
        text += "| --- | --- | --- |\n";
        for Experiment { what, page, wrong, .. } in document.experiment {
            let title = pages.iter().find(|it| it.file == page).map_or(&page, |it| &it.title);
            let _ = writeln!(
                text,
                "| {} | [{title}]({page}) | {} |",
                what.replace('|', "\\|"),
                wrong.replace('|', "\\|")
            );
        }
        text.push('\n');
    }
    Ok(text)
}

/// Every experiment has a session, and its page shows it.
pub fn faults(project: &Project, shown: &[Shown]) -> Result<Vec<String>> {
    if !project.root.join(LIST).exists() {
        return Ok(Vec::new());
    }
    let (documents, text) = read(project)?;
    let mut faults = Vec::new();
    for Experiment { what, sessions, page, .. } in
        documents.document.into_iter().flat_map(|it| it.experiment)
    {
        let line = text.lines().position(|line| line.contains(&what)).map_or(1, |line| line + 1);
        let place = format!("{LIST}:{line}");
        if sessions.is_empty() {
            faults.push(format!("{place}: `{what}` has no session"));
        }
        for session in sessions {
            let is_it =
                |it: &&Shown| it.session == session && it.file.ends_with(&format!("/{page}"));
            if !shown.iter().any(|it| is_it(&it)) {
                faults.push(format!("{place}: {page} does not show {{{{#session {session}}}}}"));
            }
        }
    }
    Ok(faults)
}
