//! `cargo workshop clean`, in namespaces that play the machine: its own processes, mounts, links and
//! cgroups. What these tests leave goes with them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::{env, process, thread, time::Duration};

use nix::mount::{MsFlags, mount};

const INSIDE: &str = "WORKSHOP_TEST_CGROUP";

/// Runs a test of this file again in namespaces of its own.
fn enter(test: &str) {
    if !workshop::testing::root(test) {
        return;
    }
    let cgroup = cgroup_root().join(format!("{test}-{}", process::id()));
    fs::create_dir(&cgroup).unwrap();
    // A shell is process 1, so that orphans fall to it as they would fall to init.
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"])
        .arg("\"$0\" --exact $1 --nocapture; exit $?")
        .arg(env::current_exe().unwrap())
        .arg(test)
        .env(INSIDE, &cgroup)
        .output();
    remove_cgroups(&cgroup);
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn cgroup_root() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let v1 = |line: &&str| line.contains(" - cgroup ") && line.ends_with("pids");
    let found = mounts.lines().find(v1);
    let found = found.or_else(|| mounts.lines().find(|line| line.contains(" - cgroup2 ")));
    found.unwrap().split(' ').nth(4).unwrap().into()
}

fn remove_cgroups(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            remove_cgroups(&entry.path());
        }
    }
    // The kernel may still be busy with the processes that were killed with the namespace.
    let removed = (0..100).any(|_| {
        fs::remove_dir(folder).is_ok() || {
            thread::sleep(Duration::from_millis(20));
            false
        }
    });
    assert!(removed, "{}", folder.display());
}

/// A project with a temporary folder and programs that go by the names of steps.
struct Machine {
    project: PathBuf,
}

const CGROUPS: &str = "/sys/fs/cgroup";

impl Machine {
    /// Nothing outside: there the test is run again inside.
    fn new(test: &str) -> Option<Self> {
        let Some(cgroup) = env::var_os(INSIDE) else {
            enter(test);
            return None;
        };
        let none: Option<&str> = None;
        mount(Some(Path::new(&cgroup)), CGROUPS, none, MsFlags::MS_BIND, none).unwrap();
        mount(Some("test"), "/run", Some("tmpfs"), MsFlags::empty(), none).unwrap();
        let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&project);
        for folder in ["workshop", "tmp", "rootfs/proc", "bin"] {
            fs::create_dir_all(project.join(folder)).unwrap();
        }
        fs::write(project.join("workshop/steps.toml"), "").unwrap();
        // Shells that take `run` and `child` for scripts.
        fs::write(project.join("run"), "/proc/self/exe child & echo $!; wait").unwrap();
        fs::write(project.join("child"), "sleep 1000 & echo $!; wait").unwrap();
        Some(Self { project })
    }

    fn clean(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_workshop"));
        command.arg("clean").args(args).current_dir(&self.project);
        command.env("TMPDIR", self.project.join("tmp")).output().unwrap()
    }

    /// Cleans and compares what it says with these lines: first without doing it, then for good,
    /// then once more.
    fn expect(&self, leftovers: &[&str]) {
        let nothing = "nothing to clean\n".to_string();
        let all = |verb: &str| match leftovers {
            [] => nothing.clone(),
            _ => leftovers.iter().map(|it| format!("{verb} {it}\n")).collect(),
        };
        let rounds = [
            (&["--dry-run"][..], all("would remove")),
            (&[], all("removed")),
            (&[], nothing.clone()),
        ];
        for (args, expected) in rounds {
            let output = self.clean(args);
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{args:?} {output:?}");
            assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
        }
    }

    /// Starts a shell under this name that runs the script `run`. Returns it and the pids of its
    /// child and grandchild.
    fn run(&self, name: &str) -> (Child, i32, i32) {
        let program = self.project.join("bin").join(name);
        fs::copy("/bin/sh", &program).unwrap();
        let mut command = Command::new(program);
        command.arg("run").current_dir(&self.project).stdout(Stdio::piped());
        let mut run = command.spawn().unwrap();
        let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
        let mut pid = || lines.next().unwrap().unwrap().parse().unwrap();
        // Either may write first, but the grandchild has the greater pid.
        let (one, other): (i32, i32) = (pid(), pid());
        (run, one.min(other), one.max(other))
    }
}

fn kill(mut run: Child) {
    run.kill().unwrap();
    run.wait().unwrap();
}

