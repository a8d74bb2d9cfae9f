//! `cargo workshop rootfs`, run for real: what it makes is entered with chroot(8), what it must
//! refuse is built here byte by byte.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const NOBODY: u32 = 65534;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("workshop-rootfs-{}-{count}", std::process::id());
        let path = std::env::temp_dir().canonicalize().unwrap().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    assert!(root || std::env::var("CI").as_deref() != Ok("true"), "{test} needs root");
    if !root {
        eprintln!("SKIPPED: {test} needs root. Run: sudo -E cargo test -p workshop");
    }
    root
}

fn workshop(folder: &Folder, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workshop"));
    command.arg("rootfs").args(["--into", "rootfs"]).args(args).current_dir(&folder.0);
    command.env_remove("SUDO_UID").env_remove("SUDO_GID").stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

fn makes(folder: &Folder, args: &[&str]) -> String {
    let output = workshop(folder, args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output));
    text(&output)
}

fn fails(folder: &Folder, args: &[&str]) -> String {
    let output = workshop(folder, args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", text(&output));
    let error = text(&output);
    assert!(error.starts_with("error: ") && error.lines().count() == 1, "{error}");
    error
}

fn inside(rootfs: &Path, script: &str) -> (bool, String) {
    let mut command = Command::new("chroot");
    command.arg(rootfs).args(["/bin/sh", "-c", script]);
    let output = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
    (output.status.success(), text(&output))
}

fn walk(folder: &Path, see: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        see(&path);
        if path.symlink_metadata().unwrap().is_dir() {
            walk(&path, see);
        }
    }
}

#[test]
fn the_hosts_programs_run_inside() {
    if !is_root("the_hosts_programs_run_inside") {
        return;
    }
    let folder = Folder::new();
    let said = makes(&folder, &[]);
    assert!(said.starts_with("Made rootfs: "), "{said}");
    let rootfs = folder.join("rootfs");
    for (script, expected) in [
        ("/bin/bash -c 'echo $BASH_VERSION'", "."),
        ("ls -l /etc/passwd", "root root"),
        ("id", "uid=0(root) gid=0(root)"),
        ("ip addr", "lo"),
        ("ping -V", "ping"),
        ("hostname", ""),
        ("grep root /etc/passwd", "root:x:0:0"),
        (
            "echo hi > /tmp/a; cat /tmp/a; rm /tmp/a; mkdir /tmp/d; rmdir /tmp/d || rm -r /tmp/d",
            "hi",
        ),
        ("env", "PATH="),
        ("touch /tmp/x; awk 'BEGIN { print 6 * 7 }'", "42"),
        ("sleep 0 & wait; echo done", "done"),
        ("getent hosts container", "127.0.1.1"),
        ("df --version || df -h", ""),
        ("mount --version && umount --version", ""),
        ("for p in unshare nsenter seq uname stat; do $p --version || exit; done", ""),
    ] {
        let (success, output) = inside(&rootfs, script);
        assert!(success && output.contains(expected), "{script}: {output}");
    }
    let (success, output) = inside(&rootfs, "ps");
    assert!(!success && output.contains("/proc"), "{output}");
    assert!(rootfs.join("dev/null").symlink_metadata().unwrap().is_file());
    assert!(!rootfs.join("dev/tty").exists());
    assert_eq!(rootfs.join("tmp").metadata().unwrap().mode() & 0o7777, 0o1777);
}

#[test]
fn every_link_stays_inside_and_nothing_is_set_user_id() {
    let folder = Folder::new();
    makes(&folder, &[]);
    let rootfs = folder.join("rootfs");
    walk(&rootfs, &mut |path| {
        let data = path.symlink_metadata().unwrap();
        if data.is_symlink() {
            assert!(fs::read_link(path).unwrap().is_relative(), "{}", path.display());
            assert!(path.canonicalize().unwrap().starts_with(&rootfs), "{}", path.display());
        } else {
            assert_eq!(data.mode() & 0o6000, 0, "{}", path.display());
        }
    });
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = Folder::new();
    let output = workshop(&folder, &["--from", "nix"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("use host or busybox"), "{}", text(&output));
    assert!(folder.names().is_empty());
}

#[test]
fn a_second_run_does_nothing_unless_forced() {
    let folder = Folder::new();
    makes(&folder, &[]);
    let before = folder.join("rootfs").metadata().unwrap().ino();
    assert!(makes(&folder, &[]).contains("rootfs is already there. Add --force"));
    assert_eq!(folder.join("rootfs").metadata().unwrap().ino(), before);
    fs::write(folder.join("rootfs/mine"), "").unwrap();
    makes(&folder, &["--force"]);
    assert!(!folder.join("rootfs/mine").exists());
    assert_eq!(folder.names(), ["rootfs"]);
}

#[test]
fn busybox_serves_all_its_names() {
    let folder = Folder::new();
    let output = workshop(&folder, &["--from", "busybox"]).output().unwrap();
    if text(&output).contains("cannot find busybox") {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI needs busybox-static");
        eprintln!("SKIPPED: busybox_serves_all_its_names needs busybox");
        return;
    }
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("from step 06 on bash"), "{}", text(&output));
    let rootfs = folder.join("rootfs");
    assert_eq!(fs::read_link(rootfs.join("bin/ls")).unwrap(), Path::new("busybox"));
    if is_root("running busybox inside") {
        let (success, output) = inside(&rootfs, "ls -l / && id && /usr/bin/env && sleep 0 & wait");
        assert!(success && output.contains("uid=0(root)"), "{output}");
    }
}

