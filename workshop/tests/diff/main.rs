//! `cargo workshop diff` on a made-up ladder: in a pipe, its patches applied by the real patch(1) and
//! git, and on terminals of several widths, with and without a pager.

#![allow(clippy::unwrap_used)]

mod own;
mod pipe;
mod runtime;
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use workshop::steps;

/// A project of its own, in which step n prints the numbers 1 to n, some without a last newline.
fn project(name: &str) -> PathBuf {
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&project);
    fs::create_dir_all(project.join("workshop")).unwrap();
    fs::write(project.join("workshop/steps.toml"), "").unwrap();
    for step in steps::all().unwrap() {
        let source = step.source(&project);
        fs::create_dir_all(source.parent().unwrap()).unwrap();
        fs::write(source, made_up(step.number)).unwrap();
        for module in &step.r#final {
            let path = project.join("final/src").join(module);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("//! {module}\n\n#[cfg(test)]\nmod tests {{}}\n")).unwrap();
        }
    }
    project
}

/// Somebody's own container, at step 05.
fn mine(project: &Path, source: &str) {
    fs::create_dir_all(project.join("mine/src")).unwrap();
    fs::write(project.join("mine/src/main.rs"), source).unwrap();
    fs::write(project.join("progress.txt"), "uts done 2026-11-24\npid started 2026-11-25\n")
        .unwrap();
}

const SAME: &str = "fn same() {\n    stays();\n}\n\n";

fn made_up(step: u8) -> String {
    if step == 1 {
        return String::new();
    }
    let body: String = (1..=step).map(|n| format!("    println!(\"{n}\");\n\n\n\n")).collect();
    let end = if step.is_multiple_of(3) { "}" } else { "}\n" };
    format!("//! Step.\n\n{SAME}fn main() {{\n    let step = {step};\n{body}{end}")
}

fn diff(project: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workshop"));
    command.current_dir(project).arg("diff").args(args).output().unwrap()
}
