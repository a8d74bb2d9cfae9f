//! What every root filesystem has besides programs: a few folders and files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::paths;

const FOLDERS: [&str; 11] =
    ["dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "sys", "usr", "var"];

const PROMPT: &str = "PS1='\\u@\\h:\\w\\$ '\n";

const FILES: [(&str, &str); 9] = [
    ("etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    ("etc/hostname", "container\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 container\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("etc/resolv.conf", ""),
    // Debian's bash reads the first, everyone's the second if HOME is /root.
    ("etc/bash.bashrc", PROMPT),
    ("root/.bashrc", PROMPT),
    (
        "etc/profile",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport PATH\n",
    ),
    // A regular file in the place of the device, which a normal user cannot make: without it a
    // shell starts no job in the background. An empty dev/tty, though, would turn job control off.
    ("dev/null", ""),
];

/// The folders and files of a root filesystem made from this machine.
pub fn add(root: &Path) -> Result<()> {
    for folder in FOLDERS {
        make_folder(&root.join(folder))?;
    }
    let shell = if paths::exists(root, "/bin/bash") { "bash" } else { "sh" };
    let passwd = format!(
        "root:x:0:0:root:/root:/bin/{shell}\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
    );
    write(&root.join("etc/passwd"), &passwd)?;
    for (file, text) in FILES {
        write(&root.join(file), text)?;
    }
    make_tmp(root)
}

#[cfg(feature = "archive")]
/// What an unpacked image may lack: folders to mount on, and dev/null.
pub(super) fn complete(root: &Path) -> Result<()> {
    for folder in ["dev", "proc", "sys", "tmp"] {
        // A link there is left alone, wherever it leads: on this machine it may lead outside.
        if root.join(folder).symlink_metadata().is_ok() {
            continue;
        }
        match folder {
            "tmp" => make_tmp(root)?,
            _ => make_folder(&root.join(folder))?,
        }
    }
    if root.join("dev").symlink_metadata().is_ok_and(|data| data.is_dir())
        && root.join("dev/null").symlink_metadata().is_err()
    {
        write(&root.join("dev/null"), "")?;
    }
    Ok(())
}

/// Everyone may write there, and remove only what is theirs.
fn make_tmp(root: &Path) -> Result<()> {
    let tmp = root.join("tmp");
    make_folder(&tmp)?;
    fs::set_permissions(&tmp, Permissions::from_mode(0o1777))
        .with_context(|| format!("cannot make {} writable for everyone", tmp.display()))
}

fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
