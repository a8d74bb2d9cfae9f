//! What the README says is what is there.

#![allow(clippy::unwrap_used)]

use std::fs;

use workshop::{ladder, project, steps};

fn readme() -> String {
    fs::read_to_string(project::root().unwrap().join("README.md")).unwrap()
}

#[test]
fn the_table_is_that_of_the_steps() {
    let readme = readme();
    let rows: Vec<_> =
        readme.lines().filter(|line| line.starts_with("| 0") || line.starts_with("| 1")).collect();
    let expected: Vec<_> = steps::all()
        .unwrap()
        .iter()
        .map(|step| {
            let (number, title, adds, shows) = (step.number, &step.title, &step.adds, &step.shows);
            let (package, words) = (&step.package, &step.r#try);
            format!("| {number:02} {title} | {adds} | `cargo run -p {package} {words}` | {shows} |")
        })
        .collect();
    assert_eq!(rows, expected, "\n{}\n", expected.join("\n"));
}

#[test]
fn the_median_is_that_of_the_ladder() {
    let pairs = ladder::pairs(&project::root().unwrap(), steps::all().unwrap()).unwrap();
    let mut changed: Vec<_> = pairs.iter().map(ladder::Pair::changed).collect();
    changed.sort_unstable();
    let median = changed[changed.len() / 2];
    assert!(readme().contains(&format!("by {median} lines in the median")), "it is {median}");
}

#[test]
fn the_version_of_rust_is_that_of_the_workspace() {
    let manifest = fs::read_to_string(project::root().unwrap().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let version = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert!(readme().contains(&format!("(https://rustup.rs) {version} or newer")));
}
