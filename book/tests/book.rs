//! The book itself: everything in it resolves, and every changed line is shown once.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use book::build;
use workshop::project;

#[test]
fn the_book_builds() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("book");
    let pages = build::build(&project::root().unwrap(), Some(&folder));
    let pages = pages.unwrap_or_else(|error| panic!("{error:#}"));
    let page = std::fs::read_to_string(pages.join("step05-pid.html"));
    assert!(page.unwrap().contains("CLONE_NEWPID"));
}
