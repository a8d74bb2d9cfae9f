//! The difference of two neighbours, cut into named parts.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use workshop::diff::{self, Kind, Line};

use crate::items::{Items, Lines};

/// The whole of two sources, line by line, and what lies where.
pub struct Difference {
    /// Every line, unchanged ones too.
    pub lines: Vec<Line>,
    old: Option<Items>,
    new: Option<Items>,
}

/// A named part: the lines to show, by their index in the difference.
pub struct Part {
    /// All of them, in order.
    pub shown: Vec<usize>,
    /// Those among them that are shown as changed.
    pub changed: BTreeSet<usize>,
}

impl Difference {
    /// Compares two sources. Only Rust has items.
    pub fn new(old: &str, new: &str, rust: bool) -> Result<Self> {
        let items = |source| rust.then(|| Items::of(source)).transpose();
        Ok(Self { lines: whole(old, new), old: items(old)?, new: items(new)? })
    }

    /// Whether a line comes or goes.
    pub fn is_changed(&self, index: usize) -> bool {
        self.lines.get(index).is_some_and(|line| line.kind != Kind::Context)
    }

    /// The changed lines.
    pub fn changed(&self) -> BTreeSet<usize> {
        (0..self.lines.len()).filter(|index| self.is_changed(*index)).collect()
    }

    /// All of it.
    pub fn all(&self) -> Part {
        Part { shown: (0..self.lines.len()).collect(), changed: self.changed() }
    }

    /// The part with this name; of its hunks, those with a change between unchanged lines, only the
    /// one with this number, from 1.
    pub fn part(&self, name: &str, hunk: Option<usize>) -> Result<Part> {
        let mut part = self.named(name)?;
        if part.changed.is_empty() {
            bail!("nothing changes in '{name}'. Something does in: {}", self.parts().join(", "));
        }
        if let Some(number) = hunk {
            let hunks = runs(&part.changed);
            let one = number.checked_sub(1).and_then(|index| hunks.get(index));
            part.changed = one
                .with_context(|| {
                    format!("'{name}' has {} hunks and no number {number}", hunks.len())
                })?
                .clone();
        }
        Ok(part)
    }

    /// The names of all parts in which something changes, from top to bottom.
    pub fn parts(&self) -> Vec<String> {
        let mut parts = Vec::new();
        for index in self.changed() {
            if let Some(name) = self.leaf(index)
                && !parts.contains(&name)
            {
                parts.push(name);
            }
        }
        parts
    }

    /// The directive's name for the part that a changed line lies in, with the number of the hunk.
    pub fn part_of(&self, index: usize, file: &str) -> String {
        let Some(name) = self.leaf(index) else { return file.to_string() };
        let hunks = self.named(&name).map_or(Vec::new(), |part| runs(&part.changed));
        match hunks.iter().position(|hunk| hunk.contains(&index)) {
            Some(number) if hunks.len() > 1 => format!("{name} {}", number + 1),
            _ => name,
        }
    }

    /// The smallest part that a changed line lies in.
    fn leaf(&self, index: usize) -> Option<String> {
        let names = ["head".to_string(), "use".to_string()].into_iter().chain(self.leaves());
        names
            .into_iter()
            .find(|name| self.named(name).is_ok_and(|part| part.changed.contains(&index)))
    }

    /// How many hunks a part has.
    pub fn hunks(&self, name: &str) -> usize {
        self.named(name).map_or(0, |part| runs(&part.changed).len())
    }

    /// The names of the items that hold no others, new ones first.
    fn leaves(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for item in [&self.new, &self.old].into_iter().flatten().flat_map(|items| &items.named) {
            if !item.holds_others && !names.contains(&item.name) {
                names.push(item.name.clone());
            }
        }
        names
    }

    fn named(&self, name: &str) -> Result<Part> {
        let (new, old) = (range(self.new.as_ref(), name), range(self.old.as_ref(), name));
        if let (Err(error), Err(_)) = (&new, &old) {
            bail!("{error:#}");
        }
        let (new, old) = (new.unwrap_or_default(), old.unwrap_or_default());
        let inside = |line: &Line| match line.new {
            Some(number) => new.contains(&number),
            None => line.old.is_some_and(|number| old.contains(&number)),
        };
        let own: BTreeSet<usize> =
            (0..self.lines.len()).filter(|index| inside(&self.lines[*index])).collect();
        let adopted = (0..self.lines.len()).filter(|index| self.belongs(*index, &own));
        let shown: Vec<usize> =
            own.iter().copied().chain(adopted).collect::<BTreeSet<_>>().into_iter().collect();
        let changed = shown.iter().copied().filter(|index| self.is_changed(*index)).collect();
        Ok(Part { shown, changed })
    }

    /// Whether a changed empty line between the items belongs to what is changed above it, or else below.
    fn belongs(&self, index: usize, own: &BTreeSet<usize>) -> bool {
        if !self.is_changed(index) || own.contains(&index) || self.has_a_home(index) {
            return false;
        }
        match index.checked_sub(1).filter(|above| self.is_changed(*above)) {
            Some(above) => own.contains(&above) || self.belongs(above, own),
            None => {
                let below = (index + 1..self.lines.len()).find(|below| self.has_a_home(*below));
                below.is_some_and(|below| own.contains(&below))
            }
        }
    }

