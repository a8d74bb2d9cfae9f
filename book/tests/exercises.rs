//! Every solution is applied to its step, built, and does what the book shows.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use workshop::steps::{self, Step};
use workshop::{project, testing, transcript};

/// The patched program of a step, if there is a patch: built in a crate of its own, with the
/// dependencies that the workspace has compiled.
fn mine(step: &Step) -> Option<PathBuf> {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock();
    let root = project::root().unwrap();
    let name = &step.package;
    let patch = root.join(format!("book/exercises/{name}.patch"));
    if !patch.exists() {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exercises").join(name);
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let solution = format!("solution-{name}");
    fs::write(folder.join("Cargo.toml"), manifest(&root, step, &solution)).unwrap();
    let source = folder.join("src/main.rs");
    fs::copy(step.source(&root), &source).unwrap();
    runs(Command::new("patch").args(["--quiet", "--fuzz=0"]).arg(&source).arg(&patch));
    runs(Command::new("rustfmt").args(["--check", "--edition", "2024"]).arg(&source));
    let target = project::binaries().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--offline", "--target-dir"]).arg(target.parent().unwrap());
    if target.ends_with("release") {
        build.arg("--release");
    }
    runs(build.current_dir(&folder));
    let program = folder.join("mine");
    // Never onto a file that is being executed.
    fs::copy(target.join(&solution), folder.join("new")).unwrap();
    fs::rename(folder.join("new"), &program).unwrap();
    Some(program)
}

/// A workspace of its own with the workspace's dependencies and the step's manifest.
fn manifest(root: &Path, step: &Step, name: &str) -> String {
    let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let step = fs::read_to_string(root.join(&step.folder).join("Cargo.toml")).unwrap();
    let mut manifest: toml::Table = workspace.parse().unwrap();
    let step: toml::Table = step.parse().unwrap();
    let workspace = manifest["workspace"].as_table_mut().unwrap();
    workspace.insert("members".to_string(), toml::Value::Array(Vec::new()));
    for key in ["package", "dependencies", "lints"] {
        manifest.insert(key.to_string(), step[key].clone());
    }
    manifest["package"]["name"] = name.into();
    toml::to_string(&manifest).unwrap()
}

fn runs(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&said));
}

fn folder() -> PathBuf {
    project::root().unwrap().join("book/exercises")
}

/// Compares with `snapshots/NAME.snap`.
fn compare(name: &str, transcript: &str) {
    insta::with_settings!({
        snapshot_path => folder().join("snapshots"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, transcript);
    });
}

fn solution_works(name: &str) {
    let Some(mine) = mine(Step::find(name).unwrap()) else { return };
    let session = fs::read_to_string(folder().join(format!("{name}.session"))).unwrap();
    let recorded = transcript::recorded(&folder(), name);
    transcript::test(name, &session, Some(&mine), |transcript| compare(&recorded, transcript));
}

macro_rules! exercises {
    ($($name:ident),+) => {$(
        #[test]
        fn $name() {
            solution_works(stringify!($name));
        }
    )+};
}

exercises!(step01, step02, step03, step04, step05, step06, step07, step08, step09, step10);

/// For each size and session: takes a program of that size from stdin, and plays.
const PLAY: &str = r#"
while [ $# -gt 0 ]; do
    head -c "$1" >/tmp/mine && chmod +x /tmp/mine || exit
    workshop play --mine /tmp/mine -- "$2" || exit
    rm /tmp/mine
    shift 2
done
"#;

/// On a second kernel the sessions look as the book shows them first.
#[test]
fn on_cgroup_v2() {
    if !testing::qemu("on_cgroup_v2") {
        return;
    }
    let (mut names, mut words, mut programs) = (Vec::new(), Vec::new(), Vec::new());
    for step in steps::all().unwrap() {
        let Some(mine) = mine(step) else { continue };
        let stripped = mine.with_file_name("stripped");
        runs(Command::new("strip").arg("-o").arg(&stripped).arg(&mine));
        let program = fs::read(&stripped).unwrap();
        words.push(program.len().to_string());
        words.push(fs::read_to_string(folder().join(format!("{}.session", step.package))).unwrap());
        programs.extend(program);
        names.push(&step.package);
    }
    project::build(&["workshop"]).unwrap();
    let mut machine = Command::new(project::binaries().unwrap().join("workshop"));
    machine.args(["vm", "--", "sh", "-c", PLAY, "sh"]).args(words);
    machine.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut machine = machine.spawn().unwrap();
    let mut stdin = machine.stdin.take().unwrap();
    // It hangs up early if the machine fails, which says why.
    let sender = thread::spawn(move || stdin.write_all(&programs));
    let output = machine.wait_with_output().unwrap();
    let _ = sender.join();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let played: Vec<_> = said.split_terminator(&format!("{}\n", transcript::END)).collect();
    assert_eq!(played.len(), names.len(), "{said}");
    for (name, transcript) in names.into_iter().zip(played) {
        compare(name, transcript);
    }
}
