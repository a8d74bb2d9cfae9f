//! Folds what stays the same: whole items (functions, types, the imports at the top), and in long
//! items the lines that are far from every change.

use super::hunks::CONTEXT;
use super::{Kind, Line};

/// Longer items are not shown as a whole.
const LONG: usize = 60;

/// So few lines are shown rather than folded.
const FEW: usize = 2;

/// A stretch of a difference.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Lines to show
    Lines(Vec<Line>),
    /// Lines that stay the same: the items that they are, none if they are a part of one
    Folded { items: Vec<String>, lines: usize },
}

/// Makes parts of all lines of two sources.
pub(super) fn fold(lines: Vec<Line>) -> Vec<Part> {
    let mut parts = Vec::new();
    for item in items(&lines) {
        if item.iter().any(is_change) {
            shorten(item, &mut parts);
        } else {
            fold_item(item, &mut parts);
        }
    }
    parts
}

/// A blank line that comes or goes is no change to look at.
fn is_change(line: &Line) -> bool {
    line.kind != Kind::Context && !line.text.trim().is_empty()
}

/// Cuts the lines into items, each with its comment above and the blank lines below. The first one
/// is the top of the file, with its comment and the imports.
pub(super) fn items(lines: &[Line]) -> Vec<&[Line]> {
    let mut items = Vec::new();
    let mut start = 0;
    // The line above in the old source, and in the new one.
    let mut above = [""; 2];
    for (index, line) in lines.iter().enumerate() {
        let mut begins = index > 0;
        for (above, number) in above.iter_mut().zip([line.old, line.new]) {
            if number.is_some() {
                begins &= begins_item(above, &line.text);
                *above = &line.text;
            }
        }
        if begins {
            items.push(&lines[start..index]);
            start = index;
        }
    }
    items.push(&lines[start..]);
    items
}

fn begins_item(above: &str, line: &str) -> bool {
    let is_outermost = line.starts_with(|c: char| c.is_alphabetic() || "#/".contains(c));
    let is_top = ["use ", "//!", "#!"].iter().any(|word| line.starts_with(word));
    is_outermost && !is_top && (above.trim().is_empty() || above.starts_with('}'))
}

/// The line with an item's name, below its comment and attributes; the top of a file has none.
pub(super) fn name_line(item: &[Line]) -> Option<usize> {
    let name = item.iter().position(|line| line.text.starts_with(char::is_alphabetic))?;
    (!item[name].text.starts_with("use ")).then_some(name)
}

fn fold_item(item: &[Line], parts: &mut Vec<Part>) {
    let code = item.iter().rposition(|line| !line.text.trim().is_empty()).map_or(0, |it| it + 1);
    let name =
        name_line(item).map(|index| item[index].text.trim_end().trim_end_matches([' ', '{', ';']));
    let name = name.unwrap_or("the top of the file");
    match parts.last_mut() {
        Some(Part::Folded { items, lines }) if !items.is_empty() => {
            items.push(name.to_string());
            *lines += code;
        }
        _ => parts.push(Part::Folded { items: vec![name.to_string()], lines: code }),
    }
}

/// Shows a changed item; of a long one, and of the imports, the lines around the changes.
fn shorten(item: &[Line], parts: &mut Vec<Part>) {
    let name = name_line(item);
    let is_near = |index: usize| {
        let around = index.saturating_sub(CONTEXT)..item.len().min(index + CONTEXT + 1);
        name == Some(index) || item[around].iter().any(is_change)
    };
    let is_whole = name.is_some() && item.len() <= LONG;
    let shown: Vec<(bool, &Line)> =
        item.iter().enumerate().map(|(index, line)| (is_whole || is_near(index), line)).collect();
    for run in shown.chunk_by(|one, next| one.0 == next.0) {
        if !run[0].0 && run.len() > FEW {
            parts.push(Part::Folded { items: Vec::new(), lines: run.len() });
            continue;
        }
        let lines = run.iter().map(|(_, line)| (*line).clone());
        match parts.last_mut() {
            Some(Part::Lines(last)) => last.extend(lines),
            _ => parts.push(Part::Lines(lines.collect())),
        }
    }
}
