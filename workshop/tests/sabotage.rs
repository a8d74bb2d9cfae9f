//! The sabotage labs: every known-wrong variant turns exactly the checks red that it is said to, and
//! the mistake in it is recognized. And `cargo workshop break`, which asks for them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use support::learner::Project;
use workshop::checks::mistakes::{self, Search};
use workshop::checks::{Bench, Stage, valid_at};
use workshop::container::Subject;
use workshop::pty::Terminal;
use workshop::sabotage::variant::{Variant, write_workspace};
use workshop::steps;
use workshop::{project, testing};

fn variants() -> Vec<Variant> {
    Variant::all().unwrap()
}

/// All variants, built in one go.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let start = Instant::now();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sabotage");
        write_workspace(&project::root().unwrap(), &folder, &variants()).unwrap();
        let binaries = project::binaries().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--offline", "--target-dir"]).arg(binaries.parent().unwrap());
        if binaries.ends_with("release") {
            build.arg("--release");
        }
        let output = build.current_dir(&folder).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        // A learner who sees one looks for the mistake there.
        assert!(!said.contains("warning:"), "{said}");
        println!("{} variants built in {:.1} s", variants().len(), start.elapsed().as_secs_f32());
        binaries
    })
}

#[test]
fn every_step_has_at_least_two_riddles_with_names_of_their_own() {
    for step in steps::all().unwrap() {
        let names: BTreeSet<_> = step.sabotage.iter().map(|it| &it.name).collect();
        assert_eq!(names.len(), step.sabotage.len(), "{}", step.title);
        assert!(names.len() >= 2, "{}", step.title);
        for name in names {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        }
    }
}

#[test]
fn at_least_25_mistakes_are_known_and_each_is_made_by_a_variant() {
    let known: Vec<_> = mistakes::all().map(|it| it.name).collect();
    let names: BTreeSet<_> = known.iter().copied().collect();
    assert_eq!(names.len(), known.len(), "names are unique");
    assert!(names.len() >= 25, "{}", names.len());
    let variants = variants();
    let made: BTreeSet<_> = variants.iter().map(|it| it.sabotage.mistake.as_str()).collect();
    assert_eq!(made, names);
}

#[test]
fn what_explains_a_check_names_one_that_there_is() {
    for mistake in mistakes::all() {
        for check in mistake.explains {
            let there = valid_at(mistake.since).chain(valid_at(mistake.until));
            assert!(there.into_iter().any(|it| it.name == *check), "{}: {check}", mistake.name);
        }
    }
}

#[test]
fn what_is_red_is_a_check_of_the_step() {
    for variant in variants() {
        let checks = variant.checks();
        for red in &variant.sabotage.red {
            assert!(checks.iter().any(|it| it.name == red), "{}: {red}", variant.package());
        }
    }
}

#[test]
fn every_patch_is_a_riddle() {
    let folder = project::root().unwrap().join("workshop/sabotage");
    let mut found = BTreeSet::new();
    for step in fs::read_dir(folder).unwrap() {
        for patch in fs::read_dir(step.unwrap().path()).unwrap() {
            let path = patch.unwrap().path();
            let step = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_string();
            found.insert(format!("{step}-{}", path.file_stem().unwrap().to_str().unwrap()));
        }
    }
    assert_eq!(found, variants().iter().map(Variant::package).collect());
}

