//! A normal user with a workshop of their own, for tests that go through sudo.
//!
//! It is the real sudo. In a mount namespace that only the user's programs see, other rules lie over
//! /etc/sudoers, the clone's tmp/ over /tmp (sudo is setuid, so TMPDIR does not reach what it starts),
//! and the clone and the compiler where any user may look.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use workshop::{project, steps, testing};

use super::learner::Project;

/// The user's number: nobody's.
pub const USER: u32 = 65534;

const MAY: &str = "nobody ALL=(root) NOPASSWD: ALL\n";
const MAY_WITH_PASSWORD: &str = "nobody ALL=(root) ALL\n";
const MAY_NOT: &str = "root ALL=(ALL) ALL\n";

const ENTER: &str = r#"
set -e
mount -t tmpfs workshop /mnt
mkdir /mnt/clone /mnt/rust /mnt/cargo /mnt/sudo
mount --bind "$1" /mnt/clone
mount --bind "$2" /mnt/rust
mount --bind "$3" /mnt/cargo
mount --bind "$4" /mnt/sudo
mount --bind /mnt/sudo/sudoers /etc/sudoers
mount --bind /mnt/clone/tmp /tmp
shift 4
cd /mnt/clone
exec "$@"
"#;

/// True if there is sudo, and root to lend to it; otherwise as [`testing::root`].
pub fn sudo(test: &str) -> bool {
    if !testing::root(test) {
        return false;
    }
    let there = Command::new("sudo").arg("--version").stdout(Stdio::null()).status();
    there.is_ok() || testing::skip(test, "it needs sudo")
}

/// Nobody, with a clone of the workshop that is theirs.
pub struct User {
    pub project: Project,
    /// What sudo reads and writes
    sudo: PathBuf,
    /// Options for setpriv(1): what even root that sudo gives is to lack
    pub setpriv: Vec<&'static str>,
}

impl User {
    /// Sets the clone up, with the rules that let the user become root.
    pub fn new(name: &str) -> Self {
        let project = Project::new(name);
        write_members(&project);
        let _ = fs::remove_dir_all(project.folder.join("tmp"));
        for folder in ["tmp", "target/debug"] {
            fs::create_dir_all(project.folder.join(folder)).unwrap();
        }
        let program = project.folder.join("target/debug/workshop");
        let _ = fs::remove_file(&program);
        // Not with fs::copy: a test beside this one could start a program while the file is open.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_workshop")).arg(&program).status();
        assert!(copied.unwrap().success());
        let sudo = project.folder.with_extension("sudo");
        fs::create_dir_all(&sudo).unwrap();
        let user = Self { project, sudo, setpriv: Vec::new() };
        user.may("");
        user.owns_all();
        user
    }

    /// Makes all that a test has written the user's.
    pub fn owns_all(&self) {
        let owner = format!("{USER}:{USER}");
        let chown = Command::new("chown").args(["-R", &owner]).arg(&self.project.folder).status();
        assert!(chown.unwrap().success());
    }

    /// The user may do everything. `defaults` tells whether a command gets a terminal of its own.
    pub fn may(&self, defaults: &str) {
        self.rules(defaults, MAY);
    }

    /// The same for a password, which the user does not have.
    pub fn may_with_password(&self, defaults: &str) {
        self.rules(defaults, MAY_WITH_PASSWORD);
    }

    /// From now on sudo refuses.
    pub fn may_not(&self) {
        self.rules("", MAY_NOT);
    }

    /// What sudo goes by from now on. What it notes, it notes beside these rules.
    fn rules(&self, defaults: &str, rule: &str) {
        let text = format!(
            "{defaults}Defaults env_reset, loglinelen=0, logfile=/mnt/sudo/log, !syslog\n\
             Defaults lecture=never, timestampdir=/mnt/sudo/seen\n\
             Defaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\
             {rule}"
        );
        let path = self.sudo.join("sudoers");
        let _ = fs::remove_file(&path);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o440)).unwrap();
        let _ = fs::remove_file(self.sudo.join("log"));
    }

    /// The commands that sudo has run, or has refused to, since the rules were written.
    pub fn asked(&self) -> Vec<String> {
        let log = fs::read_to_string(self.sudo.join("log")).unwrap_or_default();
        let commands = log.lines().filter_map(|line| line.split_once("COMMAND="));
        commands.map(|(_, command)| command.to_string()).collect()
    }

    /// The line that runs a program as the user, in the clone's folder.
    pub fn line(&self, words: &[&str]) -> Vec<OsString> {
        let rustc = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
        let rust = String::from_utf8(rustc.stdout).unwrap();
        let home = || Path::new(&std::env::var_os("HOME").unwrap()).join(".cargo");
        let cargo = std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from);
        let words_of = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let mut line = words_of("unshare --mount --propagation private sh -c");
        line.extend([ENTER.into(), "sh".into(), self.project.folder.clone().into()]);
        line.extend([rust.trim().into(), cargo.into(), self.sudo.clone().into()]);
        line.extend(words_of("setpriv --reuid=65534 --regid=65534 --clear-groups"));
        line.extend(self.setpriv.iter().map(OsString::from));
        line.extend(words_of(
            "-- env -i HOME=/mnt/clone CARGO_HOME=/mnt/cargo CARGO_NET_OFFLINE=true NO_COLOR=1 \
             PATH=/mnt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ));
        line.extend(words.iter().map(OsString::from));
        line
    }

    /// Runs a program with nothing to read and nobody to look.
    pub fn runs(&self, words: &[&str]) -> Output {
        let line = self.line(words);
        Command::new(&line[0]).args(&line[1..]).stdin(Stdio::null()).output().unwrap()
    }

    /// `cargo workshop`, the same way.
    pub fn workshop(&self, words: &[&str]) -> Output {
        self.runs(&[&["target/debug/workshop"], words].concat())
    }

    /// What in the clone does not belong to the user.
    pub fn of_others(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.project.folder.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let data = entry.metadata().unwrap();
                if data.uid() != USER {
                    found.push(entry.path());
                }
                if data.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        found
    }
}

/// The manifests of the steps, without what only their tests need.
fn write_members(project: &Project) {
    let root = project::root().unwrap();
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let members: Vec<_> = steps::all().unwrap().iter().map(|it| it.folder.as_str()).collect();
    for member in &members {
        let name = format!("{member}/Cargo.toml");
        let manifest = read(&name);
        let sections = manifest.split("\n\n").filter(|it| !it.starts_with("[dev-dependencies]"));
        project.write(&name, &sections.collect::<Vec<_>>().join("\n\n"));
    }
    let manifest = read("Cargo.toml");
    let (common, _) = manifest.split_once("[profile.dev.package").unwrap();
    let lines = common.lines().map(|line| match line.starts_with("members = ") {
        true => format!("members = {members:?}\n"),
        false => format!("{line}\n"),
    });
    project.write("Cargo.toml", &lines.collect::<String>());
}
