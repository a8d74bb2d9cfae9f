//! The virtual machine is started for real: all checks on both kinds of cgroups, a true fork bomb,
//! and the promises about arguments, output, status, terminal and end.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use workshop::pty::Terminal;
use workshop::testing;

const WORKSHOP: &str = env!("CARGO_BIN_EXE_workshop");

fn vm(options: &[&str], command: &[&str]) -> Output {
    Command::new(WORKSHOP).arg("vm").args(options).arg("--").args(command).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn check_on(cgroup: &str, what: &str) {
    // On a machine with much else to do it takes several times as long.
    let run = vm(&["--cgroup", cgroup, "--timeout", "1500"], &["check", what]);
    let said = text(&run.stdout);
    assert!(run.status.success(), "{said}{}", text(&run.stderr));
    assert!(said.trim_end().ends_with("checks, all hold"), "{said}");
}

#[test]
fn all_checks_hold_on_cgroup_v2() {
    if testing::qemu("all_checks_hold_on_cgroup_v2") {
        check_on("v2", "all");
    }
}

#[test]
fn all_checks_hold_on_hybrid_cgroups() {
    if testing::qemu("all_checks_hold_on_hybrid_cgroups") {
        check_on("hybrid", "all");
    }
}

#[test]
fn what_final_brings_holds_on_cgroup_v2() {
    if testing::qemu("what_final_brings_holds_on_cgroup_v2") {
        check_on("v2", "final");
    }
}

fn is_called(session: &Path, name: &str) -> bool {
    session.file_stem().is_some_and(|stem| stem == name)
}

/// Every recorded session of these folders.
fn sessions_in(folders: &[&str]) -> Vec<PathBuf> {
    let root = workshop::project::root().unwrap();
    let mut names = Vec::new();
    for folder in folders {
        let tests = root.join(folder).join("tests");
        let files = fs::read_dir(tests).unwrap().map(|entry| entry.unwrap().path());
        names.extend(files.filter(|file| file.extension().is_some_and(|it| it == "session")));
    }
    names
}

/// Plays these sessions in the machine: what each shows must be what was recorded, or with
/// INSTA_UPDATE=always is recorded.
fn sessions_on(cgroup: &str, names: &[PathBuf]) {
    let sessions: Vec<_> = names.iter().map(|name| fs::read_to_string(name).unwrap()).collect();
    let mut command = vec!["workshop", "play", "--"];
    command.extend(sessions.iter().map(String::as_str));
    let run = vm(&["--cgroup", cgroup], &command);
    let said = text(&run.stdout);
    let played: Vec<_> = said.split_terminator("\x1f\n").collect();
    assert!(run.status.success() && played.len() == names.len(), "{said}{}", text(&run.stderr));
    let mut differ = Vec::new();
    for (name, played) in names.iter().zip(played) {
        let recorded = recorded(name, cgroup);
        let (head, transcript) = snapshot(&recorded);
        if env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            fs::write(&recorded, format!("{head}{}\n", played.trim_end())).unwrap();
        } else if played.trim_end() != transcript.trim_end() {
            differ.push(format!("{} on {cgroup}:\n{played}", name.display()));
        }
    }
    assert!(differ.is_empty(), "not as recorded:\n{}", differ.join("\n"));
}

/// The file that holds a session's transcript.
fn recorded(session: &Path, cgroup: &str) -> PathBuf {
    let variant = session.with_extension("v1.snap");
    let snapshots = session.with_file_name("snapshots");
    let variant = snapshots.join(variant.file_name().unwrap());
    if cgroup != "v2" && variant.exists() {
        return variant;
    }
    snapshots.join(session.with_extension("snap").file_name().unwrap())
}

/// The head that insta puts there, and the transcript.
fn snapshot(file: &Path) -> (String, String) {
    let test = file.parent().unwrap().with_file_name("transcripts.rs");
    let test = test.strip_prefix(workshop::project::root().unwrap()).unwrap().display();
    let head = format!("---\nsource: {test}\n---\n");
    let text = fs::read_to_string(file).unwrap_or_default();
    (head, text.splitn(3, "---\n").nth(2).unwrap_or_default().to_string())
}

