//! The files that the machine does not have in its memory: v86 gives it a folder (9p) that is a list
//! in the machine's state, and fetches a file's content, named by its hash, when it is first read.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::cache::{self, Cache, key};
use super::tool;

/// Types of files, as stat(2) tells them.
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// When all of them were changed last, in seconds since 1970: the same in every build.
const CHANGED: u64 = 1_735_689_600;

/// The version of v86's list.
const VERSION: u32 = 3;

/// Files by their names.
#[derive(Default, Hash)]
pub(super) struct Files(BTreeMap<String, Entry>);

#[derive(Hash)]
enum Entry {
    Folder(u32, Files),
    File(u32, Vec<u8>),
    Link(String),
}

impl Files {
    /// Adds a file, by its path from the root, and the folders it is in.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: Vec<u8>) {
        self.insert(path, Entry::File(mode, content));
    }

    /// Adds all that is in a folder of this machine.
    pub(super) fn tree(&mut self, from: &Path, to: &str) -> Result<()> {
        let look = || format!("cannot look at {}", from.display());
        for entry in fs::read_dir(from).with_context(look)? {
            let entry = entry.with_context(look)?;
            let (path, data) = (entry.path(), entry.metadata().with_context(look)?);
            let name = format!("{to}/{}", entry.file_name().to_string_lossy());
            let mode = data.permissions().mode() & 0o7777;
            if data.is_symlink() {
                let target = fs::read_link(&path).with_context(look)?;
                self.insert(&name, Entry::Link(target.to_string_lossy().into_owned()));
            } else if data.is_dir() {
                self.insert(&name, Entry::Folder(mode, Self::default()));
                self.tree(&path, &name)?;
            } else {
                self.file(&name, mode, cache::read(&path)?);
            }
        }
        Ok(())
    }

    /// Adds an empty folder.
    pub(super) fn folder(&mut self, path: &str) {
        self.insert(path, Entry::Folder(0o755, Self::default()));
    }

    fn insert(&mut self, path: &str, entry: Entry) {
        let path = path.trim_start_matches('/');
        match path.split_once('/') {
            None => drop(self.0.insert(path.to_string(), entry)),
            Some((first, rest)) => {
                let new = || Entry::Folder(0o755, Self::default());
                let folder = self.0.entry(first.to_string()).or_insert_with(new);
                if let Entry::Folder(_, files) = folder {
                    files.insert(rest, entry);
                }
            }
        }
    }

    fn contents<'a>(&'a self, into: &mut BTreeMap<&'a [u8], String>) {
        for entry in self.0.values() {
            match entry {
                Entry::Folder(_, files) => files.contents(into),
                Entry::File(_, content) => drop(into.insert(content, String::new())),
                Entry::Link(_) => {}
            }
        }
    }

    /// The list: an entry has a name, a size, a time, a mode, an owner, a group, and what it is.
    fn list(&self, names: &BTreeMap<&[u8], String>) -> Value {
        let entry = |(name, entry): (&String, &Entry)| match entry {
            Entry::Folder(mode, files) => {
                json!([name, 0, CHANGED, FOLDER | mode, 0, 0, files.list(names)])
            }
            Entry::File(mode, content) => {
                let file = &names[content.as_slice()];
                json!([name, content.len(), CHANGED, FILE | mode, 0, 0, file])
            }
            Entry::Link(target) => {
                json!([name, target.len(), CHANGED, LINK | 0o777, 0, 0, target])
            }
        };
        self.0.iter().map(entry).collect()
    }
}

/// The list, and the folder of the contents, packed.
pub(super) struct Packed {
    pub(super) list: PathBuf,
    pub(super) contents: PathBuf,
}

/// Packs them.
pub(super) fn pack(cache: &Cache, files: &Files) -> Result<Packed> {
    let folder = cache.get("files", key(files), |folder| {
        let contents = folder.join("contents");
        cache::create(&contents)?;
        let mut names = BTreeMap::new();
        files.contents(&mut names);
        for (number, content) in names.keys().enumerate() {
            cache::write(&contents.join(number.to_string()), content)?;
        }
        let numbers: Vec<String> = (0..names.len()).map(|number| number.to_string()).collect();
        let sums = tool::run(Command::new("sha256sum").args(&numbers).current_dir(&contents))?;
        let mut zstd = Command::new("zstd");
        tool::run(zstd.args(["-q", "-19", "--rm"]).args(&numbers).current_dir(&contents))?;
        for ((name, number), line) in names.values_mut().zip(&numbers).zip(sums.lines()) {
            *name = format!("{}.zst", line.split(' ').next().unwrap_or_default());
            let packed = contents.join(format!("{number}.zst"));
            fs::rename(&packed, contents.join(&*name)).context("cannot name a file by its hash")?;
        }
        let size: usize = names.keys().map(|content| content.len()).sum();
        let list = json!({ "version": VERSION, "size": size, "fsroot": files.list(&names) });
        cache::write(&folder.join("list.json"), list.to_string())
    })?;
    Ok(Packed { list: folder.join("list.json"), contents: folder.join("contents") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_folders_files_by_their_hash_and_links() {
        let mut files = Files::default();
        files.file("usr/bin/a", 0o755, b"text".to_vec());
        files.folder("/empty");
        files.insert("bin", Entry::Link("usr/bin".to_string()));
        let mut names = BTreeMap::new();
        files.contents(&mut names);
        assert_eq!(names.keys().collect::<Vec<_>>(), [b"text"]);
        names.values_mut().for_each(|name| *name = "hash.zst".to_string());
        let file = json!(["a", 4, CHANGED, 0o100_755, 0, 0, "hash.zst"]);
        let bin = json!(["bin", 0, CHANGED, 0o040_755, 0, 0, [file]]);
        let expected = json!([
            ["bin", 7, CHANGED, 0o120_777, 0, 0, "usr/bin"],
            ["empty", 0, CHANGED, 0o040_755, 0, 0, []],
            ["usr", 0, CHANGED, 0o040_755, 0, 0, [bin]],
        ]);
        assert_eq!(files.list(&names), expected);
    }
}
