//! `start`, `restore` and `catch-up`: what they put into mine/, and that nothing is ever lost.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use support::learner::Project;
use workshop::container::token;
use workshop::{diff, project, steps};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

/// Whether some file in mine/ or in a whole copy holds these bytes and no others.
fn is_somewhere(project: &Project, bytes: &str) -> bool {
    is_kept(project, bytes) || holds(&project.folder.join("mine"), bytes)
}

fn is_kept(project: &Project, bytes: &str) -> bool {
    let kept = fs::read_dir(project.folder.join("kept")).into_iter().flatten().flatten();
    let mut whole = kept.filter(|it| !it.file_name().to_string_lossy().starts_with('.'));
    whole.any(|copy| holds(&copy.path(), bytes))
}

fn holds(folder: &Path, bytes: &str) -> bool {
    files(folder).iter().any(|it| fs::read(it).is_ok_and(|found| found == bytes.as_bytes()))
}

#[test]
fn the_committed_crate_is_the_one_to_begin_with() {
    let root = project::root().unwrap();
    let starter = root.join("workshop/src/mine/starter");
    for (name, of) in [
        ("mine/Cargo.toml", "Cargo.toml"),
        ("mine/Cargo.lock", "Cargo.lock"),
        ("mine/src/main.rs", "main.rs"),
    ] {
        // The attendee's own may be anything by now.
        let shown = Command::new("git")
            .arg("-C")
            .arg(&root)
            .args(["show", &format!("HEAD:{name}")])
            .output();
        let committed = match shown {
            Ok(output) if output.status.success() => output.stdout,
            _ => fs::read(root.join(name)).unwrap(),
        };
        assert_eq!(committed, fs::read(starter.join(of)).unwrap(), "{name}");
    }
}

/// Many change into it.
#[test]
fn the_workshop_is_at_hand_in_its_folder_too() {
    let folder = project::root().unwrap().join("mine");
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(["workshop", "class", "90m"]).current_dir(folder).output().unwrap();
    assert!(output.status.success() && said(&output).contains("01 run"), "{}", said(&output));
}

#[test]
fn the_crate_has_what_the_steps_have() {
    let root = project::root().unwrap();
    let read = |path: &str| -> toml::Table {
        fs::read_to_string(root.join(path)).unwrap().parse().unwrap()
    };
    let (mine, workspace) = (read("workshop/src/mine/starter/Cargo.toml"), read("Cargo.toml"));
    let step = read("step10-network/Cargo.toml");
    let names = |manifest: &toml::Table| -> Vec<String> {
        manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&mine), names(&step));
    for (name, wanted) in mine["dependencies"].as_table().unwrap() {
        assert_eq!(*wanted, workspace["workspace"]["dependencies"][name], "{name}");
    }
    // Or what has been compiled for the steps would be compiled again.
    assert_eq!(mine["profile"]["dev"]["debug"], workspace["profile"]["dev"]["debug"]);
    let packages = |path: &str| -> Vec<(toml::Value, toml::Value)> {
        let lock = read(path);
        let packages = lock["package"].as_array().unwrap().iter();
        packages.map(|it| (it["name"].clone(), it["version"].clone())).collect()
    };
    let all = packages("Cargo.lock");
    for (name, version) in packages("workshop/src/mine/starter/Cargo.lock") {
        let its_own = name.as_str() == Some("mine");
        assert!(its_own || all.contains(&(name.clone(), version.clone())), "{name:?} {version:?}");
    }
    let excluded = workspace["workspace"]["exclude"].as_array().unwrap();
    assert!(excluded.iter().any(|it| it.as_str() == Some("mine")));
}

#[test]
fn every_mark_finds_its_place_and_none_is_too_long() {
    let project = Project::new("marks");
    for step in steps::all().unwrap() {
        assert!(!step.todo.is_empty(), "{}", step.title);
        let number = format!("{:02}", step.number);
        let output = project.workshop(&["catch-up", &number]);
        assert!(output.status.success(), "{}", said(&output));
        assert!(!said(&output).contains("did not find"), "{number}: {}", said(&output));
        let source = project.read("mine/src/main.rs");
        assert_eq!(source.matches("// TODO(you): ").count(), step.todo.len());
        for line in source.lines().filter(|line| line.contains("// TODO(you): ")) {
            assert!(line.chars().count() <= 100, "{number}: {line}");
        }
        // Without the marks it is the step before, to the letter.
        let before = steps::all().unwrap().iter().find(|it| it.number + 1 == step.number);
        let expected = match before {
            Some(before) => diff::read(&project.folder, before).unwrap(),
            None => fs::read_to_string(
                project::root().unwrap().join("workshop/src/mine/starter/main.rs"),
            )
            .unwrap(),
        };
        let unmarked: String =
            source.split_inclusive('\n').filter(|line| !line.contains("// TODO(you): ")).collect();
        assert_eq!(unmarked, expected, "{number}");
    }
}

