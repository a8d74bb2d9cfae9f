//! The commands above the differences show the same in a terminal.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::process::Command;

use book::project::{FILES, Project};
use book::view;
use workshop::{project, steps};

#[test]
fn commands_above_differences_show_them() {
    let root = project::root().unwrap();
    project::build(&["workshop"]).unwrap();
    let workshop = project::binaries().unwrap().join("workshop");
    let project = Project::read(&root).unwrap();
    for step in steps::all().unwrap() {
        for file in FILES {
            let Some(command) = view::command(step, file).unwrap() else { continue };
            let mut words: Vec<&str> = command.split(' ').collect();
            let program = if words[0] == "cargo" {
                words.remove(0);
                workshop.as_path()
            } else {
                words[0].as_ref()
            };
            let output = Command::new(program).args(&words[1..]).current_dir(&root).output();
            let shown = String::from_utf8(output.unwrap().stdout).unwrap();
            let is_change = |line: &&str| {
                line.starts_with(['+', '-'])
                    && !line.starts_with("+++ ")
                    && !line.starts_with("--- ")
            };
            let difference = project.difference(step, file).unwrap();
            let expected: BTreeSet<String> = difference
                .changed()
                .into_iter()
                .map(|index| &difference.lines[index])
                .map(|line| format!("{}{}", line.sign(), line.text.trim_end()))
                .collect();
            let shown: BTreeSet<String> =
                shown.lines().filter(is_change).map(str::to_string).collect();
            assert_eq!(shown, expected, "`{command}`");
        }
    }
}
