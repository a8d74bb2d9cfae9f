//! Every option of `final run`, seen from inside of the container.

use std::fs;

use crate::machine::{end, machine};

const RUN: &str = "run --rm --network none";

#[test]
fn names_and_files_are_the_containers_own() {
    let Some(machine) = machine("names_and_files_are_the_containers_own") else { return };
    let words = format!("{RUN} --name web --dns 9.9.9.9 --add-host db:10.1.2.3 host");
    let ended = machine
        .shell(&words, "hostname; cat /etc/hostname /etc/hosts; grep names /etc/resolv.conf");
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.stdout.starts_with("web\nweb\n127.0.0.1\tlocalhost\n"), "{ended:?}");
    assert!(ended.stdout.contains("10.1.2.3\tdb\n"), "{ended:?}");
    assert!(ended.stdout.ends_with("nameserver 9.9.9.9\n"), "{ended:?}");
    machine.shell(&format!("{RUN} --hostname box host"), "hostname").assert(0, "box");
    machine.assert_clean();
}

#[test]
fn variables_come_from_the_line_from_files_and_from_us() {
    let Some(machine) = machine("variables_come_from_the_line_from_files_and_from_us") else {
        return;
    };
    machine.write("vars", "# a comment\nA=1\nB=file\nOURS\n");
    let words = format!("{RUN} --env-file @/vars -e B=line -e EMPTY= -e MISSING --hostname h host");
    let script = "echo $A $B $OURS ${EMPTY-unset} ${MISSING-unset} $HOME $HOSTNAME $PATH";
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    machine.shell(&words, script).assert(0, &format!("1 line from outside unset /root h {path}"));
    machine.run(&format!("{RUN} --env-file @/nothing host true")).assert_error(125, "nothing");
}

#[test]
fn users_and_working_directories() {
    let Some(machine) = machine("users_and_working_directories") else { return };
    let words = format!("{RUN} -u nobody -w /some/where host");
    machine
        .shell(
            &words,
            "id -un; id -g; pwd; grep CapEff /proc/self/status; touch x 2>/dev/null || echo no",
        )
        .assert(0, "nobody\n65534\n/some/where\nCapEff:\t0000000000000000\nno");
    machine
        .shell(&format!("{RUN} -u 1000:2000 host"), "id -u; id -g; id -G")
        .assert(0, "1000\n2000\n2000");
    machine.run(&format!("{RUN} -u eve host true")).assert_error(125, "the user \"eve\"");
}

#[test]
fn volumes_show_folders_and_files() {
    let Some(machine) = machine("volumes_show_folders_and_files") else { return };
    machine.write("data/file", "inside\n");
    machine.write("data/with space,and:colon", "");
    let words = format!("{RUN} -v @/data:/data/deep -v @/data:/ro:ro -v @/data/file:/etc/one host");
    let script =
        "cat /etc/one /ro/file; echo new > /data/deep/new; touch /ro/x 2>/dev/null || echo locked";
    machine.shell(&words, script).assert(0, "inside\ninside\nlocked");
    assert_eq!(fs::read_to_string(machine.path("data/new")).unwrap(), "new\n");
    // A folder that is missing is made; a link to nothing, or a file on the way, is an error.
    machine.shell(&format!("{RUN} -v @/new/deep:/x host"), "echo 1 > /x/one").assert(0, "");
    assert_eq!(fs::read_to_string(machine.path("new/deep/one")).unwrap(), "1\n");
    let nowhere = machine.path("nowhere");
    std::os::unix::fs::symlink("/no/thing", nowhere).unwrap();
    machine.run(&format!("{RUN} -v @/nowhere:/x host true")).assert_error(125, "else be made");
    machine
        .run(&format!("{RUN} -v @/data/file/x:/x host true"))
        .assert_error(125, "Not a directory");
    machine
        .run(&format!("{RUN} -v @/data/file:/etc host true"))
        .assert_error(125, "A folder goes on a folder");
    machine.assert_clean();
}

