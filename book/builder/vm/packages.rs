//! Debian's packages, fetched for two architectures without installing them and without root.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::cache::{self, Cache, key};
use super::tool;

/// What the machine is made with: its kernel's source, its BIOS, a compiler for its programs, and
/// what these are linked with.
const TOOLS: [&str; 7] = [
    "libc6-dev:i386",
    "libgcc-12-dev:i386",
    "libstd-rust-web-dev",
    "libstd-rust-web-dev:i386",
    "linux-source",
    "rustc-web",
    "seabios",
];

/// What to do if that fails, though apt tried it several times.
const AGAIN: &str = "cannot fetch Debian's packages. Is a mirror within reach? Then run it again: \
                     what has been built stays";

/// Fetched and unpacked packages.
pub(super) struct Packages {
    /// `NAME_VERSION_ARCHITECTURE.deb`, in their order
    pub(super) files: Vec<PathBuf>,
    /// All of them, unpacked into one folder
    pub(super) root: PathBuf,
    /// Changes with any of them
    pub(super) key: u64,
}

/// Fetches the tools and the machine's own packages, the first time or to `update` them.
pub(super) fn fetch(cache: &Cache, guest: Vec<String>, update: bool) -> Result<Packages> {
    let wanted = [guest, TOOLS.map(str::to_string).to_vec()].concat();
    if update {
        cache.forget("packages")?;
    }
    let folder = cache.get("packages", key(&wanted), |folder| {
        let apt = Apt::new(cache.folder("apt")?)?;
        // The names of some have a version.
        let kernel = apt.depends("linux-source", "linux-source-")?;
        let library = apt.depends("libstd-rust-web-dev", "libstd-rust-web-")?;
        let llvm = apt.depends(&library, "libllvm")?;
        let mut get = apt.command("apt-get");
        get.args(["-q", "download"]).args(&wanted).args([kernel, library, llvm]);
        tool::run(get.current_dir(folder)).map(drop).context(AGAIN)
    })?;
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    let key = key(files.iter().map(|file| file.file_name()).collect::<Vec<_>>());
    let root = cache.get("unpacked", key, |folder| {
        for file in &files {
            tool::run(Command::new("dpkg-deb").arg("-x").arg(file).arg(folder))?;
        }
        Ok(())
    })?;
    Ok(Packages { files, root, key })
}

/// apt with lists of its own, of two architectures: the machine's are left alone.
struct Apt {
    settings: PathBuf,
}

impl Apt {
    fn new(folder: PathBuf) -> Result<Self> {
        for part in ["lists/partial", "archives/partial"] {
            cache::create(&folder.join(part))?;
        }
        let settings = folder.join("apt.conf");
        let place = folder.display();
        cache::write(
            &settings,
            format!(
                "Dir::State::Lists \"{place}/lists\";\nDir::State::status \"/dev/null\";\n\
                 Dir::Cache \"{place}\";\nAPT::Architectures {{ \"amd64\"; \"i386\"; }};\n\
                 APT::Sandbox::User \"root\";\nAcquire::Retries \"5\";\n"
            ),
        )?;
        let apt = Self { settings };
        // A mirror that is behind with one list still has the packages of the others.
        if let Err(error) = tool::run(apt.command("apt-get").args(["-q", "update"])) {
            super::report(&format!("Some of Debian's lists are left out: {error:#}"));
        }
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.settings).env("LC_ALL", "C");
        command
    }

    /// The package whose name begins with `prefix` that a package depends on.
    fn depends(&self, package: &str, prefix: &str) -> Result<String> {
        let text = tool::run(self.command("apt-cache").args(["depends", package]))?;
        let mut names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        let name = names.find(|name| name.starts_with(prefix));
        let cure = "Debian 12 has it; the page's Linux is made from its packages";
        let name =
            name.with_context(|| format!("apt knows no {package} that needs {prefix}*. {cure}"));
        name.map(str::to_string)
    }
}
