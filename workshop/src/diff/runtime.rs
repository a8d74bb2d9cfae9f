//! Where a step went in the runtime: what the step adds, and the runtime's modules for it.

use std::path::Path;

use anyhow::Result;

use crate::project;
use crate::steps::{self, Step};

use super::layout::{self, Cell, Row};
use super::{Kind, Line, Screen, all_lines, fold, source, views};

/// Shows the step's own code on the left, or first, and the runtime's on the right, or then. Programs
/// get it in lines that are not broken.
pub(super) fn show(project: &Path, step: &Step, screen: Option<Screen>) -> Result<String> {
    let whole = Screen { columns: usize::MAX, sides: false };
    let Screen { columns: all, sides } = screen.unwrap_or(whole);
    let columns = if sides { layout::half(all) } else { all };
    let file = format!("{}/src/main.rs", step.folder);
    let mut taught = layout::heading(&format!("{file}, what it adds"), columns);
    taught.extend(rows(&own_code(project, step)?, columns));
    let mut real = Vec::new();
    for module in &step.r#final {
        let file = format!("final/src/{module}");
        real.extend(layout::heading(&file, columns));
        real.extend(rows(&module_code(&project.join(file))?, columns));
        real.push(Row::default());
    }
    if sides {
        return Ok(layout::beside(&taught, &real, all));
    }
    taught.push(Row::default());
    Ok(layout::below(&taught) + &layout::below(&real))
}

/// The items of a step that the step before does not have so, all of their lines.
fn own_code(project: &Path, step: &Step) -> Result<Vec<Line>> {
    let before = steps::all()?.iter().find(|before| before.number + 1 == step.number);
    let old = before.map_or(Ok(String::new()), |before| source::read(project, before))?;
    let lines = all_lines(&old, &source::read(project, step)?);
    let is_own = |item: &[Line]| {
        fold::name_line(item).is_some() && item.iter().any(|line| line.kind == Kind::Added)
    };
    let own = fold::items(&lines).into_iter().filter(|item| is_own(item)).flatten();
    Ok(own.filter(|line| line.kind != Kind::Deleted).cloned().collect())
}

/// A module without its tests.
fn module_code(path: &Path) -> Result<Vec<Line>> {
    let text = project::read(path)?;
    let lines = all_lines(&text, &text);
    let items = fold::items(&lines).into_iter();
    let tests = |item: &&[Line]| item[0].text.starts_with("#[cfg(test)]");
    Ok(items.filter(|item| !tests(item)).flatten().cloned().collect())
}

fn rows(lines: &[Line], columns: usize) -> Vec<Row> {
    let digits = lines.iter().filter_map(|line| line.new).max().unwrap_or(0).to_string().len();
    let front = |line: &Line| views::number(line.new, digits);
    lines.iter().flat_map(|line| Cell::new(line).rows(&front(line), columns)).collect()
}
