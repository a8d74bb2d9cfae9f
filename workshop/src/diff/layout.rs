//! Lines on a terminal: broken where it ends, coloured, and beside each other.

use colored::{ColoredString, Colorize};

use super::words::Span;
use super::{Kind, Line};

/// Between two columns.
const BETWEEN: &str = " │ ";

/// So much further to the right than it began does a broken line go on.
const HANG: usize = 4;

/// A line, and its pieces.
pub(super) struct Cell<'a> {
    pub(super) line: &'a Line,
    pub(super) spans: Vec<Span>,
}

/// What fits into a column, coloured, and how many columns it takes.
#[derive(Default)]
pub(super) struct Row {
    text: String,
    columns: usize,
}

/// How many columns each of two sides has.
pub(super) fn half(columns: usize) -> usize {
    columns.saturating_sub(BETWEEN.chars().count()) / 2
}

/// The rows of two sides beside each other.
pub(super) fn beside(left: &[Row], right: &[Row], columns: usize) -> String {
    let mut text = String::new();
    for index in 0..left.len().max(right.len()) {
        let (left, right) = (left.get(index), right.get(index));
        let pad = half(columns).saturating_sub(left.map_or(0, |row| row.columns));
        let show = |row: Option<&Row>| row.map_or(String::new(), |row| row.text.clone());
        let row = format!("{}{:pad$}{BETWEEN}{}", show(left), "", show(right));
        text += &format!("{}\n", row.trim_end());
    }
    text
}

/// The rows one below the other.
pub(super) fn below(rows: &[Row]) -> String {
    rows.iter().map(|row| format!("{}\n", row.text.trim_end())).collect()
}

/// A heading.
pub(super) fn heading(text: &str, columns: usize) -> Vec<Row> {
    plain(text, 0, columns, |text| text.bold())
}

/// A remark in place of what is not shown.
pub(super) fn remark(text: &str, columns: usize) -> Vec<Row> {
    plain(text, 2, columns, |text| text.dimmed())
}

fn plain(text: &str, indent: usize, columns: usize, style: fn(&str) -> ColoredString) -> Vec<Row> {
    let broken = wrap(&[Span::plain(text)], columns.saturating_sub(indent));
    let texts = broken.iter().map(|spans| spans.iter().map(|span| span.text.as_str()).collect());
    texts
        .map(|text: String| Row {
            columns: indent + text.chars().count(),
            text: format!("{:indent$}{}", "", style(&text)),
        })
        .collect()
}

impl<'a> Cell<'a> {
    /// All of a line as one piece.
    pub(super) fn new(line: &'a Line) -> Self {
        let text = line.text.trim_end_matches(['\r', '\n']).replace('\t', "    ");
        Self { line, spans: vec![Span::plain(&text)] }
    }

    pub(super) fn text(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }

    /// Breaks it into rows of at most so many columns. Each has the sign, the first one what stands
    /// in front.
    pub(super) fn rows(&self, front: &str, columns: usize) -> Vec<Row> {
        let margin = front.chars().count() + 1;
        let mut front = front.dimmed().to_string();
        let mut rows = Vec::new();
        for spans in wrap(&self.spans, columns.saturating_sub(margin)) {
            let sign = paint(self.line.kind, &self.line.sign().to_string());
            let text: String = spans.iter().map(|span| self.paint(span)).collect();
            let length: usize = spans.iter().map(|span| span.text.chars().count()).sum();
            rows.push(Row { text: format!("{front}{sign}{text}"), columns: margin + length });
            front = " ".repeat(margin - 1);
        }
        rows
    }

    fn paint(&self, span: &Span) -> String {
        let painted = paint(self.line.kind, &span.text);
        if span.differs { painted.bold().underline().to_string() } else { painted.to_string() }
    }
}

fn paint(kind: Kind, text: &str) -> ColoredString {
    match kind {
        Kind::Context => text.normal(),
        Kind::Deleted => text.red(),
        Kind::Added => text.green(),
    }
}

