//! The page on troubleshooting explains every message of the steps, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use workshop::project;
use workshop::steps;

/// Messages, and the steps that can print each.
type Messages = BTreeMap<String, BTreeSet<u8>>;

#[test]
fn every_message_of_the_steps_is_on_the_page_and_no_other() {
    let root = project::root().unwrap();
    let mut messages = Messages::new();
    for step in steps::all().unwrap() {
        let path = root.join(&step.folder).join("src/main.rs");
        let source: TokenStream = fs::read_to_string(path).unwrap().parse().unwrap();
        gather(source, &mut |message| {
            messages.entry(message).or_default().insert(step.number);
        });
    }
    let expected: BTreeMap<String, String> =
        messages.into_iter().map(|(message, steps)| (message, range(&steps))).collect();
    let page = fs::read_to_string(root.join("book/src/troubleshooting.md")).unwrap();
    assert_eq!(explained(&page), expected);
}

#[test]
fn the_cures_of_several_messages_are_on_the_page() {
    let root = project::root().unwrap();
    let source = fs::read_to_string(root.join("step10-network/src/main.rs")).unwrap();
    let page = fs::read_to_string(root.join("book/src/troubleshooting.md")).unwrap();
    for cure in [
        "Even root may not: start the container around this one with --privileged.",
        "Run it as root: sudo {} run ...",
        "Is it in the PATH, and its interpreter there?",
        "Is it a program, and executable?",
        "Too many processes: end some.",
    ] {
        assert!(source.contains(cure), "{cure}");
        assert!(page.contains(&format!("`{}`", cure.replace("{}", "…"))), "{cure}");
    }
}

/// Hands over what every failed call in a source says that it could not do, without why and cure.
fn gather(tokens: TokenStream, found: &mut impl FnMut(String)) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Literal(_) => {
                found_if(text(token).filter(|it| it.starts_with("cannot ")), found);
            }
            TokenTree::Group(group) => {
                let before = &tokens[index.saturating_sub(2)..index];
                let name = before.iter().rev().find(|it| matches!(it, TokenTree::Ident(_)));
                let name = name.map(ToString::to_string).unwrap_or_default();
                if group.delimiter() == Delimiter::Parenthesis {
                    let first = first_literal(group.stream());
                    let what = match name.as_str() {
                        "attempt" => {
                            let is_what = group.stream().to_string().starts_with("& what");
                            assert!(first.is_some() || is_what, "what does {group} say?");
                            first.map(|what| format!("cannot {what}"))
                        }
                        "context" | "bail" => first,
                        _ => None,
                    };
                    found_if(what, found);
                }
                gather(group.stream(), found);
            }
            TokenTree::Ident(name) if name == "let" => {
                // `let what = format!("...")`, for `attempt(&what, ...)`.
                let is_what = tokens.get(index + 1).is_some_and(|it| it.to_string() == "what");
                if let (true, Some(TokenTree::Group(format))) = (is_what, tokens.get(index + 5)) {
                    let what = first_literal(format.stream());
                    found_if(what.map(|what| format!("cannot {what}")), found);
                }
            }
            _ => {}
        }
    }
}

/// A message up to why it failed and what to do, with `…` for what is filled in.
fn found_if(message: Option<String>, found: &mut impl FnMut(String)) {
    // The words that `attempt` puts around all of them.
    let Some(message) = message.filter(|it| !it.starts_with("cannot {what}")) else { return };
    let message = message.split(". ").next().unwrap_or_default();
    let mut shown = String::new();
    for (index, piece) in message.split('{').enumerate() {
        let after = if index == 0 {
            piece
        } else {
            piece.split_once('}').map_or(piece, |(_, after)| after)
        };
        shown += if index == 0 { "" } else { "…" };
        shown += after;
    }
    found(shown.strip_suffix(": …").unwrap_or(&shown).to_string());
}

/// The first string in the first argument; none in `&what`.
fn first_literal(arguments: TokenStream) -> Option<String> {
    for token in arguments {
        match &token {
            TokenTree::Punct(mark) if mark.as_char() == ',' => return None,
            TokenTree::Group(group) => {
                if let Some(text) = first_literal(group.stream()) {
                    return Some(text);
                }
            }
            token => {
                if let Some(text) = text(token) {
                    return Some(text);
                }
            }
        }
    }
    None
}

fn text(token: &TokenTree) -> Option<String> {
    syn::parse_str::<syn::LitStr>(&token.to_string()).ok().map(|text| text.value())
}

/// `Steps 03 to 10`, as the page has it.
fn range(steps: &BTreeSet<u8>) -> String {
    let Some((first, last)) = steps.first().zip(steps.last()) else { return String::new() };
    assert_eq!(usize::from(last - first) + 1, steps.len(), "{steps:?} has a gap");
    if first == last {
        format!("Step {first:02}")
    } else {
        format!("Steps {first:02} to {last:02}")
    }
}

/// The messages that the page explains, and the steps that it names for each.
fn explained(page: &str) -> BTreeMap<String, String> {
    let lines: Vec<&str> = page.lines().collect();
    let mut entries = BTreeMap::new();
    for pair in lines.windows(2) {
        let message = pair[0].strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        let steps = pair[1].strip_prefix(": *").and_then(|rest| rest.split_once(".*"));
        if let (Some(message), Some((steps, _))) = (message, steps) {
            let again = entries.insert(message.to_string(), steps.to_string());
            assert!(again.is_none(), "`{message}` is explained twice");
        }
    }
    // In a sentence, too, the page quotes only messages that exist.
    for quoted in page.split('`').skip(1).step_by(2).filter(|it| it.starts_with("cannot ")) {
        assert!(entries.contains_key(quoted), "`{quoted}` is quoted and not explained");
    }
    entries
}