#[test]
fn temporary_and_read_only_filesystems() {
    let Some(machine) = machine("temporary_and_read_only_filesystems") else { return };
    let words = format!("{RUN} --read-only --tmpfs /run:size=1m,mode=700 host");
    let script = "touch /x 2>/dev/null || echo locked; echo y > /run/y && cat /run/y; stat -c %a /run; \
                  df -k /run | tail -1 | sed 's/  */ /g' | cut -d' ' -f2";
    machine.shell(&words, script).assert(0, "locked\ny\n700\n1024");
    let script = "cp /bin/true /a; cp /bin/true /b; /a/true && echo a; /b/true 2>/dev/null || echo b; \
                  touch /c/x 2>/dev/null || echo c";
    machine
        .shell(&format!("{RUN} --tmpfs /a:exec --tmpfs /b --tmpfs /c:ro host"), script)
        .assert(0, "a\nb\nc");
}

#[test]
fn without_i_there_is_nothing_to_read() {
    let Some(machine) = machine("without_i_there_is_nothing_to_read") else { return };
    let line = machine.line(&format!("{RUN} host cat"));
    end(machine.start(&line), "words").assert(0, "");
    let line = machine.line(&format!("{RUN} -i host cat"));
    end(machine.start(&line), "words").assert(0, "words");
}

#[test]
fn capabilities_and_no_new_privileges() {
    let Some(machine) = machine("capabilities_and_no_new_privileges") else { return };
    let show = "grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\n\\t'";
    let usual = "00000000a80425fb";
    let expect = |words: &str, caps: &str, no_new: u8, seccomp: u8| {
        let ended = machine.shell(&format!("{RUN} {words} host"), show);
        let text = format!("CapEff:{caps}CapBnd:{caps}NoNewPrivs:{no_new}Seccomp:{seccomp}");
        ended.assert(0, &text);
    };
    expect("", usual, 0, 2);
    expect("--cap-drop ALL", "0000000000000000", 0, 2);
    expect("--cap-drop all --cap-add chown", "0000000000000001", 0, 2);
    expect("--cap-add NET_ADMIN", "00000000a80435fb", 0, 2);
    expect("--security-opt no-new-privileges", usual, 1, 2);
    expect("--security-opt seccomp=unconfined", usual, 0, 0);
    machine.run(&format!("{RUN} --cap-add NOTHING host true")).assert_error(125, "NOTHING");
}

#[test]
fn an_entrypoint_takes_the_commands_place() {
    let Some(machine) = machine("an_entrypoint_takes_the_commands_place") else { return };
    machine.run(&format!("{RUN} --entrypoint echo host a -b --rm")).assert(0, "a -b --rm");
    let layers = format!("{:?}", workshop::testing::rootfs().unwrap());
    let image = format!(
        "{{\"layers\":[{layers}],\"config\":{{\"entrypoint\":[\"echo\",\"say\"],\
         \"command\":[\"hello\"],\"env\":[\"A=1\"],\"working_dir\":\"/etc\",\"user\":\"nobody\"}}}}"
    );
    machine.write("root/images/talk.json", &image);
    machine.run(&format!("{RUN} talk")).assert(0, "say hello");
    machine.run(&format!("{RUN} talk bye")).assert(0, "say bye");
    machine
        .shell(&format!("{RUN} --entrypoint env talk"), "echo $A; pwd; id -un")
        .assert(0, "1\n/etc\nnobody");
}

#[test]
fn init_removes_zombies_and_passes_the_status_on() {
    let Some(machine) = machine("init_removes_zombies_and_passes_the_status_on") else { return };
    let script = "(sleep 0.1 &); sleep 0.3; ps -o stat= | grep -c Z; exit 7";
    machine.shell(&format!("{RUN} --init host"), script).assert(7, "0");
    machine.shell(&format!("{RUN} --init host"), "kill -9 $$").assert(137, "");
    machine.run(&format!("{RUN} --init host nothing")).assert_error(127, "nothing");
    machine.assert_clean();
}

#[test]
fn what_a_container_writes_is_kept_without_rm() {
    let Some(machine) = machine("what_a_container_writes_is_kept_without_rm") else { return };
    machine.shell("run --name keep --network none host", "echo kept > /file").assert(0, "");
    let upper = machine.root().join("containers/keep/upper/file");
    assert_eq!(fs::read_to_string(upper).unwrap(), "kept\n");
    machine.run("run --name keep --network none host true").assert_error(125, "keep");
    machine.run("prune").assert(0, "");
    assert!(machine.root().join("containers/keep").exists());
    machine.run("rm keep").assert(0, "");
    machine.assert_clean();
    machine.run("rm keep").assert_error(1, "no container of that name");
}

