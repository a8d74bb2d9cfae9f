//! A difference for human eyes: old and new one below the other, or side by side.

use super::fold::Part;
use super::layout::{self, Cell, Row};
use super::pairs::{self, Pair};
use super::{Kind, Line};

/// Old lines above new ones, with the numbers of both.
pub(super) fn unified(files: [&str; 2], parts: &[Part], columns: usize) -> String {
    let digits = digits(parts);
    let mut rows = layout::heading(&format!("--- {}", files[0]), columns);
    rows.extend(layout::heading(&format!("+++ {}", files[1]), columns));
    for part in parts {
        match part {
            Part::Folded { items, lines } => rows.extend(folded(items, *lines, columns)),
            Part::Lines(lines) => {
                let blocks = pairs::blocks(lines);
                rows.extend(blocks.flat_map(|block| below(&block, digits, columns)));
            }
        }
    }
    layout::below(&rows)
}

fn below(block: &[Pair], digits: usize, columns: usize) -> Vec<Row> {
    let gone = block.iter().filter_map(|pair| pair.old.as_ref());
    let gone = gone.filter(|cell| cell.line.kind == Kind::Deleted);
    let cells = gone.chain(block.iter().filter_map(|pair| pair.new.as_ref()));
    let front = |line: &Line| format!("{}{}", number(line.old, digits), number(line.new, digits));
    cells.flat_map(|cell| cell.rows(&front(cell.line), columns)).collect()
}

/// Old lines on the left, new ones on the right.
pub(super) fn sides(files: [&str; 2], parts: &[Part], columns: usize) -> String {
    let (half, digits) = (layout::half(columns), digits(parts));
    let [old, new] = files.map(|file| layout::heading(file, half));
    let mut text = layout::beside(&old, &new, columns);
    let rows = |cell: Option<Cell>, number_of: fn(&Line) -> Option<usize>| match cell {
        Some(cell) => cell.rows(&number(number_of(cell.line), digits), half),
        None => Vec::new(),
    };
    for part in parts {
        match part {
            Part::Folded { items, lines } => {
                text += &layout::below(&folded(items, *lines, columns));
            }
            Part::Lines(lines) => {
                for pair in pairs::blocks(lines).flatten() {
                    let old = rows(pair.old, |line| line.old);
                    let new = rows(pair.new, |line| line.new);
                    text += &layout::beside(&old, &new, columns);
                }
            }
        }
    }
    text
}

/// A line's number as it stands in front of the line.
pub(super) fn number(number: Option<usize>, digits: usize) -> String {
    format!("{:>digits$} ", number.map_or(String::new(), |number| number.to_string()))
}

/// How many digits the greatest number of a line has.
fn digits(parts: &[Part]) -> usize {
    let lines = parts.iter().filter_map(|part| match part {
        Part::Lines(lines) => Some(lines),
        Part::Folded { .. } => None,
    });
    let greatest = lines.flatten().filter_map(|line| line.old.max(line.new)).max();
    greatest.unwrap_or(0).to_string().len()
}

/// What stands in place of folded lines.
fn folded(items: &[String], lines: usize, columns: usize) -> Vec<Row> {
    let lines = if lines == 1 { "1 line".to_string() } else { format!("{lines} lines") };
    let names = match items {
        [] => return layout::remark(&format!("... {lines} unchanged"), columns),
        [item] => item.clone(),
        _ => items.iter().map(|item| short(item)).collect::<Vec<_>>().join(", "),
    };
    let mut rows = layout::remark(&format!("... {lines} unchanged: {names}"), columns);
    rows.push(Row::default());
    rows
}

/// `fn wait` of `fn wait(process: &Child) -> Result<u8>`.
fn short(item: &str) -> &str {
    let end = if item.starts_with("impl") { None } else { item.find(['(', '<', ':']) };
    &item[..end.unwrap_or(item.len())]
}
