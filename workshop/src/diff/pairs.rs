//! The lines of a difference, each old one beside the new one that it became.

use super::layout::Cell;
use super::words;
use super::{Kind, Line};

/// An old line, the new one beside it, or both.
pub(super) struct Pair<'a> {
    pub(super) old: Option<Cell<'a>>,
    pub(super) new: Option<Cell<'a>>,
}

/// The lines that stay and those that change, by turns.
pub(super) fn blocks(lines: &[Line]) -> impl Iterator<Item = Vec<Pair<'_>>> {
    let stays = |line: &Line| line.kind == Kind::Context;
    let blocks = lines.chunk_by(move |one, next| stays(one) == stays(next));
    blocks.map(move |block| if stays(&block[0]) { same(block) } else { changed(block) })
}

fn same(block: &[Line]) -> Vec<Pair<'_>> {
    let both = |line| Pair { old: Some(Cell::new(line)), new: Some(Cell::new(line)) };
    block.iter().map(both).collect()
}

fn changed(block: &[Line]) -> Vec<Pair<'_>> {
    let of = |kind| block.iter().filter(|line| line.kind == kind).collect::<Vec<_>>();
    let (gone, come) = (of(Kind::Deleted), of(Kind::Added));
    let mut pairs = Vec::new();
    let (mut from, mut to) = (0, 0);
    for (i, j) in words::pairs(&texts(&gone), &texts(&come)) {
        pairs.extend(unlike(&gone[from..i], &come[to..j]));
        pairs.push(alike(gone[i], come[j]));
        (from, to) = (i + 1, j + 1);
    }
    pairs.extend(unlike(&gone[from..], &come[to..]));
    pairs
}

fn texts<'a>(lines: &[&'a Line]) -> Vec<&'a str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

/// Lines that have nothing to do with each other stand side by side all the same: it saves room.
fn unlike<'a>(gone: &[&'a Line], come: &[&'a Line]) -> Vec<Pair<'a>> {
    let old = |index: usize| gone.get(index).map(|line| Cell::new(line));
    let new = |index: usize| come.get(index).map(|line| Cell::new(line));
    let longer = gone.len().max(come.len());
    (0..longer).map(|index| Pair { old: old(index), new: new(index) }).collect()
}

fn alike<'a>(gone: &'a Line, come: &'a Line) -> Pair<'a> {
    let (mut old, mut new) = (Cell::new(gone), Cell::new(come));
    [old.spans, new.spans] = words::compare(&old.text(), &new.text());
    Pair { old: Some(old), new: Some(new) }
}

#[cfg(test)]
mod tests {
    use super::super::all_lines;
    use super::*;

    /// What stands beside each other, by the numbers of the lines.
    fn numbers(old: &str, new: &str) -> Vec<[Option<usize>; 2]> {
        let lines = all_lines(old, new);
        let pairs = blocks(&lines).flatten();
        let numbers = pairs.map(|pair| {
            [pair.old.and_then(|cell| cell.line.old), pair.new.and_then(|cell| cell.line.new)]
        });
        numbers.collect()
    }

    #[test]
    fn a_line_stands_beside_what_it_became() {
        let old = "fn a() {\n    wait(&start()?)\n}\n";
        let new = "fn a() {\n    // Why.\n    let status = wait(&start()?);\n    status\n}\n";
        let expected = [
            [Some(1), Some(1)],
            [None, Some(2)],
            [Some(2), Some(3)],
            [None, Some(4)],
            [Some(3), Some(5)],
        ];
        assert_eq!(numbers(old, new), expected);
    }

    #[test]
    fn lines_without_a_likeness_share_rows() {
        let expected = [[Some(1), Some(1)], [Some(2), None]];
        assert_eq!(numbers("one();\nlet x = y;\n", "// 7 * 8\n"), expected);
    }
}