/// Breaks a line at spaces, if there are some, so that no row has more than so many columns.
fn wrap(spans: &[Span], columns: usize) -> Vec<Vec<Span>> {
    let line: Vec<(char, bool)> =
        spans.iter().flat_map(|span| span.text.chars().map(|c| (c, span.differs))).collect();
    let indent = line.iter().take_while(|(c, _)| *c == ' ').count();
    let hang = (indent + HANG).min(columns / 2);
    let mut rows = Vec::new();
    let (mut start, mut before) = (0, 0);
    loop {
        let rest = &line[start..];
        let room = (columns - before).max(1);
        let end = if rest.len() <= room { rest.len() } else { break_at(rest, room) };
        rows.push(row(before, &rest[..end]));
        start += end + rest[end..].iter().take_while(|(c, _)| *c == ' ').count();
        before = hang;
        if start == line.len() {
            return rows;
        }
    }
}

/// Where to break what is longer than a row: at its last space, before its last dot or its last word,
/// or, if these are far off, at its end.
fn break_at(line: &[(char, bool)], room: usize) -> usize {
    let indent = line.iter().take_while(|(c, _)| *c == ' ').count();
    let first = indent.max(room / 2) + 1;
    let is_word = |at: usize| line[at].0.is_alphanumeric() || line[at].0 == '_';
    let last = |is_good: &dyn Fn(usize) -> bool| (first..=room).rev().find(|at| is_good(*at));
    let space = last(&|at| line[at].0 == ' ');
    let dot = || last(&|at| line[at].0 == '.');
    let word = || last(&|at| is_word(at) && !is_word(at - 1));
    space.or_else(dot).or_else(word).unwrap_or(room)
}

fn row(before: usize, line: &[(char, bool)]) -> Vec<Span> {
    let spans = line.chunk_by(|one, next| one.1 == next.1);
    let spans =
        spans.map(|run| Span { text: run.iter().map(|(c, _)| c).collect(), differs: run[0].1 });
    [Span::plain(&" ".repeat(before))]
        .into_iter()
        .filter(|it| !it.text.is_empty())
        .chain(spans)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::all_lines;
    use super::*;

    fn wrapped(text: &str, columns: usize) -> Vec<String> {
        let rows = wrap(&[Span::plain(text)], columns);
        rows.iter().map(|row| row.iter().map(|span| span.text.as_str()).collect()).collect()
    }

    #[test]
    fn a_line_is_broken_at_a_space_and_goes_on_further_right() {
        assert_eq!(wrapped("    let a = bcd(efgh)", 18), ["    let a =", "        bcd(efgh)"]);
        assert_eq!(wrapped("    let a = bcd(efgh)", 21), ["    let a = bcd(efgh)"]);
        assert_eq!(wrapped("", 10), [""]);
    }

    #[test]
    fn without_a_space_it_is_broken_before_a_dot_or_a_word() {
        assert_eq!(wrapped("one_thing.another()", 16), ["one_thing", "    .another()"]);
        assert_eq!(wrapped("use aa::bbbb::cccc;", 16), ["use aa::bbbb::", "    cccc;"]);
        assert_eq!(wrapped("abcdefghijkl", 8), ["abcdefgh", "    ijkl"]);
    }

    #[test]
    fn no_row_is_too_wide_and_nothing_is_lost() {
        let line =
            format!("{}let äöü = call(\"a longer text\", other.than_this());", " ".repeat(12));
        for columns in 1..80 {
            let rows = wrapped(&line, columns);
            assert!(rows.iter().all(|row| row.chars().count() <= columns), "{columns}: {rows:?}");
            let without_spaces = |text: &str| text.replace(' ', "");
            assert_eq!(without_spaces(&rows.concat()), without_spaces(&line));
        }
    }

    #[test]
    fn what_differs_still_does_when_it_is_broken() {
        let spans = [Span::plain("ab "), Span { text: "cd ef".into(), differs: true }];
        let differs = |row: &Vec<Span>| row.iter().any(|span| span.differs);
        assert_eq!(wrap(&spans, 5).iter().map(differs).collect::<Vec<_>>(), [true, true]);
    }

    #[test]
    fn two_sides_stand_beside_each_other() {
        colored::control::set_override(false);
        let lines = all_lines("one two three\nsame\n", "same\n");
        let rows = |index: usize| Cell::new(&lines[index]).rows("1 ", 13);
        assert_eq!(beside(&rows(0), &[], 29), "1 -one two    │\n  -    three  │\n");
        assert_eq!(beside(&rows(1), &rows(1), 29), "1  same       │ 1  same\n");
    }
}
