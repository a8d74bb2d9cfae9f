//! The programs of the machine, with the libraries that they load, from Debian's packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::cache::{self, Cache, key};
use super::packages::Packages;
use super::tool;

/// Where a program or library lies in its package, and in the machine.
const PROGRAMS: [&str; 4] = ["bin", "sbin", "usr/bin", "usr/sbin"];
const LIBRARIES: [&str; 3] = ["lib", "lib/i386-linux-gnu", "usr/lib/i386-linux-gnu"];

/// The loader, whose path every program names.
const LOADER: &str = "ld-linux.so.2";

/// What `book/vm/programs.toml` says.
#[derive(Deserialize, Hash)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    places: BTreeMap<String, String>,
    packages: BTreeMap<String, String>,
    links: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
    #[serde(rename = "stand-ins")]
    stand_ins: BTreeMap<String, String>,
}

impl Plan {
    pub(super) fn read(sources: &Path) -> Result<Self> {
        let file = sources.join("programs.toml");
        let what = || format!("cannot read {}", file.display());
        toml::from_str(&cache::read_text(&file)?).with_context(what)
    }

    /// The packages that are needed, as apt calls them. Those with files alone suit every machine.
    pub(super) fn packages(&self) -> Vec<String> {
        let programs = self.packages.keys().map(|name| format!("{name}:i386"));
        programs.chain(self.files.keys().cloned()).collect()
    }
}

/// Collects all of them in a folder, with the libraries that they and the `others` load, and what a
/// root filesystem has besides.
pub(super) fn all(
    cache: &Cache,
    plan: &Plan,
    packages: &Packages,
    others: &[&Path],
) -> Result<PathBuf> {
    let others: Vec<_> =
        others.iter().map(|file| Ok((*file, cache::read(file)?))).collect::<Result<_>>()?;
    cache.get("programs", key((plan, packages.key, &others)), |folder| {
        let mut collection = Collection::new(plan, packages, folder)?;
        for name in plan.packages.values().flat_map(|names| names.split_whitespace()) {
            collection.program(name)?;
        }
        for (file, _) in &others {
            collection.libraries(file)?;
        }
        collection.finish()?;
        for (link, name) in &plan.links {
            symlink(name, &folder.join("usr/bin").join(link))?;
        }
        for path in plan.files.values().flat_map(|paths| paths.split_whitespace()) {
            let to = folder.join("usr").join(path);
            cache::create(to.parent().unwrap_or(folder))?;
            copy(&packages.root.join(path), &to)?;
        }
        make_rootfs::furnish(folder)
    })
}

/// Collects those of a place, `memory` or `boot`.
pub(super) fn of(cache: &Cache, plan: &Plan, packages: &Packages, place: &str) -> Result<PathBuf> {
    cache.get(place, key((plan, packages.key)), |folder| {
        let names = plan.places.get(place);
        let names = names.with_context(|| format!("book/vm/programs.toml has no place {place}"))?;
        let mut collection = Collection::new(plan, packages, folder)?;
        for name in names.split_whitespace() {
            collection.program(name)?;
        }
        collection.finish()
    })
}

/// Programs and libraries in a folder, in which `usr/bin` and `usr/lib` are.
struct Collection<'a> {
    root: &'a Path,
    plan: &'a Plan,
    folder: &'a Path,
    seen: BTreeSet<String>,
    /// Libraries that others stand in for, and who uses them.
    replaced: BTreeMap<String, Vec<PathBuf>>,
}

impl<'a> Collection<'a> {
    fn new(plan: &'a Plan, packages: &'a Packages, folder: &'a Path) -> Result<Self> {
        for part in ["usr/bin", "usr/lib"] {
            cache::create(&folder.join(part))?;
        }
        let root = &packages.root;
        Ok(Self { root, plan, folder, seen: BTreeSet::new(), replaced: BTreeMap::new() })
    }

    /// Adds a program, and what it loads.
    fn program(&mut self, name: &str) -> Result<()> {
        let program = self.find(&PROGRAMS, name)?;
        copy(&program, &self.folder.join("usr/bin").join(name))?;
        // A script, such as ldd, loads none itself.
        if cache::read(&program)?.starts_with(b"#!") {
            return Ok(());
        }
        self.libraries(&program)
    }

