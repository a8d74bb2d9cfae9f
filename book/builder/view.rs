//! Differences and excerpts as HTML.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Context, Result};
use workshop::diff::Kind;
use workshop::patch;
use workshop::steps::{self, Step};

use crate::colour::{self, escape};
use crate::difference::{Difference, Part};
use crate::items::Items;
use crate::project::{FILES, Project};

/// Unchanged lines that are shown around changed ones.
const CONTEXT: usize = 3;
/// Fewer are not worth a fold.
const FOLD: usize = 3;

/// What puts the old and the new next to each other.
const SIDES: &str =
    "<button type=\"button\" class=\"sides\" aria-pressed=\"false\">Side by side</button>";

/// What copies the commands next to it.
pub const COPY: &str =
    "<button type=\"button\" class=\"copy\" aria-label=\"Copy the commands\">Copy</button>";

/// A command with a button that copies it, and perhaps an attribute.
fn copyable(command: &str, attribute: &str) -> String {
    format!("<code class=\"command\"{attribute}>{}</code>{COPY}", escape(command))
}

/// A part of the difference between a step's file and its predecessor's.
pub fn difference(
    project: &Project,
    step: &Step,
    file: &'static str,
    name: Option<&str>,
    part: &Part,
) -> Result<String> {
    let old = before(step)?.map_or(Ok(String::new()), |before| project.file(before, file))?;
    let sources = [old, project.file(step, file)?];
    let rows = rows(file, &sources, project.difference(step, file)?, part);
    let part =
        name.map_or(String::new(), |name| format!(" <span class=\"part\">{}</span>", escape(name)));
    let command = command(step, file)?;
    let command = command.map_or(String::new(), |command| copyable(&command, "") + SIDES);
    Ok(format!(
        "<figure class=\"diff\">\n<figcaption><span class=\"file\">{}/{file}</span>{part} <span class=\"tools\">{command}</span></figcaption>\n<div class=\"lines\" tabindex=\"0\">\n{}</div>\n</figure>\n",
        step.folder,
        folded(&rows)
    ))
}

fn before(step: &Step) -> Result<Option<&'static Step>> {
    Ok(steps::all()?.iter().find(|before| before.number + 1 == step.number))
}

/// What shows the same difference in a terminal.
pub fn command(step: &Step, file: &str) -> Result<Option<String>> {
    Ok(before(step)?.map(|before| {
        if file.ends_with(".rs") {
            format!("cargo workshop diff {:02} {:02}", before.number, step.number)
        } else {
            format!("diff -u {}/{file} {}/{file}", before.folder, step.folder)
        }
    }))
}

/// What makes a step's program the solution of its exercise.
pub fn patch_command(step: &Step) -> String {
    format!("patch mine/{} book/exercises/{}.patch", FILES[0], step.package)
}

