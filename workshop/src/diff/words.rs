//! Which words of a line changed.

use similar::{ChangeTag, TextDiff};

/// So alike must two lines be (1: equal) to be the same line, changed.
const ALIKE: f32 = 0.6;

/// What has been rewritten altogether has no lines that were changed: so many comparisons at most.
const COMPARISONS: usize = 1000;

/// A piece of a line, and whether the other line lacks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) differs: bool,
}

impl Span {
    pub(super) fn plain(text: &str) -> Self {
        Self { text: text.to_string(), differs: false }
    }
}

/// Finds for old lines the new ones that they became, in order.
pub(super) fn pairs(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    if old.len() * new.len() > COMPARISONS {
        return pairs;
    }
    let mut next = 0;
    for (index, line) in old.iter().enumerate() {
        let candidates = (next..new.len()).map(|other| (alike(line, new[other]), other));
        let best = candidates.max_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((_, other)) = best.filter(|(ratio, _)| *ratio >= ALIKE) {
            pairs.push((index, other));
            next = other + 1;
        }
    }
    pairs
}

fn alike(old: &str, new: &str) -> f32 {
    TextDiff::from_slices(&words(old.trim()), &words(new.trim())).ratio()
}

/// Both lines in pieces, those that differ apart.
pub(super) fn compare(old: &str, new: &str) -> [Vec<Span>; 2] {
    let (old, new) = (words(old), words(new));
    let mut sides = [Vec::new(), Vec::new()];
    for change in TextDiff::from_slices(&old, &new).iter_all_changes() {
        let differs = change.tag() != ChangeTag::Equal;
        for (side, other) in sides.iter_mut().zip([ChangeTag::Insert, ChangeTag::Delete]) {
            if change.tag() != other {
                push(side, change.value(), differs);
            }
        }
    }
    sides
}

fn push(spans: &mut Vec<Span>, text: &str, differs: bool) {
    match spans.last_mut() {
        Some(last) if last.differs == differs => last.text += text,
        _ => spans.push(Span { text: text.to_string(), differs }),
    }
}

/// Names and numbers, and every other character by itself.
fn words(line: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, tail) = rest.split_at(end);
        words.push(word);
        rest = tail;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces, those that differ in brackets.
    fn marked(spans: &[Span]) -> String {
        let mark = |span: &Span| match span.differs {
            true => format!("[{}]", span.text),
            false => span.text.clone(),
        };
        spans.iter().map(mark).collect()
    }

    #[test]
    fn names_that_come_are_told_from_those_that_stay() {
        let [old, new] = compare("use a::{One, Three};", "use a::{One, Two, Three, four};");
        assert_eq!(marked(&old), "use a::{One, Three};");
        assert_eq!(marked(&new), "use a::{One, [Two, ]Three[, four]};");
    }

    #[test]
    fn a_changed_line_finds_what_it_became() {
        let new = ["    // Why.", "    let status = wait(&start()?);", "    status"];
        assert_eq!(pairs(&["    wait(&start()?)"], &new), [(0, 1)]);
    }

    #[test]
    fn unlike_lines_are_no_pair() {
        assert_eq!(pairs(&["    one();"], &["let x = 7 * y"]), []);
    }

    #[test]
    fn what_has_been_rewritten_is_not_compared() {
        let many = ["the same line"; 40];
        assert_eq!(pairs(&many, &many), []);
    }
}
