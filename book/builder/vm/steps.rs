//! The ten steps and the agent as one program for i686, which tells by its name which of them it is:
//! they share what is large, the command line and the standard library.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use toml::{Table, Value};
use workshop::steps as ladder;

use super::cache::{self, Cache, key};
use super::packages::Packages;
use super::tool;

/// What tells the page about the machine's kernel: the program's name, and where its source is.
const AGENT: (&str, &str) = ("agent", "book/agent");

/// The program's name, before it gets those of the steps.
const NAME: &str = "steps";

const TARGET: &str = "i686-unknown-linux-gnu";

/// What the steps use that was unstable in Rust 1.85, which Debian 12 has for i386.
const BEFORE: &str = "#![allow(stable_features)]\n#![feature(integer_sign_cast, os_str_display)]\n";

/// The way into a step from outside of its file.
const AFTER: &str =
    "\n/// What this step does.\npub fn multi_call() -> ExitCode {\n    main()\n}\n";

/// A step starts itself as /proc/self/exe. Then the kernel knows by which name it was started first.
const MAIN: &str = r#"//! All steps in one program.

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let name = |path: PathBuf| path.file_name()?.to_str().map(str::to_string);
    let mut called = env::args_os().next().map(PathBuf::from).and_then(name).unwrap_or_default();
    if called == "exe" {
        called = fs::read_link("/proc/self/exe").ok().and_then(name).unwrap_or_default();
    }
    match called.as_str() {
STEPS        _ => {
            eprintln!("error: there is no step {called}");
            ExitCode::from(125)
        }
    }
}
"#;

/// Builds it and returns the file, which each step is to be a hard link to.
pub(super) fn build(cache: &Cache, root: &Path, packages: &Packages) -> Result<PathBuf> {
    let files = crates(root)?;
    let folder = cache.get(NAME, key((&files, packages.key)), |folder| {
        // What has been compiled stays there for the next time.
        let work = cache.folder("crates")?;
        for (name, content) in &files {
            let file = work.join(name);
            cache::create(file.parent().unwrap_or(&work))?;
            cache::write(&file, content)?;
        }
        compile(&work, &packages.root)?;
        let built = work.join("target").join(TARGET).join("release").join(NAME);
        fs::copy(built, folder.join(NAME)).context("cannot find the built steps").map(drop)
    })?;
    Ok(folder.join(NAME))
}

/// A workspace with a library for each step, since a step says its package's name: files and contents.
fn crates(root: &Path) -> Result<Vec<(String, String)>> {
    let mut files = vec![
        ("Cargo.lock".to_string(), cache::read_text(&root.join("Cargo.lock"))?),
        ("Cargo.toml".to_string(), workspace(&table(&root.join("Cargo.toml"))?)?),
    ];
    let (mut dependencies, mut arms) = (Table::new(), String::new());
    for step in ladder::all()? {
        let (folder, name) = (root.join(&step.folder), &step.package);
        let needs = part(&table(&folder.join("Cargo.toml"))?, &["dependencies"])?;
        let source = cache::read_text(&folder.join("src/main.rs"))?;
        files.push((format!("{name}/Cargo.toml"), manifest(name, needs)));
        files.push((format!("{name}/src/lib.rs"), [BEFORE, &source, AFTER].concat()));
        let path = Table::from_iter([("path".to_string(), format!("../{name}").into())]);
        dependencies.insert(name.clone(), path.into());
        arms += &format!("        {name:?} => {name}::multi_call(),\n");
    }
    let (name, folder) = AGENT;
    files.extend(agent(name, &root.join(folder))?);
    let path = Table::from_iter([("path".to_string(), format!("../{name}").into())]);
    dependencies.insert(name.to_string(), path.into());
    arms += &format!("        {name:?} => {name}::multi_call(),\n");
    files.push((format!("{NAME}/Cargo.toml"), manifest(NAME, dependencies.into())));
    files.push((format!("{NAME}/src/main.rs"), MAIN.replace("STEPS", &arms)));
    Ok(files)
}