/// What starts a step.
pub fn try_it(step: &Step) -> String {
    format!("cargo run -p {} {}", step.package, step.r#try)
}

/// How a solution changes a step's program, and what it is called there.
pub fn solution(project: &Project, step: &Step) -> Result<String> {
    let path = format!("book/exercises/{}.patch", step.package);
    let old = project.file(step, FILES[0])?;
    let new = patch::apply(&old, &project.read_file(&path)?)
        .with_context(|| format!("{path} does not fit {}/{}", step.folder, FILES[0]))?;
    let difference = Difference::new(&old, &new, true)?;
    let mut rows = rows(FILES[0], &[old, new], &difference, &difference.all());
    rows.iter_mut().for_each(|row| row.names = false);
    Ok(format!(
        "<figure class=\"diff\">\n<figcaption><span class=\"file\">mine/{}</span> <span class=\"tools\">{}{SIDES}</span></figcaption>\n<div class=\"lines\" tabindex=\"0\">\n{}</div>\n</figure>\n",
        FILES[0],
        copyable(&patch_command(step), ""),
        folded(&rows)
    ))
}

/// A line of a difference.
struct Row {
    changes: bool,
    /// Whether it is neither a comment nor an attribute.
    names: bool,
    html: String,
}

/// The lines of a part.
fn rows(file: &str, sources: &[String; 2], difference: &Difference, part: &Part) -> Vec<Row> {
    let [old, new] = [0, 1].map(|index: usize| colour::lines(file, &sources[index]));
    let mut rows = Vec::new();
    for index in &part.shown {
        let line = &difference.lines[*index];
        let changes = part.changed.contains(index);
        let text = match (line.new, line.old) {
            (Some(number), _) => new.get(number - 1),
            // Another hunk's: it is gone.
            (None, _) if !changes => continue,
            (None, number) => old.get(number.unwrap_or(1) - 1),
        };
        let (class, tag) = match line.kind {
            Kind::Added if changes => ("added", "ins"),
            Kind::Deleted => ("deleted", "del"),
            _ => ("same", "span"),
        };
        let sign = if changes { line.sign() } else { ' ' };
        let number = |number: Option<usize>| number.map_or(String::new(), |it| it.to_string());
        let text = text.map_or("", String::as_str);
        let html = format!(
            "<div class=\"line {class}\" data-old=\"{}\" data-new=\"{}\"><span class=\"sign\">{sign}</span><{tag}>{text}</{tag}></div>",
            number(line.old.filter(|_| line.kind != Kind::Added)),
            number(line.new),
        );
        let source = line.text.trim_start();
        let names = !source.is_empty() && !source.starts_with("//") && !source.starts_with('#');
        rows.push(Row { changes, names, html });
    }
    rows
}

/// The lines; those far from any change are folded.
fn folded(rows: &[Row]) -> String {
    // The line that names the item, above its parameters.
    let named = rows.iter().position(|row| row.names);
    let near: BTreeSet<usize> = (0..rows.len())
        .filter(|index| rows[*index].changes)
        .flat_map(|index| index.saturating_sub(CONTEXT)..=index + CONTEXT)
        .chain(named)
        .collect();
    let mut html = String::new();
    let mut index = 0;
    while index < rows.len() {
        let far = (index..rows.len()).take_while(|index| !near.contains(index)).count();
        let end = index + far.max(1);
        if far >= FOLD {
            let _ = writeln!(
                html,
                "<details class=\"unchanged\"><summary>{far} unchanged lines</summary>"
            );
        }
        for row in &rows[index..end] {
            html += &row.html;
            html.push('\n');
        }
        if far >= FOLD {
            html += "</details>\n";
        }
        index = end;
    }
    html
}

/// An item of a source.
pub fn excerpt(project: &Project, path: &str, name: &str) -> Result<String> {
    let source = project.read_file(path)?;
    let items = Items::of(&source).with_context(|| format!("cannot look into {path}"))?;
    let lines =
        items.find(name).with_context(|| format!("cannot find it in {path}"))?.lines.clone();
    let rows: String = colour::lines(path, &source)
        .iter()
        .enumerate()
        .skip(lines.start - 1)
        .take(lines.len())
        .map(|(index, text)| {
            format!(
                "<div class=\"line same\" data-new=\"{}\"><span>{text}</span></div>\n",
                index + 1
            )
        })
        .collect();
    Ok(format!(
        "<figure class=\"code\">\n<figcaption><span class=\"file\">{}</span> <span class=\"part\">{}</span></figcaption>\n<div class=\"lines\" tabindex=\"0\">\n{rows}</div>\n</figure>\n",
        escape(path),
        escape(name)
    ))
}

/// The size of the difference between a step's program and its predecessor's.
pub fn stat(project: &Project, number: u8) -> Result<String> {
    let pair = project.pair(number).context("there is no such step")?;
    Ok(format!(
        "<span class=\"stat\"><ins>+{}</ins> <del>−{}</del></span>",
        pair.added, pair.deleted
    ))
}

/// Where a step is on the ladder, how to run it (an attribute goes with the command), and how large the differences around it are.
pub fn bar(project: &Project, step: &Step, attribute: &str) -> Result<String> {
    let mut rungs = String::new();
    for other in steps::all()? {
        let current = if other.number == step.number { " aria-current=\"page\"" } else { "" };
        let _ = writeln!(
            rungs,
            "<li><a href=\"{}.html\"{current}><b>{:02}</b> {}</a></li>",
            other.folder, other.number, other.title
        );
    }
    let mut sizes = format!("<span>from the step before {}</span>", stat(project, step.number)?);
    if let Ok(next) = stat(project, step.number + 1) {
        let _ = write!(sizes, " <span>to the next {next}</span>");
    }
    Ok(format!(
        "<nav class=\"steps\" aria-label=\"The ladder\">\n<ol>\n{rungs}</ol>\n<p><span class=\"try\">{}</span> {sizes} <span>{} minutes</span></p>\n{}</nav>\n",
        copyable(&try_it(step), attribute),
        step.minutes,
        needs(step)?
    ))
}

/// What the machine must offer to a step; what the step before did without stands out.
fn needs(step: &Step) -> Result<String> {
    let known = before(step)?.map_or(&[][..], |before| &before.needs);
    let badges: String = step
        .needs
        .iter()
        .filter(|need| need.has_badge())
        .map(|need| {
            let (facts, new) = (need.facts(), !known.contains(need));
            let (class, tag) = if new { (" class=\"new\"", "b") } else { ("", "span") };
            let what = escape(facts.what);
            format!("<li{class} title=\"{what}\"><{tag}>{}</{tag}></li>\n", escape(facts.label))
        })
        .collect();
    if badges.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("<div class=\"needs\"><span>needs</span>\n<ul>\n{badges}</ul></div>\n"))
}
