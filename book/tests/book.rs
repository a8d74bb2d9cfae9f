//! The book itself: everything in it resolves, and every changed line is shown once.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use book::{build, serve};
use workshop::{output, project};

#[test]
fn the_book_builds() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("book");
    let pages = build::build(&project::root().unwrap(), Some(&folder));
    let pages = pages.unwrap_or_else(|error| panic!("{error:#}"));
    let page = fs::read_to_string(pages.join("step05-pid.html"));
    assert!(page.unwrap().contains("CLONE_NEWPID"));
}

#[test]
fn pages_are_small_and_the_book_is_built_in_no_time() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("timed");
    let root = project::root().unwrap();
    let timed = |_| {
        let start = Instant::now();
        build::build(&root, Some(&folder)).unwrap();
        start.elapsed().as_secs_f32()
    };
    // Others may be at work: the fastest of three.
    let seconds = (0..3).map(timed).fold(f32::MAX, f32::min);
    output::print(&format!("the book was built in {seconds:.1} s\n")).unwrap();
    // Two seconds on a machine that does nothing else.
    assert!(seconds < 6.0, "the book was built in {seconds} s");
    let size = |path: &Path| fs::read(path).map_or(0, |body| serve::packed(&body).unwrap().len());
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let html = fs::read_to_string(&path).unwrap_or_default();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|it| it != "html") || name == "print.html" {
            continue;
        }
        let loaded = html
            .split(['"', '\''])
            .filter(|word| {
                word.ends_with(".css") || word.ends_with(".js") || word.ends_with(".svg")
            })
            .filter(|word| !word.contains("searchindex"));
        let loaded: BTreeSet<&str> = loaded.collect();
        let whole = size(&path) + loaded.iter().map(|file| size(&folder.join(file))).sum::<usize>();
        assert!(whole <= 300_000, "{name} takes {whole} bytes");
    }
}