/// The agent's library, file by file.
fn agent(name: &str, folder: &Path) -> Result<Vec<(String, String)>> {
    let needs = part(&table(&folder.join("Cargo.toml"))?, &["dependencies"])?;
    let mut files = vec![(format!("{name}/Cargo.toml"), manifest(name, needs))];
    let source = folder.join("src");
    let entries =
        fs::read_dir(&source).with_context(|| format!("cannot read {}", source.display()))?;
    for file in entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        let text = cache::read_text(&source.join(&file))?;
        match file.as_str() {
            "main.rs" => {}
            "lib.rs" => files.push((format!("{name}/src/{file}"), [BEFORE, &text].concat())),
            _ => files.push((format!("{name}/src/{file}"), text)),
        }
    }
    files.sort();
    Ok(files)
}

/// The manifest of the workspace: this one's versions and release profile, but small.
fn workspace(root: &Table) -> Result<String> {
    let mut release = part(root, &["profile", "release"])?;
    if let Some(release) = release.as_table_mut() {
        release.insert("opt-level".into(), "s".into());
    }
    let workspace = [
        ("resolver", "3".into()),
        ("members", vec!["step*", AGENT.0].into()),
        ("dependencies", part(root, &["workspace", "dependencies"])?),
    ];
    let profile = named([("release", release)]);
    let all = [("workspace", named(workspace).into()), ("profile", profile.into())];
    Ok(named(all).to_string())
}

/// The manifest of one crate.
fn manifest(name: &str, dependencies: Value) -> String {
    let package = [("name", name.into()), ("version", "0.1.0".into()), ("edition", "2024".into())];
    named([("package", named(package).into()), ("dependencies", dependencies)]).to_string()
}

fn named<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn table(file: &Path) -> Result<Table> {
    cache::read_text(file)?.parse().with_context(|| format!("cannot read {}", file.display()))
}

fn part(table: &Table, path: &[&str]) -> Result<Value> {
    let (first, rest) = path.split_first().context("a path has a name")?;
    let found = rest.iter().try_fold(table.get(*first), |at, name| Some(at?.get(name)));
    found.flatten().cloned().with_context(|| format!("a Cargo.toml has no {}", path.join(".")))
}

/// Compiles with Debian's Rust, since not every Rust has a standard library for i686, and with this
/// machine's gcc, which links for it as soon as it is shown where its files are.
fn compile(work: &Path, root: &Path) -> Result<()> {
    let usr = root.join("usr");
    let libraries = usr.join("lib/i386-linux-gnu");
    let gcc = newest(&usr.join("lib/gcc/i686-linux-gnu"))?;
    let mut flags =
        vec!["-Clink-arg=-m32".to_string(), format!("-Clink-arg=--sysroot={}", root.display())];
    for folder in [&gcc, &libraries, &root.join("lib/i386-linux-gnu")] {
        flags.push(format!("-Clink-arg=-B{}", folder.display()));
        flags.push(format!("-Clink-arg=-L{}", folder.display()));
    }
    // Where this was compiled is nobody's business.
    flags.push(format!("--remap-path-prefix={}=/book", work.display()));
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--ignore-rust-version", "--target", TARGET])
        .current_dir(work);
    cargo.args(["--package", NAME, "--target-dir"]).arg(work.join("target"));
    cargo.env("RUSTC", usr.join("bin/rustc")).env("RUSTC_BOOTSTRAP", "1");
    cargo.env("LD_LIBRARY_PATH", usr.join("lib/x86_64-linux-gnu"));
    cargo.env("CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER", "gcc");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    tool::run(&mut cargo).map(drop)
}

/// gcc's files lie in a folder with its version.
fn newest(folder: &Path) -> Result<PathBuf> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let newest = entries.flatten().map(|entry| entry.path()).max();
    newest.with_context(|| format!("{} is empty", folder.display()))
}