    /// Adds what stands in for libraries, and the links to the folders.
    fn finish(&self) -> Result<()> {
        for (name, users) in &self.replaced {
            stand_in(name, users, &self.folder.join("usr/lib").join(name))?;
        }
        for (link, text) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("sbin", "usr/bin")] {
            symlink(text, &self.folder.join(link))?;
        }
        symlink("bin", &self.folder.join("usr/sbin"))
    }

    /// Adds what a program or library loads.
    fn libraries(&mut self, object: &Path) -> Result<()> {
        let headers = tool::run(Command::new("objdump").arg("-p").arg(object))?;
        let names = headers.lines().filter_map(|line| line.trim().strip_prefix("NEEDED"));
        for name in names.map(str::trim).chain([LOADER]) {
            if self.plan.stand_ins.contains_key(name) {
                self.replaced.entry(name.to_string()).or_default().push(object.to_path_buf());
                continue;
            }
            if !self.seen.insert(name.to_string()) {
                continue;
            }
            let to = self.folder.join("usr/lib").join(name);
            let library = self
                .find(&LIBRARIES, name)
                .with_context(|| format!("{} needs it", object.display()))?;
            copy(&library, &to)?;
            self.libraries(&library)?;
        }
        Ok(())
    }

    fn find(&self, folders: &[&str], name: &str) -> Result<PathBuf> {
        let mut files = folders.iter().map(|folder| self.root.join(folder).join(name));
        // Some are links that lead around in the packages.
        let found = files.find(|file| file.is_file());
        found.with_context(|| format!("no package in book/vm/programs.toml has {name}"))
    }
}

/// Makes a library that has what its `users` take from the library `name`, each under its version,
/// and says at every call that this is not supported.
fn stand_in(name: &str, users: &[PathBuf], to: &Path) -> Result<()> {
    let mut functions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for user in users {
        let versions = versions(name, user)?;
        let symbols = tool::run(Command::new("objdump").arg("-T").arg(user))?;
        for line in symbols.lines().filter(|line| line.contains("*UND*")) {
            let mut words = line.split_whitespace().rev();
            let (function, version) = (words.next(), words.next());
            let version = version.unwrap_or_default().trim_matches(['(', ')']);
            if versions.contains(version) {
                let all = functions.entry(version.to_string()).or_default();
                all.extend(function.map(str::to_string));
            }
        }
    }
    let mut code = "extern int *__errno_location(void);\n".to_string();
    let mut script = String::new();
    for (version, functions) in &functions {
        script += &format!("{version} {{ global: ");
        for function in functions {
            code += &format!("int {function}(void) {{ *__errno_location() = 95; return -1; }}\n");
            script += &format!("{function}; ");
        }
        script += "};\n";
    }
    let (source, map) = (to.with_extension("c"), to.with_extension("map"));
    cache::write(&source, code)?;
    cache::write(&map, script)?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-m32", "-Os", "-shared", "-fPIC", "-nostdlib", "-s", "-w", "-o"])
        .arg(to)
        .arg(&source);
    gcc.arg(format!("-Wl,-soname,{name},--version-script={},--build-id=none", map.display()));
    tool::run(&mut gcc)?;
    for file in [source, map] {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    Ok(())
}

/// Under which versions an object takes symbols from the library `name`.
fn versions(name: &str, object: &Path) -> Result<BTreeSet<String>> {
    let headers = tool::run(Command::new("objdump").arg("-p").arg(object))?;
    let heading = format!("required from {name}:");
    let lines = headers.lines().skip_while(|line| line.trim() != heading).skip(1);
    let lines = lines.map_while(|line| line.strip_prefix("    0x"));
    Ok(lines.filter_map(|line| line.split(' ').next_back()).map(str::to_string).collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("cannot copy {}", from.display()))
}

fn symlink(text: &str, link: &Path) -> Result<()> {
    std::os::unix::fs::symlink(text, link)
        .with_context(|| format!("cannot make {}", link.display()))
}
