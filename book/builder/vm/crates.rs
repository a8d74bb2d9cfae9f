//! Programs for i686 from this workspace's own sources.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::cache::{self, Cache, key};
use super::packages::Packages;
use super::{licences, tool};

pub(super) const TARGET: &str = "i686-unknown-linux-gnu";

/// What the crates use that was unstable in Rust 1.85, which Debian 12 has for i386.
const BEFORE: &str = "#![allow(stable_features)]\n\
                      #![feature(let_chains, integer_sign_cast, os_str_display)]\n";

/// Files that are a crate's root.
const ROOTS: [&str; 3] = ["src/lib.rs", "src/main.rs", "src/everywhere.rs"];

/// The profile of what is large and is fetched when it is used: that it is compiled soon counts more
/// than its size.
pub(super) fn soon() -> [(&'static str, Value); 2] {
    [("lto", false.into()), ("codegen-units", 16.into())]
}

/// A workspace of its own in which programs are built: files and their contents.
pub(super) struct Workspace<'a> {
    root: &'a Path,
    members: Vec<String>,
    files: Vec<(String, String)>,
}

impl<'a> Workspace<'a> {
    /// With the dependencies, pinned, of the one in `root`.
    pub(super) fn new(root: &'a Path) -> Result<Self> {
        let lock = cache::read_text(&root.join("Cargo.lock"))?;
        Ok(Self { root, members: Vec::new(), files: vec![("Cargo.lock".to_string(), lock)] })
    }

    /// Adds a package: its dependencies, and its files below `src`.
    pub(super) fn add(
        &mut self,
        name: &str,
        dependencies: Value,
        sources: impl IntoIterator<Item = (String, String)>,
    ) {
        let manifest = named([("package", package(name)), ("dependencies", dependencies)]);
        self.insert(name, &manifest);
        for (file, text) in sources {
            self.source(&format!("{name}/src/{file}"), text);
        }
    }

    /// Adds a package of the workspace in `root`, in the same folder and by that name, but for its
    /// tests.
    pub(super) fn copy(&mut self, name: &str) -> Result<()> {
        let folder = self.root.join(name);
        let mut manifest = table(&folder.join("Cargo.toml"))?;
        let own_name = name.rsplit('/').next().unwrap_or(name);
        manifest.insert("package".to_string(), package(own_name));
        // What only tests need takes long to compile.
        manifest.retain(|part, _| !["dev-dependencies", "lints"].contains(&part));
        let targets = manifest.get_mut("target").and_then(Value::as_table_mut);
        for (_, target) in targets.into_iter().flatten() {
            target.as_table_mut().and_then(|target| target.remove("dev-dependencies"));
        }
        self.insert(name, &manifest);
        for file in files(&folder)? {
            let path = file.strip_prefix(self.root).unwrap_or(&file).display().to_string();
            if path.contains("/src/") || path.ends_with("/steps.toml") {
                self.source(&path, cache::read_text(&file)?);
            }
        }
        Ok(())
    }

    fn source(&mut self, path: &str, text: String) {
        let is_root = ROOTS.iter().any(|root| path.ends_with(root));
        // Where this was compiled is nobody's business, and gone when it runs.
        let text = text.replace("env!(\"CARGO_MANIFEST_DIR\")", "\"/book\"");
        let text = if is_root { BEFORE.to_string() + &text } else { text };
        self.files.push((path.to_string(), text));
    }

    fn insert(&mut self, path: &str, manifest: &Table) {
        self.members.push(path.to_string());
        self.files.push((format!("{path}/Cargo.toml"), manifest.to_string()));
    }

    /// What a package of the workspace in `root` depends on.
    pub(super) fn dependencies_of(&self, folder: &str) -> Result<Value> {
        part(&table(&self.root.join(folder).join("Cargo.toml"))?, &["dependencies"])
    }

    /// Builds the package `name` with the release profile, but small, and what `profile` says
    /// besides, and returns its program.
    pub(super) fn build<const N: usize>(
        mut self,
        cache: &Cache,
        packages: &Packages,
        name: &str,
        profile: [(&str, Value); N],
    ) -> Result<PathBuf> {
        self.files.push(("Cargo.toml".to_string(), self.manifest(profile)?));
        let folder = cache.get(name, key((&self.files, packages.key)), |folder| {
            // What has been compiled stays for the next time.
            let work = cache.folder("crates")?;
            let sources = work.join(name);
            for (name, content) in &self.files {
                let file = sources.join(name);
                cache::create(file.parent().unwrap_or(&work))?;
                cache::write(&file, content)?;
            }
            compile(&sources, &work.join("target"), name, &packages.root)?;
            licences::gather(&sources, folder)?;
            let built = work.join("target").join(TARGET).join("release").join(name);
            fs::copy(built, folder.join(name)).context("cannot find the program").map(drop)
        })?;
        Ok(folder.join(name))
    }

    fn manifest<const N: usize>(&self, profile: [(&str, Value); N]) -> Result<String> {
        let root = table(&self.root.join("Cargo.toml"))?;
        let mut release = part(&root, &["profile", "release"])?;
        if let Some(release) = release.as_table_mut() {
            release.insert("opt-level".into(), "s".into());
            release.extend(named(profile));
        }
        let workspace = [
            ("resolver", "3".into()),
            ("members", self.members.clone().into()),
            ("dependencies", part(&root, &["workspace", "dependencies"])?),
        ];
        let profile = named([("release", release)]);
        let all = [("workspace", named(workspace).into()), ("profile", profile.into())];
        Ok(named(all).to_string())
    }
}

fn package(name: &str) -> Value {
    named([("name", name.into()), ("version", "0.1.0".into()), ("edition", "2024".into())]).into()
}

/// All files in a folder, in their order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()));
    let mut paths: Vec<PathBuf> = entries?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => all.extend(files(&path)?),
            false => all.push(path),
        }
    }
    Ok(all)
}

/// A dependency on another package of the workspace.
pub(super) fn beside(name: &str) -> Value {
    named([("path", format!("../{name}").into())]).into()
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
fn compile(sources: &Path, target: &Path, package: &str, root: &Path) -> Result<()> {
    let usr = root.join("usr");
    let libraries = usr.join("lib/i386-linux-gnu");
    let gcc = newest(&usr.join("lib/gcc/i686-linux-gnu"))?;
    let mut flags =
        vec!["-Clink-arg=-m32".to_string(), format!("-Clink-arg=--sysroot={}", root.display())];
    for folder in [&gcc, &libraries, &root.join("lib/i386-linux-gnu")] {
        flags.push(format!("-Clink-arg=-B{}", folder.display()));
        flags.push(format!("-Clink-arg=-L{}", folder.display()));
    }
    flags.push(format!("--remap-path-prefix={}=/book", sources.display()));
    if let Some(home) = home() {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--ignore-rust-version", "--target", TARGET])
        .current_dir(sources);
    cargo.args(["--package", package, "--target-dir"]).arg(target);
    cargo.env("RUSTC", usr.join("bin/rustc")).env("RUSTC_BOOTSTRAP", "1");
    cargo.env("LD_LIBRARY_PATH", usr.join("lib/x86_64-linux-gnu"));
    cargo.env("CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER", "gcc");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    tool::run(&mut cargo).map(drop)
}

/// Where cargo keeps the crates' sources.
fn home() -> Option<PathBuf> {
    let default = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(default)
}

/// gcc's files lie in a folder with its version.
fn newest(folder: &Path) -> Result<PathBuf> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let newest = entries.flatten().map(|entry| entry.path()).max();
    newest.with_context(|| format!("{} is empty", folder.display()))
}
