//! `cargo workshop rootfs`, run for real: what it makes is entered with chroot(8), what it must
//! refuse is built here byte by byte.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use workshop::testing::root;

const NOBODY: u32 = 65534;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("workshop-rootfs-{count}-{}", std::process::id());
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
    if !root("the_hosts_programs_run_inside") {
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
        ("! command -v ping || ping -V", "ping"),
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
    for (words, cure) in [
        (&["nix"][..], "use host, busybox or tar FILE"),
        (&["tar"], "--from tar FILE"),
        (&["tar", "a", "b"], ""),
    ] {
        let output = workshop(&folder, &["--from"]).args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(cure), "{}", text(&output));
    }
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
    let output = workshop(&folder, &["--force", "--from", "busybox"]).output().unwrap();
    if text(&output).contains("cannot find busybox") {
        workshop::testing::skip("busybox_serves_all_its_names", "it needs busybox");
        return;
    }
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("from step 06 on bash"), "{}", text(&output));
    let rootfs = folder.join("rootfs");
    assert_eq!(fs::read_link(rootfs.join("bin/ls")).unwrap(), Path::new("busybox"));
    if root("running busybox inside") {
        let (success, output) = inside(&rootfs, "ls -l / && id && /usr/bin/env && sleep 0 & wait");
        assert!(success && output.contains("uid=0(root)"), "{output}");
    }
}