#[test]
fn each_riddle_turns_exactly_its_checks_red() {
    if !testing::root("each_riddle_turns_exactly_its_checks_red") {
        return;
    }
    let (folder, rootfs) = (built(), testing::rootfs().unwrap());
    let steps: Vec<_> = steps::all().unwrap().iter().map(Variant::of).collect();
    let wrong: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = steps
            .into_iter()
            .map(|all| {
                let judge = |variant| judge(&variant, folder, &rootfs);
                scope.spawn(move || all.flat_map(judge).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is not as it is said to be.
fn judge(variant: &Variant, folder: &Path, rootfs: &Path) -> Vec<String> {
    let (start, name) = (Instant::now(), variant.package());
    let subject = Subject::step(folder.join(&name));
    let bench = Bench::new(rootfs).unwrap();
    let search = Search::new(variant.stage(), &bench, &subject);
    let mut wrong = Vec::new();
    let (mut red, mut recognized) = (BTreeSet::new(), false);
    for check in variant.checks() {
        let verdict = check.run(&bench, &subject).unwrap();
        let is_red = variant.sabotage.red.iter().any(|red| red == check.name);
        if is_red == verdict.holds {
            let (colour, found) = (if is_red { "green" } else { "red" }, verdict.found);
            wrong.push(format!("{name}: {} is {colour}: {found}", check.name));
        }
        if verdict.holds {
            continue;
        }
        red.insert(check.name);
        match search.behind(check.name).unwrap() {
            Some(mistake) if mistake.name == variant.sabotage.mistake => recognized = true,
            Some(mistake) => {
                wrong.push(format!("{name}: {} taken for {}", check.name, mistake.name))
            }
            None => {}
        }
    }
    if !recognized {
        wrong.push(format!("{name}: {} is not recognized", variant.sabotage.mistake));
    }
    println!("{name}: {} red, {:.1} s", red.len(), start.elapsed().as_secs_f32());
    wrong
}

#[test]
fn the_official_steps_make_no_mistake() {
    if !testing::root("the_official_steps_make_no_mistake") {
        return;
    }
    let steps = steps::all().unwrap();
    project::build(&steps.iter().map(|it| it.package.as_str()).collect::<Vec<_>>()).unwrap();
    let rootfs = testing::rootfs().unwrap();
    for step in steps {
        let stage = Stage::Step(step.number);
        let subject = Subject::step(project::binaries().unwrap().join(&step.package));
        let bench = Bench::new(&rootfs).unwrap();
        let search = Search::new(stage, &bench, &subject);
        for mistake in mistakes::all().filter(|it| (it.since..=it.until).contains(&stage)) {
            assert!(!search.finds(mistake).unwrap(), "{} in {}", mistake.name, step.package);
        }
    }
}

/// A workshop with the riddles of step 02.
fn lab(name: &str) -> Project {
    let project = Project::new(name);
    let root = project::root().unwrap();
    let mut files = vec!["Cargo.toml".to_string(), "step02-exec/Cargo.toml".to_string()];
    for sabotage in &steps::all().unwrap()[1].sabotage {
        files.push(format!("workshop/sabotage/step02/{}.patch", sabotage.name));
    }
    for file in files {
        project.write(&file, &fs::read_to_string(root.join(&file)).unwrap());
    }
    project
}

#[test]
fn the_riddles_are_listed_with_what_to_type_next() {
    let project = lab("break-list");
    for name in ["02", "exec"] {
        let output = project.workshop(&["break", name]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.starts_with("Riddles about step 02, exec\n  1 all-is-well\n  2 "), "{said}");
        assert!(said.ends_with("\nTry one: cargo workshop break 02 all-is-well\n"), "{said}");
    }
}

#[test]
fn what_is_not_there_is_wrong_usage() {
    let project = lab("break-usage");
    let usage = [
        (
            vec!["break", "02", "nowhere"],
            "error: there is no riddle 'nowhere' about step 02. Name one of these: all-is-well, ",
        ),
        (vec!["break", "02", "9", "--answer"], "error: there is no riddle '9' "),
        (
            vec!["break", "02", "quiet", "--guess", "stream"],
            "error: there is no check 'stream'. Do you mean streams?\n",
        ),
        (vec!["break", "02", "--guess", "streams"], "error: the following required arguments"),
    ];
    for (words, expected) in usage {
        let output = project.workshop(&words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_guess_in_a_script_is_compared() {
    if !testing::root("a_guess_in_a_script_is_compared") {
        return;
    }
    let project = lab("break-guess");
    let output =
        project.workshop(&["break", "02", "all-is-well", "--guess", "exit-status,killed,3"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "  ✓ usage                holds, though you said red",
        "  ✗ exit-status          red, as you said",
        "  ✗ killed               red, as you said",
        "  ✗ terminal             red, which you did not say",
        "2 of 4 found, 1 wrongly named",
        "The evidence of exit-status",
    ] {
        assert!(said.lines().any(|it| it == line), "{line}\n{said}");
    }
    assert!(said.contains("\nThe mistake\nThe command ran, and `run` ended with 0"), "{said}");
    let output = project.workshop(&["break", "02", "quiet", "--answer"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("\nWhat the checks say\n  ✗ streams              red\n\nThe answer\n"),
        "{said}"
    );
}

#[test]
fn on_a_terminal_it_asks_until_it_understands() {
    if !testing::root("on_a_terminal_it_asks_until_it_understands") {
        return;
    }
    let start = |name: &str| {
        let project = lab(name);
        let mut line: Vec<OsString> = ["env", "-C"].map(OsString::from).into();
        line.push(project.folder.into());
        line.extend(["NO_COLOR=1", env!("CARGO_BIN_EXE_workshop")].map(OsString::from));
        line.extend(["break", "02", "quiet"].map(OsString::from));
        Terminal::start_uncaged(&line).unwrap()
    };
    let patience = Duration::from_secs(60);
    let mut terminal = start("break-asked");
    let shown = terminal.wait_for("Which checks turn red?\n", patience).unwrap();
    assert!(shown.contains("+++ the riddle quiet\n"), "{shown}");
    terminal.wait_for("\n  7 streams: ", patience).unwrap();
    terminal.wait_for("\n> ", patience).unwrap();
    terminal.press("13\n").unwrap();
    terminal.wait_for("there is no check 13. They have the numbers 1 to 12\n> ", patience).unwrap();
    terminal.press("7, killed\n").unwrap();
    terminal.wait_for("1 of 1 found, 1 wrongly named\n", patience).unwrap();
    assert_eq!(terminal.end(patience).unwrap(), 0);

    // Ctrl-D gives up.
    let mut terminal = start("break-given-up");
    terminal.wait_for("\n> ", patience).unwrap();
    terminal.press("\x04").unwrap();
    terminal.wait_for("  ✗ streams              red\n", patience).unwrap();
    assert_eq!(terminal.end(patience).unwrap(), 0);
}
