//! On terminals of several widths, with and without a pager.

use std::path::Path;
use std::time::Duration;

use workshop::pty::Terminal;

use crate::{mine, project};

const LIMIT: Duration = Duration::from_secs(20);

/// What a terminal of so many columns shows, and the exit status. `settings` are for env(1).
pub(crate) fn on_terminal(
    project: &Path,
    columns: u16,
    settings: &str,
    args: &str,
) -> (String, i32) {
    let mut terminal = start(project, columns, settings, args);
    let status = terminal.end(LIMIT).unwrap();
    // Whatever has been written is there to read once nobody has the terminal open any more.
    let _ = terminal.wait_for("\0", LIMIT);
    (terminal.text(), status)
}

fn start(project: &Path, columns: u16, settings: &str, args: &str) -> Terminal {
    let (folder, program) = (project.display(), env!("CARGO_BIN_EXE_workshop"));
    let script = format!(
        "stty rows 24 columns {columns} && cd {folder} && \
         exec env -u NO_COLOR -u LESS TERM=xterm {settings} {program} diff {args}"
    );
    Terminal::start_uncaged(&["sh", "-c", &script].map(Into::into)).unwrap()
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap()
}

#[test]
fn a_narrow_terminal_shows_one_below_the_other() {
    let project = project("narrow");
    for columns in [40, 80] {
        let (text, status) = on_terminal(&project, columns, "PAGER=cat NO_COLOR=1", "04 05");
        assert_eq!(status, 0, "{text}");
        assert!(text.starts_with("--- step04-child/src/main.rs\n+++ step05-pid/src/main.rs\n"));
        assert!(text.contains("\n  ... 4 lines unchanged: "), "{text}");
        assert!(text.contains("\n 8    -    let step = 4;\n    8 +    let step = 5;\n"), "{text}");
        assert!(!text.contains("stays()") && !text.contains('\x1b'), "{text}");
        assert!(widest(&text) <= columns.into(), "{text}");
    }
}

#[test]
fn a_wide_terminal_shows_both_sides() {
    let project = project("wide");
    let (text, status) = on_terminal(&project, 180, "PAGER= NO_COLOR=1", "04 05");
    assert_eq!(status, 0, "{text}");
    let row = text.lines().find(|line| line.contains("let step = 4;")).unwrap();
    assert_eq!(row.split_once(" │ ").unwrap().1, " 8 +    let step = 5;");
    assert!(row.starts_with(" 8 -    let step = 4;") && widest(&text) <= 180, "{text}");
    let shows_sides =
        |columns, args| on_terminal(&project, columns, "PAGER=", args).0.contains('│');
    assert!(shows_sides(60, "--side-by-side 04 05") && !shows_sides(180, "--unified 04 05"));
}

#[test]
fn colours_are_there_unless_they_are_unwanted() {
    let project = project("colours");
    for columns in [80, 180] {
        let (text, _) = on_terminal(&project, columns, "PAGER=cat", "04 05");
        assert!(text.contains("\x1b[31m-") && text.contains("\x1b[32m+"), "{text}");
        let (text, _) = on_terminal(&project, columns, "PAGER=cat NO_COLOR=1", "04 05");
        assert!(!text.contains('\x1b'), "{text}");
    }
}

#[test]
fn the_pager_gets_the_text() {
    let project = project("pager");
    let pager = "PAGER='sed s/^/paged:/' NO_COLOR=1";
    let (text, status) = on_terminal(&project, 80, pager, "04 05");
    assert!(status == 0 && text.lines().all(|line| line.starts_with("paged:")), "{text}");
    let (text, _) = on_terminal(&project, 80, pager, "--no-pager 04 05");
    assert!(text.contains("let step = 5;\n") && !text.contains("paged:"), "{text}");
    let (text, status) = on_terminal(&project, 80, "PAGER=no-such-pager NO_COLOR=1", "04 05");
    assert!(status == 0 && text.contains("let step = 5;\n"), "{text}");
}

#[test]
fn a_pager_that_quits_early_is_no_error() {
    let project = project("quits");
    // More than a pipe holds.
    mine(&project, &"different();\n".repeat(9000));
    let (text, status) = on_terminal(&project, 80, "PAGER='head -n 1' NO_COLOR=1", "mine");
    assert_eq!((text.as_str(), status), ("--- mine/src/main.rs\n", 0));
}

#[test]
fn control_c_is_for_the_pager() {
    let pager =
        r#"PAGER='trap "echo caught" INT; cat >/dev/null; echo up; read key </dev/tty; echo over'"#;
    let mut terminal = start(&project("interrupted"), 80, pager, "04 05");
    terminal.wait_for("up\n", LIMIT).unwrap();
    terminal.press("\x03").unwrap();
    terminal.wait_for("caught\n", LIMIT).unwrap();
    terminal.press("\n").unwrap();
    terminal.wait_for("over\n", LIMIT).unwrap();
    assert_eq!(terminal.end(LIMIT).unwrap(), 0);
}
