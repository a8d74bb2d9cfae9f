//! A root filesystem from this machine's own programs, each under its own path.

use std::collections::HashSet;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::reason;

use super::job::Job;
use super::libraries::Libraries;
use super::{paths, programs, skeleton};

/// glibc loads these on demand, to look up names; newer ones have them built in.
const NAME_SERVICE: [&str; 2] = ["libnss_files.so.2", "libnss_dns.so.2"];

/// Terminals whose descriptions go along, besides the one in use.
const TERMINALS: [&str; 9] = [
    "dumb",
    "linux",
    "screen",
    "screen-256color",
    "tmux",
    "tmux-256color",
    "vt100",
    "xterm",
    "xterm-256color",
];

/// Fills the empty folder `root`. Returns what went wrong with single programs.
pub(super) fn fill(root: &Path, job: &Job) -> Result<Vec<String>> {
    let names = names();
    job.count("programs", names.len());
    let mut copy = Copy::new(root);
    copy.folders()?;
    for name in names {
        copy.named(name)?;
        job.step(1)?;
    }
    copy.terminals()?;
    skeleton::add(root)?;
    Ok(copy.warnings)
}

/// Fills the empty folder `root` for a whole machine: with `more` programs, and with the libraries
/// that `guests` load, programs that will be added from elsewhere.
///
/// # Errors
/// If a file cannot be copied.
pub fn fill_machine(root: &Path, more: &[&str], guests: &[PathBuf]) -> Result<()> {
    let mut copy = Copy::new(root);
    copy.folders()?;
    for name in names().into_iter().chain(more.iter().copied()) {
        copy.named(name)?;
    }
    for guest in guests {
        copy.libraries(guest)?;
    }
    copy.terminals()?;
    skeleton::add(root)
}

fn names() -> Vec<&'static str> {
    let handy = programs::HANDY.split_whitespace();
    programs::NEEDED.iter().map(|program| program.name).chain(handy).collect()
}

/// Copies files of this machine into `root`.
pub(super) struct Copy<'a> {
    root: &'a Path,
    libraries: Libraries,
    placed: HashSet<PathBuf>,
    /// What could not be copied, and why.
    pub(super) warnings: Vec<String>,
}

impl<'a> Copy<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        let libraries = Libraries::new();
        Self { root, libraries, placed: HashSet::new(), warnings: Vec::new() }
    }

    fn folders(&mut self) -> Result<()> {
        let present = programs::FOLDERS.map(Path::new).into_iter().filter(|folder| folder.is_dir());
        present.into_iter().try_for_each(|folder| self.folder(folder))
    }

    /// Copies a program, if this machine has one of that name.
    fn named(&mut self, name: &str) -> Result<()> {
        let Some(file) = programs::find(name) else { return Ok(()) };
        self.program(&file)?;
        self.as_usual(name, &file)
    }

    /// Copies a program and all that it needs in order to start.
    pub(super) fn program(&mut self, file: &Path) -> Result<()> {
        if let Err(error) = File::open(file) {
            self.warnings.push(format!(
                "cannot read {}: {}. It is left out",
                file.display(),
                reason(&error)
            ));
            return Ok(());
        }
        self.file(file)?;
        if self.libraries(file)? {
            return Ok(());
        }
        match interpreter(file) {
            Some(interpreter) if self.libraries.of(&interpreter, &[]).is_some() => {
                self.program(&interpreter)
            }
            _ => Ok(()),
        }
    }

    /// Copies what a program loads, the loader too; false if it is no ELF file.
    fn libraries(&mut self, file: &Path) -> Result<bool> {
        let Some(needs) = self.libraries.of(file, &NAME_SERVICE) else { return Ok(false) };
        for library in &needs.missing {
            self.warnings.push(format!(
                "cannot find {library}, which {} loads. It will not start",
                file.display()
            ));
        }
        if let Some(file) = &needs.loader {
            self.file(file)?;
        }
        for (library, beside_loader) in &needs.libraries {
            self.file(library)?;
            if let Some(link) = beside_loader {
                self.link(link, library)?;
            }
        }
        Ok(true)
    }

    /// Chapters type `/bin/bash`, wherever this machine has it.
    pub(super) fn as_usual(&mut self, name: &str, file: &Path) -> Result<()> {
        let usual = programs::FOLDERS[..4].iter().any(|folder| file.starts_with(folder));
        if usual { Ok(()) } else { self.link(&Path::new("/bin").join(name), file) }
    }

    /// Copies the file at `path`, with every link that leads to it.
    fn file(&mut self, path: &Path) -> Result<()> {
        let real = self.follow(path).with_context(|| format!("cannot copy {}", path.display()))?;
        if !self.placed.insert(real.clone()) {
            return Ok(());
        }
        let to = paths::below(self.root, &real);
        self.parents(&real)
            .and_then(|()| copy_file(&real, &to))
            .with_context(|| format!("cannot copy {} to {}", real.display(), to.display()))
    }

    /// Makes the folder at `path`, or the link that it is on this machine.
    fn folder(&mut self, path: &Path) -> Result<()> {
        self.follow(path)
            .and_then(|real| fs::create_dir_all(paths::below(self.root, &real)))
            .with_context(|| format!("cannot make the folder {}", path.display()))
    }

    /// Makes a link at `link` to the copy of `file`, unless something is there.
    fn link(&mut self, link: &Path, file: &Path) -> Result<()> {
        let folder = link.parent().unwrap_or(Path::new("/"));
        let make = |this: &mut Self| {
            let real = this.follow(folder)?.join(link.file_name().unwrap_or_default());
            this.parents(&real)?;
            let text = paths::link_text(&real, &this.follow(file)?);
            ignore_existing(symlink(text, paths::below(this.root, &real)))
        };
        make(self).with_context(|| format!("cannot link {} to {}", link.display(), file.display()))
    }

    /// The path without links; those on the way are made in the root filesystem, too.
    fn follow(&self, path: &Path) -> io::Result<PathBuf> {
        paths::resolve(Path::new("/"), path, |link, target| {
            self.parents(link)?;
            let text = paths::link_text(link, target);
            ignore_existing(symlink(text, paths::below(self.root, link)))
        })
    }

    fn parents(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), |folder| fs::create_dir_all(paths::below(self.root, folder)))
    }

    /// Descriptions of common terminals, and of this one: without them top does not start.
    fn terminals(&mut self) -> Result<()> {
        let this = env::var("TERM").unwrap_or_default();
        let plain = !this.contains('/') && !this.starts_with('.');
        let names = TERMINALS.into_iter().chain(Some(this.as_str()).filter(|_| plain));
        for name in names {
            let Some(first) = name.get(..1) else { continue };
            let file = ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"]
                .map(|folder| Path::new(folder).join(first).join(name))
                .into_iter()
                .find(|file| file.is_file());
            if let Some(file) = file {
                self.file(&file)?;
            }
        }
        Ok(())
    }
}

fn ignore_existing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Copies the contents, and whether it can be run. Not the set-user-ID bit: the copy belongs to
/// another user, and whoever runs it in a container is root already.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let executable = source.metadata()?.permissions().mode() & 0o111 != 0;
    let mode = if executable { 0o755 } else { 0o644 };
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(mode).open(to)?;
    io::copy(&mut source, &mut copy).map(drop)
}

/// The first word after `#!`.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut line = Vec::new();
    BufReader::new(File::open(script).ok()?).take(256).read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8(line).ok()?;
    line.strip_prefix("#!")?.split_whitespace().next().map(PathBuf::from)
}