#[test]
fn your_own_green_code_is_what_the_next_step_begins_with() {
    let project = Project::new("own");
    project.write("progress.txt", "uts done 2026-11-25\n");
    let own = project.read("step03-uts/src/main.rs").replace("fn join", "// My own.\nfn join");
    project.write("mine/src/main.rs", &own);
    let output = project.workshop(&["start"]);
    assert!(said(&output).contains("mine/src/main.rs is your own code"), "{}", said(&output));
    let source = project.read("mine/src/main.rs");
    assert!(source.contains("// My own.") && source.contains("// TODO(you): "), "{source}");
    assert!(project.read("progress.txt").contains("child started "));
}

/// Whoever types it twice has not asked for other code.
#[test]
fn a_second_start_leaves_the_code_alone() {
    let project = Project::new("twice");
    assert!(project.workshop(&["start", "05"]).status.success());
    project.write("mine/src/main.rs", "fn main() { /* mine */ }\n");
    let output = project.workshop(&["start", "05"]);
    assert!(
        output.status.success() && said(&output).contains("stays as it is"),
        "{}",
        said(&output)
    );
    assert_eq!(project.read("mine/src/main.rs"), "fn main() { /* mine */ }\n");
}

#[test]
fn red_code_is_kept_and_the_official_step_taken() {
    let project = Project::new("red");
    project.write("progress.txt", "uts started 2026-11-25; red one-each\n");
    project.write("mine/src/main.rs", "fn main() { /* red */ }\n");
    let output = project.workshop(&["start"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("begin it anew: cargo workshop catch-up 03"),
        "{}",
        said(&output)
    );
    let output = project.workshop(&["start", "04"]);
    assert!(said(&output).contains("the official step 03"), "{}", said(&output));
    assert!(said(&output).contains("was not checked green"), "{}", said(&output));
    assert!(is_somewhere(&project, "fn main() { /* red */ }\n"));
    let from_mine = project.workshop(&["start", "04", "--from", "mine"]);
    assert!(said(&from_mine).contains("your own code"), "{}", said(&from_mine));
}

#[test]
fn the_official_step_is_taken_where_it_is_asked_for() {
    let project = Project::new("official");
    project.write("progress.txt", "child done 2026-11-25\n");
    let own = project.read("step04-child/src/main.rs").replace("fn join", "// My own.\nfn join");
    project.write("mine/src/main.rs", &own);
    let output = project.workshop(&["start", "05", "--from", "step04"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("the official step 04"), "{}", said(&output));
    let source = project.read("mine/src/main.rs");
    assert!(!source.contains("// My own.") && source.contains("// TODO(you): "), "{source}");
    assert!(is_kept(&project, &own));
}

#[test]
fn restore_brings_back_every_file_and_can_be_undone() {
    let project = Project::new("restore");
    let mine = project.folder.join("mine");
    project.write("mine/src/helper.rs", "// mine\n");
    project.write("mine/src/bin/other.rs", "broken\n");
    project.write("mine/notes.md", "remember\n");
    project.write("mine/Cargo.toml", "not = [valid");
    project.write("mine/run.sh", "#!/bin/sh\n");
    fs::set_permissions(mine.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("notes.md", mine.join("link")).unwrap();
    project.write("mine/target/CACHEDIR.TAG", "x");
    project.write("mine/target/big", "not kept");
    project.write("progress.txt", "uts started 2026-11-25\n");
    project.workshop(&["catch-up", "05"]);
    // What cargo reads has gone, so that it builds; what is the attendee's alone stays.
    assert!(!mine.join("src/bin/other.rs").exists() && !mine.join("src/helper.rs").exists());
    assert!(mine.join("notes.md").exists() && mine.join("target/big").exists());
    assert!(project.read("mine/Cargo.toml").contains("name = \"mine\""));
    let started = project.read("mine/src/main.rs");

    let output = project.workshop(&["restore"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(project.read("mine/src/helper.rs"), "// mine\n");
    assert_eq!(project.read("mine/Cargo.toml"), "not = [valid");
    assert_eq!(fs::read_link(mine.join("link")).unwrap(), Path::new("notes.md"));
    let mode = fs::metadata(mine.join("run.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    assert!(project.read("progress.txt").trim_end().lines().last().unwrap().starts_with("uts "));

    project.workshop(&["restore"]);
    assert_eq!(project.read("mine/src/main.rs"), started);
    let list = said(&project.workshop(&["restore", "--list"]));
    assert!(list.lines().count() >= 2, "{list}");
    for line in list.lines() {
        let name = line.split_whitespace().next().unwrap();
        assert!(project.folder.join("kept").join(name).is_dir(), "{list}");
    }
    let none = project.workshop(&["restore", "1999"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(said(&none).contains("there is no copy kept/1999"), "{}", said(&none));
}

#[test]
fn a_broken_manifest_does_not_break_the_workspace() {
    // The real workspace's manifest, and a member that needs nothing.
    let folder = tempfile::tempdir().unwrap();
    let manifest = fs::read_to_string(project::root().unwrap().join("Cargo.toml")).unwrap();
    let (before, members) = manifest.split_once("members = [").unwrap();
    let (_, rest) = members.split_once(']').unwrap();
    fs::write(folder.path().join("Cargo.toml"), format!("{before}members = [\"member\"]{rest}"))
        .unwrap();
    fs::create_dir_all(folder.path().join("member/src")).unwrap();
    fs::create_dir_all(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("member/src/lib.rs"), "").unwrap();
    fs::write(folder.path().join("member/Cargo.toml"), "[package]\nname = \"member\"\n").unwrap();
    fs::write(folder.path().join("mine/Cargo.toml"), "not = [valid").unwrap();
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", said(&cargo));
}

/// Kills the three at ever other moments: what was in mine/ is always found again, whole.
#[test]
fn nothing_is_lost_when_they_are_killed() {
    let project = Project::new("killed");
    let mut bytes: Vec<String> = Vec::new();
    let commands: [&[&str]; 4] =
        [&["start", "05"], &["restore"], &["catch-up", "09"], &["start", "03", "--from", "mine"]];
    for round in 0..120_u64 {
        // Somebody types, in one file or in several, and writes over what no command has touched.
        bytes.retain(|text| is_kept(&project, text));
        let names = ["mine/src/main.rs", "mine/src/other.rs", "mine/Cargo.toml", "mine/notes"];
        for name in &names[..=usize::try_from(round % 4).unwrap()] {
            let text = format!("// {} {round}\n{}", token(), "x".repeat(20_000));
            project.write(name, &text);
            bytes.push(text);
        }
        let mut command = project.command(commands[usize::try_from(round / 4 % 4).unwrap()]);
        let mut running = command.spawn().unwrap();
        // From before it has begun to after it has ended.
        thread::sleep(Duration::from_micros(round * 7919 % 12_000));
        let _ = running.kill();
        running.wait().unwrap();
        for text in &bytes {
            assert!(is_somewhere(&project, text), "{} is lost in round {round}", &text[..20]);
        }
        bytes = bytes.split_off(bytes.len().saturating_sub(20));
    }
    // And it still works.
    let output = project.workshop(&["start", "05"]);
    assert!(output.status.success(), "{}", said(&output));
    let kept = fs::read_dir(project.folder.join("kept")).unwrap().flatten();
    let names: Vec<_> = kept.map(|it| it.file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.starts_with(".half")), "{names:?}");
}

/// An editor saves while they are at work.
#[test]
fn nothing_that_is_saved_meanwhile_is_lost() {
    let project = Project::new("saved");
    let commands: [&[&str]; 3] = [&["start", "05"], &["restore"], &["catch-up", "09"]];
    for round in 0..150_u64 {
        project.write("mine/src/main.rs", &format!("// before {round} {}\n", token()));
        let mut running =
            project.command(commands[usize::try_from(round % 3).unwrap()]).spawn().unwrap();
        thread::sleep(Duration::from_micros(round * 7919 % 20_000));
        let saved = format!("// meanwhile {round} {}\n", token());
        project.write("mine/src/main.rs", &saved);
        running.wait().unwrap();
        assert!(is_somewhere(&project, &saved), "what was saved in round {round} is lost");
    }
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let project = Project::new("two");
    project.write("mine/src/main.rs", "fn main() {}\n");
    let mut running: Vec<_> =
        (0..8).map(|_| project.command(&["start", "02"]).spawn().unwrap()).collect();
    let statuses: Vec<_> = running.iter_mut().map(|it| it.wait().unwrap()).collect();
    assert!(statuses.iter().any(|status| status.success()), "{statuses:?}");
    assert!(is_somewhere(&project, "fn main() {}\n"));
    assert!(project.read("mine/src/main.rs").contains("// TODO(you): "));
}