fn dead_pid() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn sh(command: &str) {
    assert!(Command::new("sh").args(["-ec", command]).status().unwrap().success(), "{command}");
}

#[test]
fn orphaned_containers_are_killed_and_live_ones_are_not() {
    let Some(machine) = Machine::new("orphaned_containers_are_killed_and_live_ones_are_not") else {
        return;
    };
    let (live, live_child, live_command) = machine.run("step05");
    let (run, child, command) = machine.run("step04");
    kill(run);
    machine.expect(&[&format!("process {child} (/proc/self/exe child)")]);
    assert!(!alive(child) && !alive(command), "the command of a container goes with it");
    assert!(alive(live_child) && alive(live_command));
    let (run, detached, _) = machine.run("final");
    kill(run);
    machine.expect(&[]);
    assert!(alive(detached), "`final` has containers that outlive their run");
    kill(live);
    // The program may have been built anew since.
    fs::remove_file(machine.project.join("bin/step05")).unwrap();
    machine.expect(&[&format!("process {live_child} (/proc/self/exe child)")]);
}

#[test]
fn cgroups_go_with_what_is_left_in_them() {
    let Some(machine) = Machine::new("cgroups_go_with_what_is_left_in_them") else { return };
    let (mut live, _, command) = machine.run("mine");
    let other = Command::new("sleep").arg("1000").spawn().unwrap();
    let sleeper = other.id();
    let dead = dead_pid();
    let (me, live_pid) = (process::id(), live.id());
    sh(&format!(
        "cd {CGROUPS}; mkdir other mydocker-x mydocker-{dead} workshop-{dead}-0 workshop-{dead}-0/leaf
        mkdir mydocker-{live_pid} workshop-{me}-1 workshop-{me}-1/mydocker-{dead} other/mydocker-{dead}
        mkdir mydocker-{sleeper} mydocker-9999999
        echo {command} > mydocker-9999999/cgroup.procs"
    ));
    // In the cage of a dead checker: a container whose run is in there too.
    let caged =
        "cd $1; echo $$ > $2/leaf/cgroup.procs; cp /bin/sh bin/step07; bin/step07 run & sleep .2";
    let cage = format!("{CGROUPS}/workshop-{dead}-0");
    let mut command_in_cage = Command::new("sh");
    command_in_cage.args(["-c", caged, "sh"]).arg(&machine.project).arg(&cage);
    assert!(command_in_cage.stdout(Stdio::null()).status().unwrap().success());
    let output = machine.clean(&[]);
    let said = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    let mut expected = [
        format!("removed cgroup {CGROUPS}/mydocker-{dead}"),
        // A process has that pid, but is no container.
        format!("removed cgroup {CGROUPS}/mydocker-{sleeper}"),
        format!("removed cgroup {CGROUPS}/other/mydocker-{dead}"),
        format!("removed cgroup {cage}"),
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert!(alive(sleeper.cast_signed()) && alive(command) && live.try_wait().unwrap().is_none());
    kill(other);
    sh(&format!("cd {CGROUPS}; rmdir workshop-{me}-1/mydocker-{dead} workshop-{me}-1"));
    sh(&format!("cd {CGROUPS}; rmdir mydocker-{live_pid} mydocker-x other"));
    machine.expect(&[]);
    kill(live);
    let output = machine.clean(&[]);
    assert!(output.status.success(), "{output:?}");
    assert!(!Path::new(CGROUPS).join("mydocker-9999999").exists());
}

#[test]
fn processes_outside_of_the_pid_namespace_stay() {
    let Some(machine) = Machine::new("processes_outside_of_the_pid_namespace_stay") else { return };
    let (live, _, command) = machine.run("step08");
    sh(&format!(
        "cd {CGROUPS}; mkdir mydocker-9999999; echo {command} > mydocker-9999999/cgroup.procs"
    ));
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", env!("CARGO_BIN_EXE_workshop"), "clean"]);
    let output = command.current_dir(&machine.project).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "nothing to clean\n");
    kill(live);
}

