//! Which programs the steps use, and who misses them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{collections::BTreeSet, env};

use super::paths;

/// A program that a step uses.
pub(super) struct Program {
    pub(super) name: &'static str,
    /// The first step that uses it inside the container, where `/` is the root filesystem.
    step: u8,
    /// What to install where it is missing.
    package: &'static str,
}

const fn program(name: &'static str, step: u8, package: &'static str) -> Program {
    Program { name, step, package }
}

/// What people type at the steps.
pub(super) const NEEDED: [Program; 20] = [
    program("sh", 6, "dash"),
    program("bash", 6, "bash"),
    program("ls", 6, "coreutils"),
    program("cat", 6, "coreutils"),
    program("ps", 6, "procps"),
    program("hostname", 6, "hostname"),
    program("id", 6, "coreutils"),
    program("env", 6, "coreutils"),
    program("grep", 6, "grep"),
    program("mount", 7, "mount"),
    program("umount", 7, "mount"),
    program("touch", 7, "coreutils"),
    program("sleep", 8, "coreutils"),
    program("rm", 9, "coreutils"),
    program("mkdir", 9, "coreutils"),
    program("df", 9, "coreutils"),
    program("ip", 10, "iproute2"),
    program("ping", 10, "iputils-ping"),
    program("seq", 8, "coreutils"),
    program("uname", 6, "coreutils"),
];

/// What one is glad to find inside; nobody misses them.
pub(super) const HANDY: &str = "awk basename chmod chown chroot cp cut date dd dirname dmesg echo \
    false find free getent head kill ln mknod mktemp mountpoint mv nproc nsenter pgrep pkill \
    printf pwd readlink realpath rmdir sed sort ss stat stty sync sysctl tail tee test top tr true \
    tty uniq unshare wc whoami";

/// The folders in which programs lie, in the order in which they are searched. The system's own
/// come before those of PATH, so that a script in `~/bin` does not become the container's `ps`.
pub(super) const FOLDERS: [&str; 6] =
    ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// A program that the root filesystem lacks though a step uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Its name, such as `ping`.
    pub program: &'static str,
    /// The first step that uses it.
    pub step: u8,
    /// The package that has it on Debian and Ubuntu.
    pub package: &'static str,
}

/// Where this machine has the program `name`.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    FOLDERS
        .iter()
        .map(PathBuf::from)
        .chain(env::split_paths(&path).filter(|folder| folder.is_absolute()))
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// The names of all programs in the root filesystem `root`.
pub(super) fn inside(root: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in FOLDERS {
        let Ok(real) = paths::resolve(root, Path::new(folder), |_, _| Ok(())) else { continue };
        let Ok(entries) = fs::read_dir(paths::below(root, &real)) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let file = paths::resolve(root, &real.join(&name), |_, _| Ok(()));
            if file.is_ok_and(|file| is_executable(&paths::below(root, &file))) {
                names.insert(name.to_string_lossy().into_owned());
            }
        }
    }
    names
}

/// What the steps use and `present` lacks.
pub(super) fn missing(present: &BTreeSet<String>) -> Vec<Missing> {
    NEEDED
        .iter()
        .filter(|program| !present.contains(program.name))
        .map(|&Program { name, step, package }| Missing { program: name, step, package })
        .collect()
}