#[test]
fn a_root_filesystem_of_ones_own_stays_untouched() {
    let Some(machine) = machine("a_root_filesystem_of_ones_own_stays_untouched") else { return };
    let rootfs = workshop::testing::rootfs().unwrap();
    let before = fs::read_dir(&rootfs).unwrap().count();
    let words = format!("{RUN} --rootfs {}", rootfs.display());
    machine.shell(&words, "touch /new /etc/new; ls /new").assert(0, "/new");
    assert_eq!(fs::read_dir(&rootfs).unwrap().count(), before);
    machine.run(&format!("{RUN} --rootfs @/nothing true")).assert_error(125, "nothing");
    machine.run(&format!("{RUN} nothing true")).assert_error(125, "the image nothing");
}

#[test]
fn debug_prints_every_step_in_order() {
    let Some(machine) = machine("debug_prints_every_step_in_order") else { return };
    let ended = machine.run(&format!("{RUN} --debug host true"));
    let times: Vec<u64> = ended
        .stderr
        .lines()
        .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
        .collect();
    assert!(times.len() > 10 && times.is_sorted(), "{ended:?}");
    // Two processes work side by side, each in its own order.
    let run = ["find the image", "write down", "the cgroup", "clone", "connect", "command runs"];
    let child = ["join the cgroup", "hostname", "overlay", "mount files", "pivot", "drop"];
    for (who, steps) in [(" run ", &run[..]), (" child ", &child[..])] {
        let mut lines = ended.stderr.lines().filter(|line| line.contains(who));
        for step in steps {
            assert!(lines.any(|line| line.contains(step)), "{step}: {ended:?}");
        }
    }
    assert!(ended.stderr.lines().all(|line| line.contains(" µs ")), "{ended:?}");
}

#[test]
fn networks() {
    let Some(machine) = machine("networks") else { return };
    machine.shell("run --rm --network none host", "ls /sys/class/net").assert(0, "lo");
    let host =
        machine.shell("run --rm --network host host", "readlink /proc/self/ns/net; cat /etc/hosts");
    let ours = machine.cage.inside(|| fs::read_link("/proc/thread-self/ns/net").unwrap()).unwrap();
    assert!(host.stdout.starts_with(ours.to_str().unwrap()), "{host:?}");
    let script = "ip -4 -o addr show eth0 | sed 's/  */ /g' | cut -d' ' -f4; ping -qc1 10.20.30.1 >/dev/null && echo reached; \
                  tail -1 /etc/hosts";
    machine
        .shell("run --rm --ip 10.20.30.77 --hostname h host", script)
        .assert(0, "10.20.30.77/24\nreached\n10.20.30.77\th");
    machine.run("run --rm --network none -p 80:80 host true").assert_error(125, "--network none");
    machine.run("prune").assert(0, "");
    machine.assert_clean();
}

#[test]
fn the_image_host_is_made_by_the_first_who_wants_it() {
    let Some(machine) = machine("the_image_host_is_made_by_the_first_who_wants_it") else { return };
    fs::remove_file(machine.root().join("images/host.json")).unwrap();
    let line = machine.line(&format!("{RUN} host /bin/sh -c"));
    let line: Vec<_> = line.into_iter().chain(["echo hello".into()]).collect();
    let runs = [(); 3].map(|()| machine.start(&line));
    for run in runs {
        end(run, "").assert(0, "hello");
    }
    let made: Vec<_> = fs::read_dir(machine.root().join("layers")).unwrap().flatten().collect();
    assert_eq!(made.len(), 1, "{made:?}");
    machine.run(&format!("{RUN} host true")).assert(0, "");
    machine.assert_clean();
}

#[test]
fn a_container_has_namespaces_of_its_own() {
    let Some(machine) = machine("a_container_has_namespaces_of_its_own") else { return };
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "uts", "user"];
    let script = "for name in $(ls /proc/self/ns | grep -v _ | grep -v time); do \
                  echo $name $(readlink /proc/self/ns/$name); done";
    let ended = machine.shell(&format!("{RUN} host"), script);
    let outside = machine.host(script);
    let shared: Vec<_> =
        ended.stdout.lines().filter(|line| outside.lines().any(|it| it == *line)).collect();
    assert_eq!(ended.stdout.lines().count(), names.len(), "{ended:?}");
    assert!(shared.len() == 1 && shared[0].starts_with("user "), "{shared:?}");
}

