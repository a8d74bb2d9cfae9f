//! Linux in a page: where it stands, and what of the page can be typed into it.

use workshop::steps::Step;

use crate::colour::escape;

/// From this step on half of what there is to see is seen from the host.
const TWO_PANES: u8 = 5;

/// Programs that the pages name and the page's Linux has not.
const NOT_THERE: [&str; 5] = ["curl", "losetup", "nft", "patch", "python3"];

/// What a page without Linux says in its place.
const MISSING: &str = "<aside class=\"no-linux\" aria-label=\"Linux in this page\">\n\
    <p>Linux can run in this page, with all steps in it, once it has been built. That takes minutes, once, \
    on Linux:</p>\n<pre><code>cargo run -p book -- vm\ncargo run -p book</code></pre>\n</aside>\n";

/// What stands in the element until its script has come.
const NOT_YET: &str = "Linux runs here in a page that comes from a web server, as with \
    <code>cargo run -p book</code>, in a browser with JavaScript.";

/// The element that Linux runs in. On a step's page it knows which step that is, and if Linux has not
/// been built the page says how to get it.
pub fn terminal(step: Option<&Step>, built: bool) -> String {
    if !built {
        return step.map_or("", |_| MISSING).to_string();
    }
    let about = step.map_or("data-panes=\"2\"".to_string(), |step| {
        let riddles: Vec<&str> = step.sabotage.iter().map(|riddle| riddle.name.as_str()).collect();
        let panes = if step.number < TWO_PANES { 1 } else { 2 };
        let riddles = escape(&riddles.join(" "));
        format!(
            "data-panes=\"{panes}\" data-step=\"{:02}\" data-riddles=\"{riddles}\"",
            step.number
        )
    });
    format!(
        "<link rel=\"stylesheet\" href=\"vm/vm.css\">\n\
         <linux-terminal {about}><p>{NOT_YET}</p></linux-terminal>\n"
    )
}

/// What the Linux of a page lacks for a command: it has no compiler, no sources and no `mine/`.
pub fn lacks(command: &str) -> Option<&'static str> {
    if command.contains("lib64") {
        return Some("programs of 64 bits");
    }
    let words: Vec<&str> = command.split([' ', '(', ')', ';', '|', '&']).collect();
    if let Some(missing) = NOT_THERE.into_iter().find(|it| words.contains(it)) {
        return Some(missing);
    }
    let mut cargos = words.split(|word| *word == "cargo").skip(1);
    cargos.find_map(|after| match after {
        ["run", "-p", package, ..] if package.starts_with("step") || *package == "final" => None,
        ["workshop", "check" | "break", step, ..]
            if step.starts_with(|it: char| it.is_ascii_digit()) =>
        {
            None
        }
        ["workshop", "diff", ..] => Some("sources"),
        _ => Some("compiler"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_compiler_or_sources_is_not_run() {
        for command in [
            "cargo run -p step05 run /bin/bash",
            "(cargo run -p step08 run sleep 54321 &); until pgrep -fx x; do sleep 1; done",
            "cargo run -p final -- run --rm host true",
            "cargo workshop check 05",
            "cargo workshop break 05 swap",
            "rmdir $cgroup",
        ] {
            assert_eq!(lacks(command), None, "{command}");
        }
        for (command, lacks_it) in [
            ("cargo workshop check", "compiler"),
            ("cargo workshop diff 04 05", "sources"),
            ("cargo mine run /bin/bash", "compiler"),
            ("patch < file", "patch"),
            ("ln -s lib lower/lib64", "programs of 64 bits"),
            ("cargo run -p step01 run x; cargo mine run x", "compiler"),
        ] {
            assert_eq!(lacks(command), Some(lacks_it), "{command}");
        }
    }
}