#[test]
fn a_normal_user_can_make_one() {
    if !root("a_normal_user_can_make_one") {
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
    if !root("with_sudo_the_files_belong_to_the_user") {
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
fn a_killed_run_leaves_the_old_one_and_the_next_tidies_up() {
    let folder = Folder::new();
    makes(&folder, &[]);
    fs::write(folder.join("rootfs/mine"), "").unwrap();
    let mut child = half_way(&folder);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(folder.join("rootfs/mine").exists());
    assert_eq!(folder.names().len(), 2, "{:?}", folder.names());

    makes(&folder, &["--force"]);
    assert_eq!(folder.names(), ["rootfs"]);
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    for signal in [nix::sys::signal::SIGINT, nix::sys::signal::SIGTERM] {
        let folder = Folder::new();
        let mut child = half_way(&folder);
        let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(signal as i32));
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
}

/// A run that has unpacked a file and waits for the rest of its archive.
fn half_way(folder: &Folder) -> std::process::Child {
    let mut command = workshop(folder, &["--force", "--from", "tar", "-"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut archive = Builder::new(Vec::new());
    add(&mut archive, EntryType::Regular, "first", "", b"hello");
    let input = child.stdin.as_mut().unwrap();
    input.write_all(archive.get_ref()).unwrap();
    let half = folder.join(&format!("rootfs.{}.new/first", child.id()));
    let start = Instant::now();
    while !half.exists() {
        assert!(start.elapsed() < Duration::from_secs(10), "it never began");
        sleep(Duration::from_millis(5));
    }
    child
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
    if !root("what_is_mounted_inside_stops_it") {
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

/// Adds an entry whose name and link are written as they are, whatever they say.
fn add(archive: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, link: &str, data: &[u8]) {
    let mut header = Header::new_gnu();
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name.as_bytes());
    old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o4755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header.set_size(data.len() as u64);
    header.set_device_major(1).unwrap();
    header.set_device_minor(3).unwrap();
    header.set_cksum();
    archive.append(&header, data).unwrap();
}

type Entries<'a> = &'a [(EntryType, &'a str, &'a str, &'a str)];

fn archive(entries: Entries) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (kind, name, link, data) in entries {
        add(&mut archive, *kind, name, link, data.as_bytes());
    }
    archive.into_inner().unwrap()
}

/// A folder with an archive in it, beside a file that nobody may touch.
fn with_archive(bytes: &[u8]) -> Folder {
    let folder = Folder::new();
    fs::write(folder.join("image.tar"), bytes).unwrap();
    fs::write(folder.join("outside"), "untouched").unwrap();
    folder
}

const TAR: [&str; 3] = ["--from", "tar", "image.tar"];
use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};

const IMAGE: Entries = &[
    (Directory, "bin/", "", ""),
    (Regular, "bin/busybox", "", "old"),
    (Symlink, "bin/sh", "/bin/busybox", ""),
    (Link, "bin/ls", "bin/busybox", ""),
    (Symlink, "lib", "../../../../etc", ""),
    (Directory, "dev/", "", ""),
    (Char, "dev/null", "", ""),
    (Block, "dev/sda", "", ""),
    (Fifo, "run/pipe", "", ""),
    (Regular, "./etc/motd", "", "first"),
    (Regular, "etc/motd", "", "second"),
];

#[test]
fn an_image_is_unpacked_plain_and_gzipped_from_a_file_and_a_pipe() {
    let plain = archive(IMAGE);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&plain).unwrap();
    for bytes in [plain, gzip.finish().unwrap()] {
        for source in ["image.tar", "-"] {
            let folder = with_archive(&bytes);
            let mut command = workshop(&folder, &["--force", "--from", "tar", source]);
            let output = command.stdin(File::open(folder.join("image.tar")).unwrap()).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{}", text(&output));
            assert!(text(&output).contains("left out 2 devices"), "{}", text(&output));
            let rootfs = folder.join("rootfs");
            assert_eq!(fs::read_link(rootfs.join("bin/sh")).unwrap(), Path::new("/bin/busybox"));
            assert_eq!(fs::read_to_string(rootfs.join("etc/motd")).unwrap(), "second");
            let busybox = rootfs.join("bin/busybox").metadata().unwrap();
            assert_eq!((busybox.mode() & 0o7777, busybox.nlink()), (0o755, 2));
            assert_eq!(busybox.mtime(), 1_000_000_000);
            assert!(rootfs.join("dev/null").symlink_metadata().unwrap().is_file());
            assert!(rootfs.join("run/pipe").symlink_metadata().unwrap().file_type().is_fifo());
            assert!(rootfs.join("proc").is_dir() && rootfs.join("tmp").is_dir());
        }
    }
}

#[test]
fn hostile_names_are_refused_and_nothing_outside_is_touched() {
    let cases: [(&str, Entries); 11] = [
        ("../outside", &[(Regular, "../outside", "", "x")]),
        ("a/../../outside", &[(Regular, "a/../../outside", "", "x")]),
        ("a/..", &[(Directory, "a/..", "", "")]),
        ("/outside", &[(Regular, "/outside", "", "x")]),
        ("out/outside", &[(Symlink, "out", "..", ""), (Regular, "out/outside", "", "x")]),
        ("out/deep/outside", &[(Symlink, "out", "..", ""), (Regular, "out/deep/outside", "", "x")]),
        (
            "in/sh",
            &[(Directory, "bin/", "", ""), (Symlink, "in", "bin", ""), (Regular, "in/sh", "", "")],
        ),
        ("../outside", &[(Link, "mine", "../outside", "")]),
        ("/outside", &[(Link, "mine", "/outside", "")]),
        ("out/outside", &[(Symlink, "out", "..", ""), (Link, "mine", "out/outside", "")]),
        ("nowhere", &[(Link, "mine", "nowhere", "")]),
    ];
    for (name, entries) in cases {
        let folder = with_archive(&archive(entries));
        let error = fails(&folder, &TAR);
        assert!(error.contains("cannot unpack image.tar") && error.contains(name), "{error}");
        assert_eq!(fs::read_to_string(folder.join("outside")).unwrap(), "untouched");
        assert_eq!(folder.join("outside").metadata().unwrap().nlink(), 1);
        assert_eq!(folder.names(), ["image.tar", "outside"], "{entries:?}");
    }
}

#[test]
fn what_replaces_a_link_does_not_follow_it() {
    let folder = with_archive(&archive(&[
        (Symlink, "file", "../outside", ""),
        (Regular, "file", "", "x"),
        (Symlink, "folder", "..", ""),
        (Directory, "folder/", "", ""),
        (Regular, "folder/outside", "", "x"),
        (Symlink, "dev", "..", ""),
        (Symlink, "tmp", "..", ""),
        (Symlink, "proc", "../new", ""),
    ]));
    fs::set_permissions(&folder.0, Permissions::from_mode(0o700)).unwrap();
    makes(&folder, &TAR);
    assert_eq!(fs::read_to_string(folder.join("outside")).unwrap(), "untouched");
    assert_eq!(folder.0.metadata().unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::read_to_string(folder.join("rootfs/folder/outside")).unwrap(), "x");
    assert_eq!(folder.names(), ["image.tar", "outside", "rootfs"]);
}

#[test]
fn a_link_in_the_place_of_tmp_is_left_alone() {
    let folder = Folder::new();
    let private = folder.join("private");
    fs::create_dir(&private).unwrap();
    fs::set_permissions(&private, Permissions::from_mode(0o700)).unwrap();
    let link = private.to_str().unwrap();
    let bytes = archive(&[(Symlink, "tmp", link, ""), (Symlink, "dev", link, "")]);
    fs::write(folder.join("image.tar"), bytes).unwrap();
    makes(&folder, &TAR);
    assert_eq!(private.metadata().unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::read_dir(&private).unwrap().count(), 0);
}

#[test]
fn damaged_archives_leave_the_old_one() {
    let whole = archive(IMAGE);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&whole).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut flipped = gzip.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let mut bomb = Header::new_gnu();
    bomb.set_path("bomb").unwrap();
    bomb.set_mode(0o644);
    bomb.set_size(1 << 60);
    bomb.set_cksum();
    let cases: [(&[u8], &str); 12] = [
        (b"", "it is empty"),
        (b"hello", "no tar archive"),
        (&[b'x'; 2000], "no tar archive"),
        (&[0; 2048], "nothing in it"),
        (&whole[..100], "no tar archive"),
        (&whole[..512 * 2], "cut short"),
        (&whole[..512 * 2 + 1], "cut short"),
        (&whole[..700], "damaged after 1 entries"),
        (&gzip[..gzip.len() - 4], "cut short"),
        (&flipped, "cannot unpack"),
        (b"\x28\xb5\x2f\xfdxxxx", "zstd -d image.tar"),
        (bomb.as_bytes(), "\"bomb\": it is 1152921504606846976 bytes long"),
    ];
    for (bytes, reason) in cases {
        let folder = with_archive(bytes);
        fs::create_dir_all(folder.join("rootfs/bin")).unwrap();
        fs::write(folder.join("rootfs/bin/sh"), "old").unwrap();
        let args = [&["--force"], &TAR[..]].concat();
        let error = fails(&folder, &args);
        assert!(error.contains(reason), "{reason}: {error}");
        assert_eq!(folder.names(), ["image.tar", "outside", "rootfs"], "{reason}");
        assert_eq!(fs::read_to_string(folder.join("rootfs/bin/sh")).unwrap(), "old", "{reason}");
    }
    let folder = Folder::new();
    assert!(fails(&folder, &["--from", "tar", "none.tar"]).contains("cannot open none.tar"));
    assert!(fails(&folder, &["--from", "tar", "."]).contains("it is a folder"));
}
