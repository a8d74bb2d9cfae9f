//! Every option of `final run`, seen from inside of the container.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;

mod common;

use common::{end, machine};

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