fn steps() -> Vec<&'static str> {
    workshop::steps::all().unwrap().iter().map(|step| step.folder.as_str()).collect()
}

#[test]
fn recorded_sessions_look_the_same_on_cgroup_v2() {
    if testing::qemu("recorded_sessions_look_the_same_on_cgroup_v2") {
        sessions_on("v2", &sessions_in(&steps()));
    }
}

#[test]
fn recorded_sessions_of_the_book_look_the_same_on_cgroup_v2() {
    if testing::qemu("recorded_sessions_of_the_book_look_the_same_on_cgroup_v2") {
        // What does not look at cgroups is the same as on the machine itself.
        let looks = |name: &PathBuf| fs::read_to_string(name).unwrap().contains("cgroup");
        // The first needs a program that is not there, the others give a start a second or three,
        // which is too short where every instruction is translated.
        let left_out = ["gap_host", "gap_killed", "final_records"];
        let mut names = sessions_in(&["book"]);
        names.retain(|name| looks(name) && left_out.iter().all(|it| !is_called(name, it)));
        sessions_on("v2", &names);
    }
}

#[test]
fn recorded_sessions_look_the_same_on_hybrid_cgroups() {
    if testing::qemu("recorded_sessions_look_the_same_on_hybrid_cgroups") {
        sessions_on("hybrid", &sessions_in(&steps()));
    }
}

