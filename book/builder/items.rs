//! Finds the items of a Rust source by their names.

use std::ops::Range;

use anyhow::{Context, Result, bail};
use syn::spanned::Spanned;
use syn::{File, ImplItem, Item, TraitItem, Type};

/// Lines, counted from 1; the end is the first one after.
pub type Lines = Range<usize>;

/// A named piece of a source: `run`, `Cgroup::enter`, `impl Drop for Cgroup`.
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its lines, with the comments and attributes above it.
    pub lines: Lines,
    /// The same, with the first line of its `impl` if it is the first in there, and the last if it is the last.
    pub outer: Lines,
    /// Whether it is an `impl` or a `mod`, which consists of others.
    pub holds_others: bool,
}

/// What a source is made of.
pub struct Items {
    /// What is there before the first `use`.
    pub head: Lines,
    /// From the first `use` to the last one.
    pub uses: Lines,
    /// The items, from top to bottom.
    pub named: Vec<Named>,
}

impl Items {
    /// Reads a source; an empty one has no items.
    pub fn of(source: &str) -> Result<Self> {
        let file: File = syn::parse_str(source).context("cannot read it as Rust")?;
        let uses: Vec<Lines> = file
            .items
            .iter()
            .filter(|item| matches!(item, Item::Use(_)))
            .map(|item| lines(source, item))
            .collect();
        let (uses, head) = match (uses.first(), uses.last()) {
            (Some(first), Some(last)) => (first.start..last.end, 1..first.start),
            _ => (Lines::default(), Lines::default()),
        };
        let mut named = Vec::new();
        collect(source, "", &file.items, &mut named);
        Ok(Self { head, uses, named })
    }

    /// The one piece with this name.
    pub fn find(&self, name: &str) -> Result<&Named> {
        let found: Vec<&Named> = self.named.iter().filter(|item| item.name == name).collect();
        match found[..] {
            [one] => Ok(one),
            [] => {
                let names: Vec<&str> = self.named.iter().map(|item| item.name.as_str()).collect();
                bail!("there is no item '{name}'. There are: {}", names.join(", "))
            }
            _ => bail!("there are several items '{name}'. Name its impl as a whole"),
        }
    }
}

/// The lines of an item, with the comments right above it.
fn lines(source: &str, item: &impl Spanned) -> Lines {
    let span = item.span();
    let (mut start, end) = (span.start().line, span.end().line);
    let all: Vec<&str> = source.lines().collect();
    while start >= 2 && all.get(start - 2).is_some_and(|above| is_comment(above)) {
        start -= 1;
    }
    start..end + 1
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//") && !line.starts_with("//!")
}

fn collect(source: &str, prefix: &str, items: &[Item], named: &mut Vec<Named>) {
    for item in items {
        let own = lines(source, item);
        let mut push = |name: String, holds_others| {
            let name = format!("{prefix}{name}");
            named.push(Named { name, lines: own.clone(), outer: own.clone(), holds_others });
        };
        match item {
            Item::Fn(it) => push(it.sig.ident.to_string(), false),
            Item::Struct(it) => push(it.ident.to_string(), false),
            Item::Enum(it) => push(it.ident.to_string(), false),
            Item::Union(it) => push(it.ident.to_string(), false),
            Item::Const(it) => push(it.ident.to_string(), false),
            Item::Static(it) => push(it.ident.to_string(), false),
            Item::Type(it) => push(it.ident.to_string(), false),
            Item::Macro(it) => {
                if let Some(ident) = &it.ident {
                    push(ident.to_string(), false);
                }
            }
            Item::Mod(it) => {
                if let Some((_, inner)) = &it.content {
                    push(it.ident.to_string(), true);
                    collect(source, &format!("{prefix}{}::", it.ident), inner, named);
                }
            }
            Item::Trait(it) => {
                push(it.ident.to_string(), true);
                let methods = it.items.iter().filter_map(|inner| match inner {
                    TraitItem::Fn(method) => {
                        Some((method.sig.ident.to_string(), lines(source, method)))
                    }
                    _ => None,
                });
                members(&format!("{prefix}{}", it.ident), &own, methods.collect(), named);
            }
            Item::Impl(it) => {
                push(header(source, it.impl_token.span().start().line), true);
                let methods = it.items.iter().filter_map(|inner| match inner {
                    ImplItem::Fn(method) => {
                        Some((method.sig.ident.to_string(), lines(source, method)))
                    }
                    ImplItem::Const(it) => Some((it.ident.to_string(), lines(source, it))),
                    _ => None,
                });
                let of = format!("{prefix}{}", type_name(&it.self_ty));
                members(&of, &own, methods.collect(), named);
            }
            _ => {}
        }
    }
}

/// What lies in an impl or a trait.
fn members(of: &str, whole: &Lines, members: Vec<(String, Lines)>, named: &mut Vec<Named>) {
    let last = members.len().saturating_sub(1);
    for (index, (name, lines)) in members.into_iter().enumerate() {
        let start = if index == 0 { whole.start } else { lines.start };
        let end = if index == last { whole.end } else { lines.end };
        let name = format!("{of}::{name}");
        named.push(Named { name, lines, outer: start..end, holds_others: false });
    }
}

/// `impl Drop for Cgroup`
fn header(source: &str, line: usize) -> String {
    let line = source.lines().nth(line - 1).unwrap_or_default();
    line.trim().trim_end_matches('}').trim_end().trim_end_matches('{').trim_end().to_string()
}

fn type_name(of: &Type) -> String {
    match of {
        Type::Path(path) => {
            path.path.segments.last().map_or(String::new(), |it| it.ident.to_string())
        }
        Type::Reference(reference) => type_name(&reference.elem),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "//! Docs.\n\nuse a;\n\nuse b;\n\nconst C: u8 = 1;\n\n// Why.\n/// Doc.\n#[derive(Debug)]\nstruct S {\n    a: u8,\n}\n\nimpl S {\n    /// Doc.\n    fn one() {}\n\n    fn two() {\n    }\n}\n";

    fn found(name: &str) -> (Lines, Lines) {
        let items = Items::of(SOURCE).unwrap();
        let named = items.find(name).unwrap();
        (named.lines.clone(), named.outer.clone())
    }

    #[test]
    fn an_item_has_the_comments_above_it() {
        assert_eq!(found("S").0, 9..15);
        assert_eq!(found("C").0, 7..8);
    }

    #[test]
    fn the_first_and_the_last_method_hold_the_ends_of_the_impl() {
        assert_eq!(found("S::one"), (17..19, 16..19));
        assert_eq!(found("S::two"), (20..22, 20..23));
        assert_eq!(found("impl S").0, 16..23);
    }

    #[test]
    fn uses_and_head_have_names() {
        let items = Items::of(SOURCE).unwrap();
        assert_eq!((items.head, items.uses), (1..3, 3..6));
    }
}
