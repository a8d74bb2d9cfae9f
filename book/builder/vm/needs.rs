//! The programs of this machine that build the assets.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// The programs, and Debian's packages that have them.
const NEEDS: [(&str, &str); 13] = [
    ("apt-get", "apt"),
    ("bc", "bc"),
    ("bison", "bison"),
    ("cargo", "cargo"),
    ("dpkg-deb", "dpkg"),
    ("flex", "flex"),
    ("gcc", "gcc"),
    ("make", "make"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("objdump", "binutils"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

/// Fails with the packages to install, if any is missing.
pub(super) fn check() -> Result<()> {
    let missing: Vec<_> = NEEDS.iter().filter(|(program, _)| !is_there(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    if programs.contains(&"apt-get") {
        bail!(
            "cannot build the Linux in the page here: its parts are packages of Debian, and this \
             machine has no apt-get. Build it on Debian, or in a container of it"
        );
    }
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    bail!(
        "cannot build the Linux in the page without {}. Try: sudo apt-get install {}",
        programs.join(", "),
        packages.join(" ")
    )
}

/// Whether the shell finds a program.
fn is_there(program: &str) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", "command -v \"$0\"", program]).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().is_ok_and(|status| status.success())
}
