//! Linux in a step's page: where it stands, and what of the page can be typed into it.

use std::fmt::Write;

use workshop::steps::Step;

use crate::colour::escape;

/// From this step on half of what there is to see is seen from the host.
const TWO_PANES: u8 = 5;

/// Programs that the steps' pages name and the page's Linux has not.
const NOT_THERE: [&str; 6] = ["awk", "diff", "dmesg", "findmnt", "ldd", "patch"];

/// What a page without Linux says in its place.
const MISSING: &str = "<aside class=\"no-linux\" aria-label=\"Linux in this page\">\n\
    <p>Linux can run in this page, with all steps in it, once it has been built. That takes minutes, once, \
    on Linux:</p>\n<pre><code>cargo run -p book -- vm\ncargo run -p book</code></pre>\n</aside>\n";

/// What stands in the element until its script has come.
const NOT_YET: &str = "Linux runs here in a page that comes from a web server, as with \
    <code>cargo run -p book</code>, in a browser with JavaScript.";

/// The element that Linux runs in, or how to get it.
pub fn terminal(step: &Step, built: bool) -> String {
    if !built {
        return MISSING.to_string();
    }
    let panes = if step.number < TWO_PANES { 1 } else { 2 };
    let mut html = format!(
        "<link rel=\"stylesheet\" href=\"vm/vm.css\">\n<linux-terminal data-step=\"{:02}\" data-panes=\"{panes}\"",
        step.number
    );
    let riddles: Vec<&str> = step.sabotage.iter().map(|riddle| riddle.name.as_str()).collect();
    let _ = write!(html, " data-riddles=\"{}\"", escape(&riddles.join(" ")));
    html + &format!("><p>{NOT_YET}</p></linux-terminal>\n")
}

/// Whether the Linux of a page has what a command needs: no compiler, no sources and no `mine/`.
pub fn runs(command: &str) -> bool {
    let words: Vec<&str> = command.split([' ', '(', ')', ';', '|', '&']).collect();
    if words.iter().any(|word| NOT_THERE.contains(word)) {
        return false;
    }
    let mut cargos = words.split(|word| *word == "cargo").skip(1);
    cargos.all(|after| match after {
        ["run", "-p", package, ..] => package.starts_with("step"),
        ["workshop", "check" | "break", step, ..] => {
            step.starts_with(|it: char| it.is_ascii_digit())
        }
        _ => false,
    })
}

/// Whether it can play a whole session.
pub fn plays(session: &str) -> bool {
    session.lines().all(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_compiler_or_sources_is_not_run() {
        for command in [
            "cargo run -p step05 run /bin/bash",
            "(cargo run -p step08 run sleep 54321 &); until pgrep -fx x; do sleep 1; done",
            "cargo workshop check 05",
            "cargo workshop break 05 swap",
            "rmdir $cgroup",
        ] {
            assert!(runs(command), "{command}");
        }
        for command in [
            "cargo run -p final -- run --rm host true",
            "cargo workshop check",
            "cargo workshop diff 04 05",
            "cargo mine run /bin/bash",
            "cp $(ldd /bin/sh) tiny",
            "cargo run -p step01 run x; cargo mine run x",
        ] {
            assert!(!runs(command), "{command}");
        }
    }
}
