//! Every kind of fault makes the build of a small book fail, and is named with file and line.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/small.rs"]
mod small;

use std::fs;

use small::Small;

impl Small {
    fn builds(&self) -> Result<(), String> {
        self.build().map(drop)
    }

    /// Pages with these texts, one.md and so on, fail to build, and each is told so.
    fn all_fail(&self, pages: &[(&str, &str)]) {
        let mut summary = "# Summary\n\n- [All](all.md)\n- [One](one.md)\n".to_string();
        for (number, (text, _)) in pages.iter().enumerate() {
            summary += &format!("- [Page](p{number}.md)\n");
            self.write(&format!("src/p{number}.md"), text);
        }
        self.write("src/SUMMARY.md", &summary);
        let error = self.builds().unwrap_err();
        for (number, (_, fault)) in pages.iter().enumerate() {
            let fault = format!("src/p{number}.md:{fault}");
            assert!(error.contains(&fault), "{error}\n\nis not\n\n{fault}");
        }
        assert!(error.contains(&format!("{} faults", pages.len())), "{error}");
    }

    /// The page one.md with this text fails to build, and is told so.
    #[track_caller]
    fn fails(&self, text: &str, fault: &str) {
        self.write("src/one.md", text);
        let error = self.builds().unwrap_err();
        assert!(error.contains(fault), "{error}\n\nis not\n\n{fault}");
    }
}

#[test]
fn a_book_without_a_fault_builds() {
    Small::new().builds().unwrap();
}

#[test]
fn faults_in_a_chapter() {
    let small = Small::new();
    small.all_fail(&[
        ("# One\n\n{{#difff 05 run}}\n", "3: there is no directive {{#difff 05 run}}"),
        ("# One\n\n{{#diff 05 last}}\n", "3: cannot show this part of step 05"),
        ("# One\n\n{{#hint}}\n", "3: {{#hint}} has no {{#end}}"),
        ("# One\n\n\n{{#session book none}}\n", "4: cannot show the session none of book"),
        ("# One\n\n```\nls\n```\n", "3: this fence has no language"),
        ("# One\n\n```text\nls\n", "3: this fence is never closed"),
        ("# One\n\n{{#picture none \"None\"}}\n", "3: cannot read book/src/pictures/none.svg"),
        ("# One\n\n{{#code README.md none}}\n", "3: cannot look into README.md"),
        ("# One\n\n{{#notes 11}}\n", "3: there is no step '11'"),
        ("# One\n\n{{#solution 05}}\n", "3: cannot read book/exercises/step05.patch"),
        ("# One\n\n```console\n$ one two three four\nx\n```\n", "5: `x` is no command"),
    ]);
}

#[test]
fn commands_that_nothing_runs() {
    let small = Small::new();
    let fault = "no session and no test runs `true -f`";
    small.fails("# One\n\n```console\n$ true -f\n```\n", &format!("one.md:4: {fault}"));
    small.fails("# One\n\nType {{#run}}true -f{{#end}}.\n", &format!("one.md:3: {fault}"));
    small.write("tests/x.session", "1> true -f ...\n");
    small.write("src/one.md", "# One\n\nType {{#run}}true -f{{#end}}.\n");
    small.builds().unwrap();
    small.write("tests/commands.toml", "\"true\" = \"README.md::no_such_test\"\n");
    assert!(small.builds().unwrap_err().contains("README.md has no no_such_test"));
}

#[test]
fn links_pictures_and_other_hosts() {
    let small = Small::new();
    small.all_fail(&[
        ("# One\n\n[a](none.md)\n", "3: `none.html` leads nowhere"),
        ("# One\n\n[a](all.md#none)\n", "3: `all.html#none` leads to no such place"),
        ("# One\n\n\n[a](#none)\n", "4: `#none` leads to no such place"),
        ("# One\n\n![a](none.png)\n", "3: `none.png` is no image"),
        (
            "# One\n\n![a](https://example.org/a.png)\n",
            "3: `https://example.org/a.png` is loaded from another host",
        ),
        (
            "# One\n\n<script src=\"//example.org/a.js\"></script>\n",
            "3: `//example.org/a.js` is loaded from another host",
        ),
    ]);
    let small = Small::new();
    small.write("src/one.md", "# One\n\n[a](https://example.org/) and [b](all.md#all)\n");
    small.builds().unwrap();
}

#[test]
fn lines_shown_nowhere_or_twice() {
    let small = Small::new();
    let twice = "step05-pid/src/main.rs:";
    small.fails("# One\n\n{{#diff 05 run}}\n", twice);
    small.fails("# One\n\n{{#diff 05 run}}\n", "shown twice, in book/src/all.md:");
    let without = small.differences.replace("{{#diff 05 run}}\n", "");
    small.write("src/all.md", &format!("# All\n\n{without}"));
    small.fails("# One\n", "are in no chapter: {{#diff 05 run 1}}");
}

#[test]
fn chapters_of_steps_have_all_their_parts() {
    let small = Small::new();
    small.write("src/SUMMARY.md", "# Summary\n\n- [All](all.md)\n- [One](step05-pid.md)\n");
    fs::remove_file(small.book().join("src/one.md")).unwrap();
    small.write(
        "src/step05-pid.md",
        "# One\n\n## The idea\n\n## Questions\n\n## Your turn\n\n{{#hint}}\nx\n{{#end}}\n",
    );
    let error = small.builds().unwrap_err();
    for fault in [
        "step05-pid.md:1: {{#step 05}} is missing",
        "step05-pid.md:1: {{#exercise 05}} is missing",
        "step05-pid.md:1: {{#notes 05}} is missing",
        "step05-pid.md:3: `The idea` has 0 {{#picture}}, not some",
        "step05-pid.md:3: after this, `## Predict` is missing",
        "step05-pid.md:7: `Your turn` has 1 {{#hint}}, not 3",
        "step05-pid.md:7: `Your turn` has 0 {{#solution}}, not 1",
        "step05-pid.md:5: `## Questions` stands too early",
        "`Questions` has 0 {{#question}}, not 3",
        "`## For instructors` is missing",
    ] {
        assert!(error.contains(fault), "{error}\n\nis not\n\n{fault}");
    }
}

#[test]
fn experiments_without_a_session() {
    let small = Small::new();
    let list = |session: &str| {
        let experiment = format!("what = \"ps\"\nsessions = [{session}]\npage = \"one.md\"\n");
        small.write(
            "experiments.toml",
            &format!("[[document]]\ntitle = \"001\"\n\n[[document.experiment]]\n{experiment}"),
        );
    };
    list("");
    small.fails("# One\n", "experiments.toml:5: `ps` has no session");
    list("\"step05 pid\"");
    small.fails("# One\n", "experiments.toml:5: one.md does not show {{#session step05 pid}}");
    small.write("src/one.md", "# One\n\n{{#session step05 pid}}\n\n{{#experiments}}\n");
    small.builds().unwrap();
}
