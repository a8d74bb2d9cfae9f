//! Paths as a process sees them whose root folder is another one.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

/// As the kernel: more links than this on one path are a loop.
const MAX_LINKS: usize = 40;

/// Where `path`, taken from the root folder of something at `root`, lies on this machine.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Follows `path` the way a process would whose root folder is `root`: absolute links start again
/// there and `..` never climbs above it. Returns the path without links, and calls `on_link` with
/// each link on the way and what it says.
pub(super) fn resolve(
    root: &Path,
    path: &Path,
    mut on_link: impl FnMut(&Path, &Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let mut real = PathBuf::from("/");
    let mut rest: VecDeque<OsString> = path.iter().map(OsString::from).collect();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        match name.to_str() {
            Some("/") => real = PathBuf::from("/"),
            Some("..") => drop(real.pop()),
            Some(".") => {}
            _ => {
                let next = real.join(&name);
                let here = below(root, &next);
                if !fs::symlink_metadata(&here)?.is_symlink() {
                    real = next;
                    continue;
                }
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP.into());
                }
                let target = fs::read_link(&here)?;
                on_link(&next, &target)?;
                for name in target.iter().rev() {
                    rest.push_front(name.into());
                }
            }
        }
    }
    Ok(real)
}

/// Whether a process with the root folder `root` would find a file at `path`.
pub(super) fn exists(root: &Path, path: impl AsRef<Path>) -> bool {
    resolve(root, path.as_ref(), |_, _| Ok(())).is_ok()
}

/// What a link at `link` must say to lead to `target` and never out of the folder it is in, also
/// when seen from outside: relative, with no more `..` than there are folders above it.
pub(super) fn link_text(link: &Path, target: &Path) -> PathBuf {
    let folder = link.parent().unwrap_or(Path::new("/"));
    let depth = folder.iter().count() - 1;
    let climbs = target.iter().filter(|name| *name == "..").count();
    if target.is_relative() && climbs <= depth {
        return target.to_path_buf();
    }
    let mut to = PathBuf::new();
    for component in folder.join(target).components() {
        match component {
            Component::Normal(name) => to.push(name),
            Component::ParentDir => drop(to.pop()),
            _ => {}
        }
    }
    let from = folder.strip_prefix("/").unwrap_or(folder);
    let shared = from.iter().zip(to.iter()).take_while(|(a, b)| a == b).count();
    let mut text: PathBuf = from.iter().skip(shared).map(|_| "..").collect();
    text.extend(to.iter().skip(shared));
    if text.as_os_str().is_empty() { PathBuf::from(".") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_relative_and_stay_inside() {
        for (link, target, text) in [
            ("/bin", "usr/bin", "usr/bin"),
            ("/bin", "/usr/bin", "usr/bin"),
            ("/usr/bin/awk", "/etc/alternatives/awk", "../../etc/alternatives/awk"),
            ("/usr/bin/sh", "dash", "dash"),
            ("/usr/bin/sh", "/usr/bin/dash", "dash"),
            ("/lib64/ld.so", "../lib/ld.so", "../lib/ld.so"),
            ("/lib64/ld.so", "../../../../lib/ld.so", "../lib/ld.so"),
            ("/a/here", "/a", "."),
            ("/a/top", "/", ".."),
        ] {
            assert_eq!(link_text(Path::new(link), Path::new(target)), Path::new(text), "{link}");
        }
    }
}