/// Runs a bomb in a container of step 08 and looks on from outside: what is the highest number of
/// its processes, how often was one refused, and does the machine still start any? A process of
/// bash that cannot fork waits and tries again, so the bomb does not fizzle out.
const BOMB: &str = r#"
step08 run --rootfs / /bin/bash -c ':(){ :|:& };:; sleep 60' >log 2>&1 &
seek() { cgroup=$(sed -n 's/.*processes: \(.*\) (cgroup.*/\1/p' log); [ -n "$cgroup" ]; }
until seek; do sleep 0.1; done
most=0
while [ $SECONDS -lt 10 ]; do
    # Not pids.current, which counts a process that is about to be refused, too.
    mapfile -t now <$cgroup/cgroup.procs
    [ ${#now[@]} -gt $most ] && most=${#now[@]}
done
refused=$(sed -n 's/^max //p' $cgroup/pids.events)
kill -9 $!
until [ "$(cat $cgroup/pids.current)" = 0 ]; do sleep 0.1; done
echo "$most, refused $([ $refused -gt 10 ] && echo often), $(hostname) lives"
"#;

#[test]
fn fork_bomb_stops_at_20_and_the_machine_lives() {
    if !testing::qemu("fork_bomb_stops_at_20_and_the_machine_lives") {
        return;
    }
    for cgroup in ["v2", "hybrid"] {
        let run = vm(&["--cgroup", cgroup, "--timeout", "90"], &["bash", "-c", BOMB]);
        let (said, errors) = (text(&run.stdout), text(&run.stderr));
        let (most, rest) = said.split_once(',').unwrap_or_else(|| panic!("{said}{errors}"));
        // The dead that nobody has waited for count, but are not listed.
        assert!((10..=20).contains(&most.parse().unwrap()), "{cgroup}: {said}");
        assert_eq!(rest, " refused often, vm lives\n", "{cgroup}: {errors}");
    }
}

#[test]
fn hanging_machine_is_killed_and_its_console_shown() {
    if !testing::qemu("hanging_machine_is_killed_and_its_console_shown") {
        return;
    }
    let script = "echo 8 > /proc/sys/kernel/printk; echo last words > /dev/kmsg; sleep 1000";
    let run = vm(&["--timeout", "25"], &["sh", "-c", script]);
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(125), "{said}");
    assert!(said.contains("the virtual machine was killed after 25 seconds"), "{said}");
    assert!(said.contains("last words"), "{said}");
}

#[test]
fn output_status_and_arguments_come_back_untouched() {
    if !testing::qemu("output_status_and_arguments_come_back_untouched") {
        return;
    }
    // The first start on a machine says that it fetches a kernel.
    assert!(vm(&[], &["true"]).status.success());
    let script = r#"printf '%s|' "$@"; printf 'error\n' >&2; cat; exit 42"#;
    let odd = OsString::from_vec(b"\xff\n".to_vec());
    let mut command = Command::new(WORKSHOP);
    command.args(["vm", "--", "sh", "-c", script, "sh", "a  b", "'\"$x", "", "--cgroup"]).arg(odd);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let input: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut stdin = process.stdin.take().unwrap();
    let sent = input.clone();
    let sender = std::thread::spawn(move || stdin.write_all(&sent));
    let run = process.wait_with_output().unwrap();
    sender.join().unwrap().unwrap();
    assert_eq!(text(&run.stderr), "error\n");
    assert_eq!(run.status.code(), Some(42));
    let expected = [&b"a  b|'\"$x||--cgroup|\xff\n|"[..], &input].concat();
    assert!(run.stdout == expected, "{} bytes of {}", run.stdout.len(), expected.len());
}

#[test]
fn shell_has_a_terminal_with_job_control() {
    if !testing::qemu("shell_has_a_terminal_with_job_control") {
        return;
    }
    // A plain terminal, which shows nothing but text.
    let words = ["env", "TERM=dumb", WORKSHOP, "vm"].map(OsString::from);
    let mut terminal = Terminal::start_uncaged(&words).unwrap();
    let prompt = "root@vm:/workshop# ";
    let stages = [
        ("", prompt),
        ("stty size\r", "\n24 80\n"),
        ("", prompt),
        // No child: while a shell in the middle of vfork(2) waits for one, it cannot be stopped.
        (r#"sh -c 'trap "echo again" CONT; echo on; while :; do :; done'"#, ""),
        ("\r", "\non\n"),
        ("\x1a", "Stopped"),
        ("", prompt),
        ("fg\r", "\nagain\n"),
        ("\x03", prompt),
        ("echo $?\r", "\n130\n"),
        ("", prompt),
        ("step05 run sh -c 'echo $$ is first'; exit 3\r", "\n2 is first\n"),
    ];
    for (keys, answer) in stages {
        terminal.press(keys).unwrap();
        terminal.wait_for(answer, Duration::from_secs(60)).unwrap();
    }
    assert_eq!(terminal.end(Duration::from_secs(10)).unwrap(), 3);
}

#[test]
fn hangup_ends_the_machine_too() {
    if !testing::qemu("hangup_ends_the_machine_too") {
        return;
    }
    let words = ["env", "TERM=dumb", WORKSHOP, "vm"].map(OsString::from);
    let mut terminal = Terminal::start_uncaged(&words).unwrap();
    terminal.wait_for("# ", Duration::from_secs(60)).unwrap();
    let qemu = || {
        let list = Command::new("ps").args(["--ppid", &terminal.process.id().to_string()]).output();
        text(&list.unwrap().stdout).contains("qemu")
    };
    assert!(qemu());
    kill(terminal.pid(), Signal::SIGHUP).unwrap();
    assert_eq!(terminal.end(Duration::from_secs(10)).unwrap(), 128 + 1);
}

#[test]
fn files_for_other_systems_are_well_formed() {
    let root = workshop::project::root().unwrap();
    let json = fs::read_to_string(root.join(".devcontainer/devcontainer.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["privileged"], true);
    let yaml = root.join("lima.yaml");
    let read = r#"import sys, yaml; print(sorted(yaml.safe_load(open(sys.argv[1]))))"#;
    let python = Command::new("python3").args(["-c", read]).arg(&yaml).output();
    match python {
        Ok(output) if output.status.success() => {
            assert_eq!(text(&output.stdout), "['images', 'mounts', 'provision']\n");
        }
        _ => assert!(!fs::read_to_string(yaml).unwrap().contains('\t')),
    }
}