#[test]
fn a_normal_user_can_make_one() {
    if !is_root("a_normal_user_can_make_one") {
        return;
    }
    let folder = Folder::new();
    chown(&folder.0, Some(NOBODY), Some(NOBODY)).unwrap();
    // Where nobody may not enter the target folder, a copy can still be run.
    let program = folder.join("workshop");
    fs::copy(env!("CARGO_BIN_EXE_workshop"), &program).unwrap();
    let run = |args: &[&str]| {
        let user = NOBODY.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(&program);
        let command = command.args(["rootfs", "--into", "rootfs"]).args(args);
        command.current_dir(&folder.0).env_remove("HOME").output().unwrap()
    };
    let output = run(&[]);
    assert!(output.status.success(), "{}", text(&output));
    let rootfs = folder.join("rootfs");
    assert!(inside(&rootfs, "ls -l / && id").0);
    walk(&rootfs, &mut |path| assert_eq!(path.symlink_metadata().unwrap().uid(), NOBODY));

    // What a container left behind as root, this user cannot remove.
    fs::create_dir(rootfs.join("var/left")).unwrap();
    fs::write(rootfs.join("var/left/file"), "").unwrap();
    let output = run(&["--force"]);
    assert!(output.status.success(), "{}", text(&output));
    let old = folder.names().into_iter().find(|name| name.ends_with(".old")).unwrap();
    let cure = format!("sudo rm -rf {}", folder.join(&old).display());
    assert!(text(&output).contains(&cure), "{}", text(&output));
    assert!(!rootfs.join("var/left").exists());
    assert!(folder.join(&old).join("var/left/file").exists());
    assert!(!folder.join(&old).join("usr").exists());
}

#[test]
fn with_sudo_the_files_belong_to_the_user() {
    if !is_root("with_sudo_the_files_belong_to_the_user") {
        return;
    }
    let folder = Folder::new();
    let mut command = workshop(&folder, &[]);
    let output = command.env("SUDO_UID", "4711").env("SUDO_GID", "4712").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let owner = |path: &Path| {
        let data = path.symlink_metadata().unwrap();
        assert_eq!((data.uid(), data.gid()), (4711, 4712), "{}", path.display());
    };
    owner(&folder.join("rootfs"));
    walk(&folder.join("rootfs"), &mut |path| owner(path));
    assert_eq!(Path::new("/bin/sh").metadata().unwrap().uid(), 0);
}

#[test]
fn two_runs_at_once_both_end_well() {
    let folder = Folder::new();
    let runs: Vec<_> =
        (0..4).map(|_| workshop(&folder, &["--force"]).stdout(Stdio::null()).spawn()).collect();
    for run in runs {
        assert!(run.unwrap().wait().unwrap().success());
    }
    assert_eq!(folder.names(), ["rootfs"]);
    assert!(folder.join("rootfs/bin/sh").exists() && folder.join("rootfs/etc/passwd").exists());
}

#[test]
fn what_is_mounted_inside_stops_it() {
    if !is_root("what_is_mounted_inside_stops_it") {
        return;
    }
    let folder = Folder::new();
    makes(&folder, &[]);
    // In a mount namespace of its own: the machine sees nothing of it.
    let script = format!(
        "mount -t tmpfs none rootfs/proc && {} rootfs --force --into rootfs",
        env!("CARGO_BIN_EXE_workshop")
    );
    let mut command = Command::new("unshare");
    let output = command.args(["-m", "sh", "-c", &script]).current_dir(&folder.0).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("rootfs/proc. Leave your containers"), "{}", text(&output));
    assert!(text(&output).contains("cargo workshop clean"), "{}", text(&output));
    assert_eq!(folder.names(), ["rootfs"]);
}

#[test]
fn folders_that_are_no_root_filesystem_are_never_replaced() {
    let folder = Folder::new();
    fs::create_dir(folder.join("rootfs")).unwrap();
    fs::write(folder.join("rootfs/thesis"), "").unwrap();
    assert!(fails(&folder, &["--force"]).contains("no root filesystem"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_workshop"));
    let command = command.args(["rootfs", "--force", "--into"]).arg(&folder.0);
    let output = command.current_dir(folder.join("rootfs")).output().unwrap();
    assert!(text(&output).contains("it is in use"), "{}", text(&output));
    assert!(folder.join("rootfs/thesis").exists());
}