    /// Whether a line lies in an item, in the head or among the uses.
    fn has_a_home(&self, index: usize) -> bool {
        let line = &self.lines[index];
        let (items, number) = match line.new {
            Some(number) => (&self.new, number),
            None => (&self.old, line.old.unwrap_or(0)),
        };
        items.as_ref().is_some_and(|items| {
            items.head.contains(&number)
                || items.uses.contains(&number)
                || items.named.iter().any(|it| !it.holds_others && it.outer.contains(&number))
        })
    }
}

/// Where a part lies in a source.
fn range(items: Option<&Items>, name: &str) -> Result<Lines> {
    let items = items.context("it has no items. Name it without one")?;
    match name {
        "head" => Ok(items.head.clone()),
        "use" => Ok(items.uses.clone()),
        name => Ok(items.find(name)?.outer.clone()),
    }
}

/// Numbers that follow each other, together.
fn runs(numbers: &BTreeSet<usize>) -> Vec<BTreeSet<usize>> {
    let mut runs: Vec<BTreeSet<usize>> = Vec::new();
    for number in numbers {
        match runs.last_mut().filter(|run| run.contains(&(number.wrapping_sub(1)))) {
            Some(run) => {
                run.insert(*number);
            }
            None => runs.push(BTreeSet::from([*number])),
        }
    }
    runs
}

/// The hunks as `cargo workshop diff` shows them, and all that lies between.
fn whole(old: &str, new: &str) -> Vec<Line> {
    let unchanged: Vec<&str> = new.split_inclusive('\n').collect();
    let mut lines: Vec<Line> = Vec::new();
    let (mut next_old, mut next_new) = (1, 1);
    let fill = |lines: &mut Vec<Line>, until: usize, next_old: &mut usize, next_new: &mut usize| {
        while *next_new < until {
            let text = unchanged.get(*next_new - 1).copied().unwrap_or_default().to_string();
            lines.push(Line {
                kind: Kind::Context,
                old: Some(*next_old),
                new: Some(*next_new),
                text,
            });
            *next_old += 1;
            *next_new += 1;
        }
    };
    for hunk in diff::hunks(old, new) {
        for line in hunk.lines {
            // A hunk's first line tells how far the unchanged ones reach.
            let until = match (line.new, line.old) {
                (Some(new), _) => new,
                (None, Some(old)) => next_new + old - next_old,
                (None, None) => next_new,
            };
            fill(&mut lines, until, &mut next_old, &mut next_new);
            next_old = line.old.map_or(next_old, |number| number + 1);
            next_new = line.new.map_or(next_new, |number| number + 1);
            lines.push(line);
        }
    }
    fill(&mut lines, unchanged.len() + 1, &mut next_old, &mut next_new);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str =
        "use a;\n\nfn run() {\n    one();\n    three();\n}\n\nfn last() {\n    end();\n}\n";
    const NEW: &str = "use a;\nuse b;\n\nfn run() {\n    zero();\n    one();\n    two();\n    three();\n}\n\n/// New.\nfn child() {\n    end();\n}\n\nfn last() {\n    end();\n}\n";

    fn texts(difference: &Difference, part: &Part) -> Vec<String> {
        let line = |index: &usize| {
            let line = &difference.lines[*index];
            format!("{}{}", line.sign(), line.text.trim_end())
        };
        part.changed.iter().map(line).collect()
    }

    #[test]
    fn every_changed_line_lies_in_exactly_one_part() {
        let difference = Difference::new(OLD, NEW, true).unwrap();
        assert_eq!(difference.parts(), ["use", "run", "child"]);
        let parts = difference.parts();
        let mut all: Vec<usize> = Vec::new();
        for name in &parts {
            all.extend(&difference.part(name, None).unwrap().changed);
        }
        all.sort_unstable();
        assert_eq!(all, difference.changed().into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_hunk_lies_between_unchanged_lines() {
        let difference = Difference::new(OLD, NEW, true).unwrap();
        assert_eq!(texts(&difference, &difference.part("run", Some(1)).unwrap()), ["+    zero();"]);
        assert_eq!(texts(&difference, &difference.part("run", Some(2)).unwrap()), ["+    two();"]);
        assert!(difference.part("run", Some(3)).is_err());
    }

    #[test]
    fn what_does_not_change_is_no_part() {
        let difference = Difference::new(OLD, NEW, true).unwrap();
        let error = difference.part("last", None).err().unwrap().to_string();
        assert!(error.ends_with("Something does in: use, run, child"), "{error}");
    }

    #[test]
    fn the_lines_make_up_both_sources() {
        let difference = Difference::new(OLD, NEW, true).unwrap();
        let text = |without| -> String {
            let lines = difference.lines.iter().filter(|line| line.kind != without);
            lines.map(|line| line.text.as_str()).collect()
        };
        assert_eq!((text(Kind::Added), text(Kind::Deleted)), (OLD.to_string(), NEW.to_string()));
    }
}
