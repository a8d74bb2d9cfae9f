//! The doctor: every attempt can fail, says why, and leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::unistd::gethostname;
use serde_json::Value;
use workshop::doctor::{Need, TABLE};
use workshop::{mountinfo, project, testing};

const NOBODY: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups";
/// Root as most containers have it.
const POWERLESS: &str = "setpriv --bounding-set=-all --inh-caps=-all";

fn program() -> PathBuf {
    project::binaries().unwrap().join("workshop")
}

/// Runs a shell's line as root; `$W` in it is the program.
fn shell(line: &str) -> Output {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line]).env("W", program()).current_dir(project::root().unwrap());
    shell.stdin(Stdio::null()).output().unwrap()
}

/// Tries one need within something that surrounds it.
fn attempt(around: &str, need: &str) -> Value {
    let output = shell(&format!("{around} $W try {need}"));
    let found: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{around}, {need}: {output:?}"));
    found[0].clone()
}

/// That the attempt fails in there, and says so in these words.
fn fails(around: &str, need: &str, status: &str, says: &str) {
    let found = attempt(around, need);
    assert_eq!(found["status"], status, "{need} within {around}: {found}");
    assert!(found["seen"].as_str().unwrap().contains(says), "{need} within {around}: {found}");
}

#[test]
fn everything_that_the_steps_need_is_tried() {
    if !testing::root("everything_that_the_steps_need_is_tried") {
        return;
    }
    let output = shell("$W doctor --json");
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = found.iter().map(|it| it["need"].as_str().unwrap()).collect();
    assert_eq!(names, TABLE.iter().map(|facts| facts.name).collect::<Vec<_>>());
    for entry in &found {
        assert_ne!(entry["status"], "cannot", "{entry}");
        assert!(!entry["seen"].as_str().unwrap().is_empty(), "{entry}");
        assert!(entry["steps"].as_array().unwrap().contains(&entry["since"]), "{entry}");
        for family in ["debian", "fedora", "arch"] {
            assert!(!entry["cures"][family].as_str().unwrap().is_empty(), "{entry}");
        }
    }
    let since = |need: &str| found.iter().find(|it| it["need"] == need).unwrap()["since"].clone();
    assert_eq!([since("overlay"), since("nf_tables")], [Value::from(9), Value::from("final")]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn only_what_a_step_needs_is_tried() {
    if !testing::root("only_what_a_step_needs_is_tried") {
        return;
    }
    let shown = shell("NO_COLOR=1 $W doctor 08");
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("\n  ✓ works    08    cgroup pids: created and limited, on v"),
        "{shown}"
    );
    assert!(shown.contains("\n  ✓ works    check network namespace: "), "{shown}");
    assert!(!shown.contains("overlay") && !shown.contains('\u{1b}'), "{shown}");
}

/// The kernel's limits of namespaces, set to none in a user namespace and so for nobody else.
#[test]
fn a_namespace_that_is_not_to_be_had_is_missed() {
    if !testing::root("a_namespace_that_is_not_to_be_had_is_missed") {
        return;
    }
    let kinds = [
        ("uts", "uts"),
        ("pid", "pid"),
        ("ipc", "ipc"),
        ("mount", "mnt"),
        ("net", "net"),
        ("cgroup", "cgroup"),
    ];
    for (need, kind) in kinds {
        let around = format!(
            "unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_{kind}_namespaces; exec \"$@\"' sh"
        );
        fails(&around, need, "cannot", "cannot create one: No space left on device");
        let cure = format!("sudo sysctl user.max_{kind}_namespaces=15000");
        assert_eq!(attempt(&around, need)["cures"]["arch"], cure);
    }
    let none = "unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"' sh";
    fails(none, "user", "degraded", "for user.max_user_namespaces is 0");
}

#[test]
fn root_without_its_powers_is_told_of_containers() {
    if !testing::root("root_without_its_powers_is_told_of_containers") {
        return;
    }
    // Who is the owner of a cgroup needs no powers to use it.
    let cgroups = [Need::Pids, Need::Memory, Need::Cpu];
    for facts in TABLE.iter().filter(|it| it.as_root && !cgroups.contains(&it.need)) {
        let none = facts.need == Need::Rootfs && !has_rootfs();
        let status = if none { "degraded" } else { "cannot" };
        let found = attempt(POWERLESS, facts.name);
        assert_eq!(found["status"], status, "{found}");
        let cure = found["cures"]["debian"].as_str().unwrap_or_default();
        assert!(none || cure.contains("docker run --privileged"), "{}: {found}", facts.name);
    }
    let output = shell(&format!("{POWERLESS} $W doctor 03"));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(
        said.matches("mend it: if this is a container").count(),
        1,
        "once is enough: {said}"
    );
    assert!(said.contains("Not all that step 03 needs is to be had: UTS namespace, "), "{said}");
}

fn has_rootfs() -> bool {
    project::root().unwrap().join("rootfs/bin").is_dir()
}

/// A mount namespace with something in it that covers the real thing.
fn covered(mount: &str) -> String {
    format!("unshare --mount sh -c '{mount} || exit 9; exec \"$@\"' sh")
}

#[test]
fn what_the_kernel_does_not_show_is_missed() {
    if !testing::root("what_the_kernel_does_not_show_is_missed") {
        return;
    }
    fails("setarch --uname-2.6", "kernel", "degraded", "is older than 5.11");
    let no_calls = covered("mount --bind /dev/null /proc/kallsyms");
    fails(&no_calls, "mount_setattr", "cannot", "has no mount_setattr(2)");
    let no_cgroups = covered("umount -R /sys/fs/cgroup; mount -t tmpfs none /sys/fs/cgroup");
    for need in ["pids", "memory", "cpu"] {
        fails(&no_cgroups, need, "cannot", "cannot find a mounted cgroup hierarchy");
    }
}

#[test]
fn a_program_that_is_missing_or_another_is_noticed() {
    if !testing::root("a_program_that_is_missing_or_another_is_noticed") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = format!("env PATH={}", folder.path().display());
    fails(&path, "ip", "cannot", "not installed");
    fails(&path, "bridge", "cannot", "without the program ip");
    fails(&path, "veth", "cannot", "without the program ip");
    fails(&path, "ps", "degraded", "not installed");
    fails(&path, "ping", "degraded", "not installed");
    assert_eq!(attempt(&path, "veth")["cures"]["fedora"], "sudo dnf install iproute");
    for program in ["ip", "ps", "ping"] {
        script(folder.path(), program, "echo 'unknown words' >&2; exit 1");
    }
    fails(&path, "ip", "degraded", "has no netns");
    fails(&path, "bridge", "cannot", "ip says: unknown words");
    fails(&path, "ps", "degraded", "it fails: unknown words");
    fails(&path, "ping", "degraded", "it fails: unknown words");
}

fn script(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A full disk that a workshop lies on, with a root filesystem that gets worse and worse.
#[test]
fn a_full_disk_and_a_broken_root_filesystem_are_noticed() {
    if !testing::root("a_full_disk_and_a_broken_root_filesystem_are_noticed") {
        return;
    }
    let workshop = |more: &str| {
        covered(&format!(
            "mount -t tmpfs -o size=1m none /mnt && cd /mnt && mkdir workshop && \
             touch workshop/steps.toml {more}"
        ))
    };
    fails(&workshop(""), "disk", "cannot", "free: the steps take 200 MB");
    let some = workshop("").replace("size=1m", "size=900m");
    fails(&some, "disk", "degraded", "tests and book take 2 GB");
    fails(&workshop(""), "rootfs", "degraded", "there is none yet");
    fails(&workshop("&& mkdir rootfs"), "rootfs", "degraded", "there is none yet");
    fails(&workshop("&& mkdir -p rootfs/bin"), "rootfs", "cannot", "it has no /bin/sh");
    let foreign = "&& mkdir -p rootfs/bin && cp /bin/true rootfs/bin/sh";
    fails(&workshop(foreign), "rootfs", "cannot", "cannot start its /bin/sh: No such file");
}

/// A folder that anybody may see, with the program in it and what makes it a workshop.
fn public_workshop() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(folder.path().join("workshop")).unwrap();
    fs::write(folder.path().join("workshop/steps.toml"), "").unwrap();
    // Not with fs::copy: a test beside this one could start a program while the file is open.
    let copy = Command::new("cp").arg(program()).arg(folder.path().join("program")).status();
    assert!(copy.unwrap().success());
    folder
}

/// The doctor for nobody, with this sudo alone on the PATH.
fn as_nobody(sudo: Option<&str>, words: &str) -> (String, Option<i32>) {
    let folder = public_workshop();
    if let Some(text) = sudo {
        script(folder.path(), "sudo", text);
    }
    let nobody = NOBODY.replace("setpriv", "/usr/bin/setpriv");
    let shown = folder.path().display();
    let output =
        shell(&format!("cd {shown}; NO_COLOR=1 PATH={shown} {nobody} {shown}/program {words}"));
    assert_eq!(output.stderr, b"", "{output:?}");
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

#[test]
fn nobody_without_sudo_is_told_how_to_get_root() {
    if !testing::root("nobody_without_sudo_is_told_how_to_get_root") {
        return;
    }
    let (said, status) = as_nobody(None, "doctor");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("✗ cannot   03    root: there is no sudo\n"), "{said}");
    assert!(said.contains("mend it: su - -c") || said.contains("Arch: su - -c"), "{said}");
    assert!(said.contains("~ degraded 09    overlay: not tried: that takes root\n"), "{said}");
    assert!(said.contains("✓ works    01    disk space: "), "{said}");
}

#[test]
fn nobody_with_sudo_is_asked_for_a_password_only_on_a_terminal() {
    if !testing::root("nobody_with_sudo_is_asked_for_a_password_only_on_a_terminal") {
        return;
    }
    let asks =
        r#"[ "$1" = -n ] && { echo 'sudo: a password is required' >&2; exit 1; }; echo asked >&2"#;
    let (said, status) = as_nobody(Some(asks), "doctor 05");
    assert_eq!(status, Some(0), "{said}");
    let line = "~ degraded 03    root: sudo asks for a password, and there is no terminal for it\n";
    assert!(said.contains(line), "{said}");
    assert!(said.contains("/program doctor\n"), "{said}");
}

/// This sudo runs the command, but as whoever asks: the attempts that it starts fail.
#[test]
fn sudo_is_started_once_for_all_that_takes_root() {
    if !testing::root("sudo_is_started_once_for_all_that_takes_root") {
        return;
    }
    let sudo = r#"[ "$1" = -n ] && exit; while [ "$1" != -- ]; do shift; done; shift; exec "$@""#;
    let (said, status) = as_nobody(Some(sudo), "doctor 09 --json");
    let found: Vec<Value> = serde_json::from_str(&said).unwrap();
    let status_of = |need: &str| {
        let entry = found.iter().find(|it| it["need"] == need).unwrap();
        (entry["status"].clone(), entry["seen"].as_str().unwrap().to_string())
    };
    assert_eq!(status_of("root").1, "sudo works");
    let refused = "cannot create one: Operation not permitted".to_string();
    assert_eq!(status_of("uts"), ("cannot".into(), refused.clone()));
    assert_eq!(status_of("overlay"), ("cannot".into(), refused));
    assert_eq!(status, Some(1));
    let (said, status) = as_nobody(Some(r#"[ "$1" = -n ]"#), "doctor 03");
    assert!(said.contains("✗ cannot   03    root: sudo does not make you root\n"), "{said}");
    assert_eq!(status, Some(1));
    let forbidden = "echo 'sudo: The flag is set' >&2; exit 1";
    let (said, _) = as_nobody(Some(forbidden), "doctor 03");
    assert!(said.contains("✗ cannot   03    root: sudo: The flag is set\n"), "{said}");
    assert!(said.contains("mend it: su -c '"), "{said}");
}

#[test]
fn wrong_words_are_wrong_usage() {
    for words in ["doctor 11", "doctor docker", "try", "try docker"] {
        assert_eq!(shell(&format!("$W {words}")).status.code(), Some(2), "{words}");
    }
}

/// What an attempt makes has a name of its own, so that other tests do not matter here.
#[test]
fn nothing_is_left_on_the_machine() {
    if !testing::root("nothing_is_left_on_the_machine") {
        return;
    }
    let state = || (mountinfo::own().unwrap(), gethostname().unwrap());
    let before = state();
    for facts in &TABLE {
        let mut attempt = Command::new(program());
        let attempt = attempt.args(["try", facts.name]).stdout(Stdio::null()).spawn();
        let mut attempt = attempt.unwrap();
        let cgroup = format!("workshop-{}-0", attempt.id());
        assert!(attempt.wait().unwrap().success());
        let left = shell(&format!("find /sys/fs/cgroup -name {cgroup}; ls /sys/class/net"));
        let left = String::from_utf8(left.stdout).unwrap();
        assert!(!left.contains(&cgroup) && !left.contains("doctor"), "{}: {left}", facts.name);
    }
    assert!(state() == before, "{:?} is not {before:?}", state());
}
