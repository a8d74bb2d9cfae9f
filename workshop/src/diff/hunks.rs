//! The difference of two sources, hunk by hunk, and as a patch.

use similar::{Algorithm, Change, ChangeTag, DiffOp, TextDiff};

/// How many lines around changed ones are shown.
pub(super) const CONTEXT: usize = 3;

/// Whether a line stays, goes or comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In both sources.
    Context,
    /// Only in the old one.
    Deleted,
    /// Only in the new one.
    Added,
}

/// One line of a hunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whether it stays, goes or comes.
    pub kind: Kind,
    /// Its number in the old source, from 1.
    pub old: Option<usize>,
    /// Its number in the new source, from 1.
    pub new: Option<usize>,
    /// The line, with its newline if it has one.
    pub text: String,
}

/// Changed lines that lie close together, with the lines around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// The first line of the item that the hunk begins in; empty at the top of the file.
    pub item: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// Compares two sources.
pub fn hunks(old: &str, new: &str) -> Vec<Hunk> {
    let diff = compare(old, new);
    let groups = diff.grouped_ops(CONTEXT);
    groups.iter().map(|ops| hunk(&diff, ops)).collect()
}

/// Compares two sources and leaves nothing out: all lines of both.
pub(super) fn all_lines(old: &str, new: &str) -> Vec<Line> {
    compare(old, new).iter_all_changes().map(line).collect()
}

fn compare<'a>(old: &'a str, new: &'a str) -> TextDiff<'a, 'a, 'a, str> {
    TextDiff::configure().algorithm(Algorithm::Patience).diff_lines(old, new)
}

fn line(change: Change<&str>) -> Line {
    Line {
        kind: match change.tag() {
            ChangeTag::Equal => Kind::Context,
            ChangeTag::Delete => Kind::Deleted,
            ChangeTag::Insert => Kind::Added,
        },
        old: change.old_index().map(|index| index + 1),
        new: change.new_index().map(|index| index + 1),
        text: change.value().to_string(),
    }
}

fn hunk<'a>(diff: &TextDiff<'a, 'a, 'a, str>, ops: &[DiffOp]) -> Hunk {
    let lines = ops.iter().flat_map(|op| diff.iter_changes(op)).map(line).collect();
    let start = ops.first().map_or(0, |op| op.old_range().start);
    Hunk { item: enclosing_item(&diff.old_slices()[..start]), lines }
}

/// The last line above that begins in the first column with a letter, as git shows it.
fn enclosing_item(above: &[&str]) -> String {
    let item = above.iter().rev().find(|line| line.starts_with(char::is_alphabetic));
    item.map_or(String::new(), |line| line.trim_end().trim_end_matches(" {").to_string())
}

/// The difference as a unified diff that makes `file` the new source: `patch -p1` and `git apply` take it.
pub fn patch(file: &str, hunks: &[Hunk]) -> String {
    if hunks.is_empty() {
        return String::new();
    }
    let mut text = format!("--- a/{file}\n+++ b/{file}\n");
    for hunk in hunks {
        text += &format!("{}\n", hunk.header());
        for line in &hunk.lines {
            text.push(line.sign());
            text += &line.text;
            if !line.text.ends_with('\n') {
                text += "\n\\ No newline at end of file\n";
            }
        }
    }
    text
}

impl Kind {
    /// What a unified diff puts before such a line.
    pub fn sign(self) -> char {
        match self {
            Self::Context => ' ',
            Self::Deleted => '-',
            Self::Added => '+',
        }
    }
}

impl Line {
    /// What a unified diff puts before it.
    pub fn sign(&self) -> char {
        self.kind.sign()
    }
}

impl Hunk {
    /// The lines of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.kind == kind)
    }

    /// `@@ -12,6 +12,9 @@ fn run(...)`
    pub fn header(&self) -> String {
        let range = |numbers: Vec<usize>| match numbers.first() {
            // An empty file's range begins at line 0.
            None => "0,0".to_string(),
            Some(first) => format!("{first},{}", numbers.len()),
        };
        let old = range(self.lines.iter().filter_map(|line| line.old).collect());
        let new = range(self.lines.iter().filter_map(|line| line.new).collect());
        format!("@@ -{old} +{new} @@ {}", self.item).trim_end().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str =
        "use a;\n\nfn run() {\n    one();\n    two();\n    three();\n    four();\n}\n";

    #[test]
    fn a_hunk_names_the_item_it_begins_in() {
        let hunks = hunks(OLD, &OLD.replace("    four();\n", "    four();\n    five();\n"));
        assert_eq!(hunks.len(), 1);
        assert_eq!(hunks[0].header(), "@@ -5,4 +5,5 @@ fn run()");
    }

    #[test]
    fn a_new_function_is_added_whole() {
        let new = format!("{OLD}\nfn child() {{\n    one();\n}}\n");
        let added: String =
            hunks(OLD, &new)[0].of_kind(Kind::Added).map(|line| line.text.as_str()).collect();
        assert_eq!(added, "\nfn child() {\n    one();\n}\n");
    }

    #[test]
    fn equal_sources_give_no_patch() {
        assert_eq!(patch("src/main.rs", &hunks(OLD, OLD)), "");
    }
}
