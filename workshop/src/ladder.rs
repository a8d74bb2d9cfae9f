//! The differences between neighbours on the ladder, held to a budget: what changes from one step to
//! the next is the lesson, so it must stay small and hold nothing but the lesson.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;
use colored::Colorize;

use crate::diff::{self, Hunk, Kind, Line};
use crate::steps::Step;

/// The median of the changed lines, added and deleted, between neighbours.
pub const MEDIAN: usize = 40;
/// The changed lines between two neighbours.
pub const MAX: usize = 80;
/// The deleted lines in percent of all changed lines.
pub const DELETIONS: usize = 15;

/// Shorter lines (`})?;`, `Ok(0)`) come and go without having moved.
const SHORT: usize = 10;

/// What changes between two neighbours.
#[derive(Debug)]
pub struct Pair {
    /// For example `04 -> 05`.
    pub name: String,
    /// Lines that come.
    pub added: usize,
    /// Lines that go.
    pub deleted: usize,
    /// Places where something changes.
    pub hunks: usize,
    /// Lines that only move or change their format: noise in a lesson.
    pub noise: Vec<String>,
}

impl Pair {
    /// Sums up the difference of two sources.
    pub fn new(name: String, old: &str, new: &str) -> Self {
        let hunks = diff::hunks(old, new);
        let count = |kind| hunks.iter().map(|hunk| hunk.of_kind(kind).count()).sum();
        let mut noise = moved(&hunks);
        noise.extend(reformatted(&hunks));
        noise.dedup();
        Self {
            name,
            added: count(Kind::Added),
            deleted: count(Kind::Deleted),
            hunks: hunks.len(),
            noise,
        }
    }

    /// Lines that come or go.
    pub fn changed(&self) -> usize {
        self.added + self.deleted
    }
}

/// Long lines that vanish in one place and come back in another.
fn moved(hunks: &[Hunk]) -> Vec<String> {
    let all = |kind| hunks.iter().flat_map(move |hunk| hunk.of_kind(kind)).map(|l| l.text.trim());
    let added: HashSet<&str> = all(Kind::Added).collect();
    all(Kind::Deleted)
        .filter(|line| line.chars().count() > SHORT && added.contains(line))
        .map(|line| format!("only moves: {line}"))
        .collect()
}

/// Hunks, or runs of changed lines in them, that say the same before and after.
fn reformatted(hunks: &[Hunk]) -> Vec<String> {
    let runs = hunks.iter().flat_map(|hunk| hunk.lines.split(|line| line.kind == Kind::Context));
    runs.chain(hunks.iter().map(|hunk| hunk.lines.as_slice()))
        .filter(|lines| essence(lines, Kind::Deleted) == essence(lines, Kind::Added))
        .filter_map(|lines| {
            let deleted = lines.iter().filter(|line| line.kind == Kind::Deleted);
            deleted.map(|line| line.text.trim()).find(|text| !text.is_empty())
        })
        .map(|text| format!("only changes its format: {text}"))
        .collect()
}

/// The lines as one, without what a formatter puts in or takes out.
fn essence(lines: &[Line], kind: Kind) -> String {
    let lines = lines.iter().filter(|line| line.kind == kind);
    lines.flat_map(|line| line.text.chars()).filter(|c| !c.is_whitespace() && *c != ',').collect()
}

/// One line of the verdict.
#[derive(Debug)]
pub struct Verdict {
    /// The measured value and its budget.
    pub text: String,
    /// Whether the budget holds.
    pub ok: bool,
}

/// Sums up all neighbours among these steps.
pub fn pairs(project: &Path, steps: &[Step]) -> Result<Vec<Pair>> {
    let sources: Vec<String> =
        steps.iter().map(|step| diff::read(project, step)).collect::<Result<_>>()?;
    let neighbours = steps.windows(2).zip(sources.windows(2));
    Ok(neighbours
        .map(|(steps, sources)| {
            let name = format!("{:02} -> {:02}", steps[0].number, steps[1].number);
            Pair::new(name, &sources[0], &sources[1])
        })
        .collect())
}

