//! The real steps, held to the rules of the ladder.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use workshop::steps::Step;
use workshop::{diff, ladder, project, steps};

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest(step: &Step) -> toml::Table {
    let path = project::root().unwrap().join(&step.folder).join("Cargo.toml");
    read(path).parse().unwrap()
}

#[test]
fn every_budget_holds() {
    let pairs = ladder::pairs(&project::root().unwrap(), steps::all().unwrap()).unwrap();
    assert_eq!(pairs.len(), 9);
    let ok = ladder::verdicts(&pairs).iter().all(|verdict| verdict.ok);
    assert!(ok, "\n{}", ladder::table(&pairs));
}

#[test]
fn every_step_is_a_member_with_its_name() {
    let root = project::root().unwrap();
    let workspace: toml::Table = read(root.join("Cargo.toml")).parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    for step in steps::all().unwrap() {
        let folder = step.folder.as_str();
        assert!(members.iter().any(|member| member.as_str() == Some(folder)), "{folder}");
        assert_eq!(manifest(step)["package"]["name"].as_str(), Some(step.package.as_str()));
    }
}

#[test]
fn manifests_differ_in_name_and_description_only() {
    let common = |step| {
        let mut manifest = manifest(step);
        let package = manifest["package"].as_table_mut().unwrap();
        assert!(package.remove("name").is_some() && package.remove("description").is_some());
        manifest
    };
    for neighbours in steps::all().unwrap().windows(2) {
        let [from, to] = neighbours else { unreachable!() };
        assert_eq!(common(from), common(to), "{} and {}", from.folder, to.folder);
    }
}

/// A comment that names a step changes in every diff.
#[test]
fn no_comment_names_a_step() {
    let root = project::root().unwrap();
    for step in steps::all().unwrap() {
        for line in diff::read(&root, step).unwrap().lines() {
            assert!(!names_a_step(line), "{}: {line}", step.folder);
        }
    }
}

fn names_a_step(line: &str) -> bool {
    let comment = line.split_once("//").map_or("", |(_, comment)| comment).to_lowercase();
    let mut after = comment.split("step").skip(1).map(str::trim_start);
    after.any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn a_comment_that_names_a_step_is_found() {
    assert!(names_a_step("call(); // As in Step 04."));
    assert!(names_a_step("/// See step05-pid"));
    assert!(!names_a_step("let step4 = 4; // One step further."));
}
