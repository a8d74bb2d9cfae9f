//! The glossary is in order, and its words are those that the book uses.

use std::fs;

use workshop::project;

#[test]
fn the_glossary_is_in_order_and_every_term_is_in_a_chapter() {
    let source = project::root().unwrap().join("book/src");
    let glossary = fs::read_to_string(source.join("glossary.md")).unwrap();
    let lines: Vec<&str> = glossary.lines().collect();
    let terms: Vec<String> = lines
        .windows(2)
        .filter(|pair| pair[1].starts_with(": "))
        .map(|pair| pair[0].to_lowercase())
        .collect();
    assert_eq!(terms.len(), lines.iter().filter(|line| line.starts_with(": ")).count());
    assert!(terms.len() > 100, "only {} terms", terms.len());
    assert!(terms.is_sorted_by(|one, next| one < next), "{terms:#?}");
    let mut chapters = String::new();
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "md") && !path.ends_with("glossary.md") {
            let chapter = fs::read_to_string(path).unwrap().to_lowercase();
            chapters.extend(chapter.split_whitespace().flat_map(|word| [word, " "]));
        }
    }
    let is_unused = |term: &&String| term.split(' ').any(|word| !chapters.contains(word));
    let unused: Vec<&String> = terms.iter().filter(is_unused).collect();
    assert!(unused.is_empty(), "in no chapter: {unused:?}");
}
