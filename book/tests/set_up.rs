//! What the set-up page tells people to type first.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use workshop::{project, testing};

#[test]
fn workshop_alone_makes_the_machine_ready() {
    if !testing::root("workshop_alone_makes_the_machine_ready") {
        return;
    }
    project::build(&["workshop"]).unwrap();
    let run = Command::new(project::binaries().unwrap().join("workshop")).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert!(said.starts_with("Linux ") && said.contains("The ladder\n"), "{said}");
    // What comes next depends on how far one is.
    assert!(said.lines().next_back().is_some_and(|line| line.contains(" cargo ")), "{said}");
    assert!(project::root().unwrap().join("rootfs/bin").is_dir());
}
