//! The book itself: every directive resolves, and every changed line is shown once.

use book::expand::Expand;
use mdbook_driver::MDBook;
use workshop::project;

#[test]
fn every_directive_resolves_and_every_changed_line_is_shown_once() {
    let mut book = MDBook::load(project::root().unwrap().join("book")).unwrap();
    book.config.set("build.build-dir", env!("CARGO_TARGET_TMPDIR").to_string() + "/book").unwrap();
    book.with_preprocessor(Expand);
    if let Err(error) = book.build() {
        panic!("{error:#}");
    }
    let page = std::fs::read_to_string(book.build_dir_for("html").join("step05-pid.html"));
    assert!(page.unwrap().contains("CLONE_NEWPID"));
}