/// Holds the pairs to each budget.
pub fn verdicts(pairs: &[Pair]) -> Vec<Verdict> {
    let mut changed: Vec<usize> = pairs.iter().map(Pair::changed).collect();
    changed.sort_unstable();
    let max = changed.last().copied().unwrap_or(0);
    let total: usize = changed.iter().sum();
    let deleted: usize = pairs.iter().map(|pair| pair.deleted).sum();
    let share = 100.0 * deleted as f64 / total.max(1) as f64;
    let median = median(&changed);
    let mut verdicts = vec![
        Verdict {
            text: format!("median    {median:>5} of at most {MEDIAN} lines"),
            ok: median <= MEDIAN as f64,
        },
        Verdict { text: format!("largest   {max:>5} of at most {MAX} lines"), ok: max <= MAX },
        Verdict {
            text: format!("deletions {share:>5.1} of at most {DELETIONS} %"),
            ok: deleted * 100 <= DELETIONS * total,
        },
    ];
    let noise: usize = pairs.iter().map(|pair| pair.noise.len()).sum();
    verdicts.push(Verdict {
        text: format!("noise     {noise:>5} of at most 0 moved, reformatted"),
        ok: noise == 0,
    });
    verdicts
}

/// The median of sorted values.
fn median(sorted: &[usize]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n => (sorted[(n - 1) / 2] + sorted[n / 2]) as f64 / 2.0,
    }
}

/// The table of all pairs, what is noise in them, and the verdicts.
pub fn table(pairs: &[Pair]) -> String {
    let mut text = format!(
        "{}\n",
        format!("{:<8} {:>7} {:>8} {:>8} {:>6}", "pair", "added", "deleted", "changed", "hunks")
            .bold()
    );
    for pair in pairs {
        let (added, deleted, changed) = (pair.added, pair.deleted, pair.changed());
        text +=
            &format!("{:<8} {added:>7} {deleted:>8} {changed:>8} {:>6}\n", pair.name, pair.hunks);
    }
    for pair in pairs {
        for noise in &pair.noise {
            text += &format!("{} {noise}\n", format!("{}:", pair.name).yellow());
        }
    }
    text.push('\n');
    for verdict in verdicts(pairs) {
        let word = if verdict.ok { "ok".green() } else { "over".red().bold() };
        text += &format!("{:<48} {word}\n", verdict.text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: usize) -> String {
        (0..count).map(|n| format!("let line = {n};\n")).collect()
    }

    /// The budgets that these pairs break, by their first word.
    fn broken(pairs: &[Pair]) -> Vec<String> {
        let verdicts = verdicts(pairs).into_iter().filter(|verdict| !verdict.ok);
        verdicts.filter_map(|v| v.text.split(' ').next().map(str::to_string)).collect()
    }

    fn growth(lines: usize) -> Pair {
        Pair::new(format!("{lines} lines"), "", &numbered(lines))
    }

    #[test]
    fn a_ladder_within_its_budgets_is_green() {
        assert!(broken(&[growth(40), growth(80), growth(8)]).is_empty());
        assert!(broken(&[]).is_empty());
    }

    #[test]
    fn more_than_80_lines_are_over() {
        assert_eq!(broken(&[growth(8), growth(81), growth(8)]), ["largest"]);
    }

    #[test]
    fn the_median_counts_and_not_the_mean() {
        assert_eq!(broken(&[growth(41), growth(41), growth(1)]), ["median"]);
        assert_eq!(broken(&[growth(40), growth(41)]), ["median"]);
        assert!(broken(&[growth(39), growth(41)]).is_empty());
    }

    #[test]
    fn too_many_deletions_are_over() {
        let shrunk = |old, new| Pair::new("pair".into(), &numbered(old), &numbered(new));
        assert!(broken(&[growth(17), shrunk(6, 3)]).is_empty(), "3 of 20 are 15 %");
        assert_eq!(broken(&[growth(17), shrunk(7, 3)]), ["deletions"]);
    }

    #[test]
    fn a_moved_function_is_noise() {
        let (a, b) = ("fn first_one() {\n    one();\n}\n", "fn second_one() {\n    two();\n}\n");
        let pair = Pair::new("pair".into(), &format!("{a}\n{b}"), &format!("{b}\n{a}"));
        assert!(pair.noise.contains(&"only moves: fn second_one() {".to_string()), "{pair:?}");
        assert!(broken(&[pair]).contains(&"noise".to_string()));
    }

    #[test]
    fn a_reformatted_hunk_is_noise() {
        let pair = Pair::new(
            "pair".into(),
            "fn main() {\n    call(first, second);\n}\n",
            "fn main() {\n    call(\n        first,\n        second,\n    );\n}\n",
        );
        assert_eq!(pair.noise, ["only changes its format: call(first, second);"]);
    }

    #[test]
    fn a_changed_line_is_no_noise() {
        let pair = Pair::new("pair".into(), "a\nspawn(command)?;\nb\n", "a\nspawn(child)?;\nb\n");
        assert!(pair.noise.is_empty(), "{:?}", pair.noise);
    }
}
