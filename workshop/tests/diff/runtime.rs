//! Where the steps went in the runtime.

use std::fs;

use workshop::steps::{self, Step};

use crate::terminal::on_terminal;
use crate::{diff, project};

#[test]
fn the_runtime_shows_where_a_step_went() {
    let project = project("runtime");
    for args in [["08", "final"], ["final", "cgroups"]] {
        let text = String::from_utf8(diff(&project, &args).stdout).unwrap();
        assert!(text.starts_with("step08-cgroups/src/main.rs, what it adds\n"), "{text}");
        assert!(text.contains("+    println!(\"8\");\n") && !text.contains("stays()"), "{text}");
        assert!(text.contains("\nfinal/src/cgroup.rs\n1  //! cgroup.rs\n"), "{text}");
        assert!(text.contains("//! cgroup/limits.rs\n") && !text.contains("mod tests"), "{text}");
    }
    let (text, _) = on_terminal(&project, 180, "PAGER= NO_COLOR=1", "01 final");
    let heading: Vec<_> = text.lines().next().unwrap().split(" │ ").map(str::trim).collect();
    assert_eq!(heading, ["step01-run/src/main.rs, what it adds", "final/src/options.rs"]);
}

/// The modules of a step are those of its row in final's own table, and files of theirs.
#[test]
fn every_step_names_its_modules_in_the_runtime() {
    let sources = workshop::project::root().unwrap().join("final/src");
    let table = fs::read_to_string(sources.join("lib.rs")).unwrap();
    for Step { number, title, r#final, .. } in steps::all().unwrap() {
        let row = table.lines().find(|line| line.contains(&format!("| {number:02} {title} |")));
        let cell = row.unwrap().split('|').nth(2).unwrap();
        let named: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        let mut modules: Vec<_> =
            r#final.iter().map(|path| path.split(['/', '.']).next().unwrap()).collect();
        modules.dedup();
        assert_eq!(modules, named, "{title}");
        assert!(r#final.iter().all(|path| sources.join(path).is_file()), "{title}");
    }
}
