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

#[cfg(test)]
mod tests {
    use super::super::all_lines;
    use super::*;

    const TOP: &str = "//! A file.\n\nuse a::A;\n\nuse b::B;\n\n";
    const RUN: &str = "/// Runs.\nfn run(a: &A) -> B {\n    one()\n}\n\n";
    const REST: &str = "#[derive(Debug)]\nstruct C;\n\nimpl Drop for C {\n    fn drop() {}\n}\n";

    /// The parts in short: the signs of lines, and what is folded.
    fn folded(old: &str, new: &str) -> Vec<String> {
        let show = |part| match part {
            Part::Lines(lines) => lines.iter().map(Line::sign).collect(),
            Part::Folded { items, lines } => format!("{lines}: {}", items.join(", ")),
        };
        fold(all_lines(old, new)).into_iter().map(show).collect()
    }

    fn many(count: usize) -> String {
        let body: String = (0..count).map(|n| format!("    call({n});\n")).collect();
        format!("fn many() {{\n{body}}}\n")
    }

    #[test]
    fn what_stays_is_folded_and_named() {
        let (old, new) =
            ([TOP, RUN, REST].concat(), [TOP, &RUN.replace("one", "two"), REST].concat());
        assert_eq!(
            folded(&old, &new),
            ["5: the top of the file", "  -+  ", "5: struct C, impl Drop for C"]
        );
    }

    #[test]
    fn an_item_that_comes_or_goes_leaves_its_neighbours_folded() {
        let (with, without) = ([TOP, RUN, REST].concat(), [TOP, REST].concat());
        let around = ["5: the top of the file", "5: struct C, impl Drop for C"];
        assert_eq!(folded(&without, &with), [around[0], "+++++", around[1]]);
        assert_eq!(folded(&with, &without), [around[0], "-----", around[1]]);
    }

    #[test]
    fn a_new_comment_belongs_to_its_item() {
        let new = format!("// Why.\n{RUN}");
        assert_eq!(folded(RUN, &new), ["+     "]);
        assert_eq!(folded(&new, RUN), ["-     "]);
    }

    #[test]
    fn a_changed_head_does_not_cut_an_item() {
        assert_eq!(folded(RUN, &RUN.replace("run", "go")), [" -+   "]);
    }

    #[test]
    fn blank_lines_alone_are_no_change() {
        assert_eq!(folded(RUN, &format!("{RUN}\n")), ["4: fn run(a: &A) -> B"]);
        assert_eq!(folded("", ""), ["0: the top of the file"]);
    }

    #[test]
    fn of_the_imports_only_the_changed_are_shown() {
        let old: String = (0..20).map(|n| format!("use a::m{n:02};\n")).collect();
        let new = old.replace("use a::m10;\n", "");
        assert_eq!(folded(&old, &new), ["7: ", "   -   ", "6: "]);
    }

    #[test]
    fn a_long_item_keeps_its_head_and_what_is_around_changes() {
        let (old, short) = (many(80), many(30));
        let change = |text: &str| text.replace("call(20)", "other(20)");
        assert_eq!(folded(&old, &change(&old)), [" ", "17: ", "   -+   ", "57: "]);
        assert_eq!(folded(&short, &change(&short)).len(), 1);
    }
}