#[test]
fn links_of_the_dead_go_and_then_the_bridge() {
    let Some(machine) = Machine::new("links_of_the_dead_go_and_then_the_bridge") else { return };
    let (dead, me) = (dead_pid(), process::id());
    sh(&format!(
        "ip link add mydocker0 type bridge; ip link add docker0 type bridge
        ip link add veth{dead} type veth peer name a; ip link set veth{dead} master mydocker0
        ip link add veth{me} type veth peer name b; ip link set veth{me} master mydocker0
        ip link add veth1{dead} type veth peer name c; ip link set veth1{dead} master docker0
        ip netns add mydocker; ip netns add mine"
    ));
    machine.expect(&[&format!("link veth{dead}"), "network namespace mydocker"]);
    sh(&format!("ip link delete veth{me}"));
    let (live, ..) = machine.run("step10");
    let output = machine.clean(&[]);
    let kept = format!("kept link mydocker0: step10 (pid {}) may use it\n", live.id());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), kept);
    kill(live);
    machine.clean(&[]);
    sh(
        "ip link show docker0 >/dev/null; ip netns list | grep -qx mine; ! ip link show mydocker0 2>/dev/null",
    );
    sh(&format!("ip link show veth1{dead} >/dev/null"));
    machine.expect(&[]);
}

#[test]
fn mounts_on_the_host_are_undone_in_order() {
    let Some(machine) = Machine::new("mounts_on_the_host_are_undone_in_order") else { return };
    let rootfs = machine.project.join("rootfs");
    let rootfs = rootfs.display();
    sh(&format!(
        "cd {rootfs}; mount -t proc proc proc; mount -t tmpfs theirs ../tmp
        mount -t tmpfs mydocker /run; mkdir /run/upper /run/work /run/merged
        mount -t overlay mydocker /run/merged -o lowerdir=.,upperdir=/run/upper,workdir=/run/work"
    ));
    machine.expect(&[
        "mount /run/merged (overlay)",
        "mount /run (tmpfs)",
        &format!("mount {rootfs}/proc (proc)"),
    ]);
    sh("mount -t tmpfs mydocker /run");
    let (live, ..) = machine.run("mine");
    let output = machine.clean(&[]);
    let kept = format!("kept mount /run (tmpfs): mine (pid {}) may use it\n", live.id());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), kept);
    kill(live);
    machine.clean(&[]);
    // Covered by another's mount, it stays, and the rest goes.
    sh(&format!("mount -t proc proc {rootfs}/proc; mount -t tmpfs mydocker /run"));
    sh("mount -t tmpfs theirs /run");
    let output = machine.clean(&[]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = "error: cannot remove mount /run (tmpfs): another mount (tmpfs) covers it. Unmount that first\n";
    assert_eq!(error, expected);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("removed mount {rootfs}/proc (proc)\n")
    );
    sh("umount /run");
    // In use, it goes out of sight.
    let mut user = Command::new("sleep").arg("1000").current_dir("/run").spawn().unwrap();
    machine.expect(&["mount /run (tmpfs)"]);
    user.kill().unwrap();
    user.wait().unwrap();
    sh(&format!("umount {}", machine.project.join("tmp").display()));
}

#[test]
fn folders_of_the_dead_go_and_those_of_others_stay() {
    let Some(machine) = Machine::new("folders_of_the_dead_go_and_those_of_others_stay") else {
        return;
    };
    let (dead, me) = (dead_pid(), process::id());
    let tmp = machine.project.join("tmp");
    let make = |path: PathBuf, mode| fs::DirBuilder::new().mode(mode).create(path).unwrap();
    make(tmp.join(format!("workshop-{dead}-0")), 0o700);
    let kept = [
        tmp.join(format!("workshop-{me}-0")),
        tmp.join(format!("other-{dead}")),
        tmp.join("workshop-notes"),
        tmp.join(format!("workshop-{dead}")),
        machine.project.join(format!("rootfs.{me}.new")),
        machine.project.join("rootfs.bak"),
    ];
    for path in &kept {
        make(path.clone(), 0o700);
    }
    make(tmp.join("workshop-2024-05"), 0o755);
    let half_made = machine.project.join(format!("rootfs.{dead}.new"));
    make(half_made.clone(), 0o755);
    fs::write(half_made.join("file"), "").unwrap();
    fs::set_permissions(half_made.join("file"), fs::Permissions::from_mode(0o000)).unwrap();
    let output = machine.clean(&[]);
    let mut said: Vec<_> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    said.sort_unstable();
    let mut expected = [
        format!("removed folder {}", half_made.display()),
        format!("removed folder {}/workshop-{dead}-0", tmp.display()),
    ];
    expected.sort_unstable();
    assert_eq!(said, expected);
    machine.expect(&[]);
    assert!(kept.iter().all(|path| path.is_dir()) && tmp.join("workshop-2024-05").is_dir());
}