#[test]
fn what_is_mounted_is_what_programs_expect() {
    let Some(machine) = machine("what_is_mounted_is_what_programs_expect") else { return };
    let script = "while read -r _ _ _ _ point options rest; do \
                  set -- ${rest#*- }; echo $point $1 ${options%%,*}; done < /proc/self/mountinfo; \
                  cd /dev; for name in null zero full random urandom tty; do stat -c '%n %a %t:%T' $name; done; \
                  for name in fd stdin stdout stderr ptmx; do echo $name $(readlink $name); done; \
                  stat -c %a shm; stat -c %a pts/ptmx";
    let ended = machine.shell(&format!("{RUN} host"), script);
    for mount in [
        "/ overlay rw",
        "/proc proc rw",
        "/proc/sys proc ro",
        "/sys sysfs ro",
        "/dev tmpfs rw",
        "/dev/pts devpts rw",
        "/dev/shm tmpfs rw",
        "/dev/mqueue mqueue rw",
    ] {
        assert!(ended.stdout.lines().any(|line| line == mount), "{mount}: {ended:?}");
    }
    let cgroup = |line: &str| line.starts_with("/sys/fs/cgroup") && line.contains(" cgroup");
    let mut cgroups = ended.stdout.lines().filter(|line| cgroup(line)).peekable();
    assert!(cgroups.peek().is_some() && cgroups.all(|line| line.ends_with(" ro")), "{ended:?}");
    // Nothing of the host, such as its folders, can be seen here.
    let folder = machine.path("").display().to_string();
    assert!(
        !machine
            .shell(&format!("{RUN} host"), "cat /proc/self/mountinfo | cut -d' ' -f4,5")
            .stdout
            .contains(&folder)
    );
    let rest = ended.stdout.split("\nnull ").nth(1).unwrap();
    assert_eq!(
        format!("null {}", rest.trim()),
        "null 666 1:3\nzero 666 1:5\nfull 666 1:7\nrandom 666 1:8\nurandom 666 1:9\ntty 666 5:0\n\
         fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\n\
         ptmx pts/ptmx\n1777\n666"
    );
}

#[test]
fn with_privileges_nothing_is_hidden_or_forbidden() {
    let Some(machine) = machine("with_privileges_nothing_is_hidden_or_forbidden") else { return };
    let script = "grep -E 'Seccomp:|NoNewPrivs' /proc/self/status | tr -d '\\n\\t'; echo; \
                  grep -o '[0-9a-f]*$' /proc/sys/kernel/cap_last_cap; \
                  mount -t tmpfs none /tmp && umount /tmp && echo mounted; \
                  echo changed > /proc/sys/kernel/hostname && hostname; test -e /dev/kmsg && echo kmsg";
    machine
        .shell(&format!("{RUN} --privileged host"), script)
        .assert(0, "NoNewPrivs:0Seccomp:0\n40\nmounted\nchanged\nkmsg");
    assert_eq!(machine.host("hostname"), "host\n");
    machine.assert_clean();
}

#[test]
fn limits_of_ours_are_not_the_commands() {
    let Some(machine) = machine("limits_of_ours_are_not_the_commands") else { return };
    let limits = "ulimit -n 3000; (echo -500 > /proc/self/oom_score_adj) 2>/dev/null; umask 077; exec \"$@\"";
    let mut line = ["sh", "-c", limits, "sh"].map(Into::into).to_vec();
    let script = "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; umask; \
                  grep SigBlk /proc/self/status; grep SigIgn /proc/self/status";
    line.extend(machine.script(&format!("{RUN} host"), script));
    // What is ignored is ignored out here, too.
    let ignored = machine.host("grep SigIgn /proc/self/status");
    let expected = format!("1024\n3000\n0\n0022\nSigBlk:\t0000000000000000\n{}", ignored.trim());
    end(machine.start(&line), "").assert(0, &expected);
}
