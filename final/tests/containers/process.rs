//! What becomes of the command: exit statuses, signals, streams, terminals.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use workshop::kernel;
use workshop::pty::Terminal;
use workshop::wait::until;

use crate::inside::play;
use crate::machine::{Ended, Machine, PATIENCE, binary, end, machine, rounds, wait_for};

const RUN: &str = "run --rm --network none";

#[test]
fn the_exit_status_is_the_commands() {
    let Some(machine) = machine("the_exit_status_is_the_commands") else { return };
    machine.shell(&format!("{RUN} host"), "exit 42").assert(42, "");
    machine.shell(&format!("{RUN} --init host"), "kill -TERM $$").assert(143, "");
    machine.run(&format!("{RUN} host nothing")).assert_error(127, "\"nothing\"");
    machine.run(&format!("{RUN} host /no/thing")).assert_error(127, "\"/no/thing\"");
    machine.run(&format!("{RUN} host /etc")).assert_error(126, "\"/etc\"");
    machine.run(&format!("{RUN} host /etc/passwd")).assert_error(126, "\"/etc/passwd\"");
    machine.run(&format!("{RUN} host /etc/passwd/x")).assert_error(126, "Not a directory");
    assert_eq!(machine.run(&format!("{RUN} --memory much host true")).status, 2);
    machine.assert_clean();
}

#[test]
fn programs_that_cannot_start() {
    let Some(machine) = machine("programs_that_cannot_start") else { return };
    let write = |name: &str, bytes: &[u8]| {
        let file = machine.write(name, "");
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("bin/lost", b"#!/no/interpreter\n");
    write("bin/none", b"echo no interpreter is named\n");
    write("bin/alien", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xff\xff");
    let mut lost_loader = fs::read(binary()).unwrap();
    let at = lost_loader.windows(9).position(|bytes| bytes == b"/ld-linux").unwrap();
    lost_loader[at + 1..at + 3].copy_from_slice(b"no");
    write("bin/adrift", &lost_loader);
    write("bin/fine", b"#!/bin/sh\necho fine \"$@\"\n");
    let run = |words: &str| machine.run(&format!("{RUN} -v @/bin:/x host /x/{words}"));
    run("lost").assert_error(127, "interpreter");
    run("adrift").assert_error(127, "interpreter");
    run("none").assert_error(126, "format");
    run("alien").assert_error(126, "format");
    run("fine -x").assert(0, "fine -x");
}

#[test]
fn words_arrive_as_they_were_written() {
    let Some(machine) = machine("words_arrive_as_they_were_written") else { return };
    let mut line = machine.line(&format!("{RUN} host printf <%s>"));
    line.extend(["a b", "", "\"'$x", "-e", "new\nline", "ü"].map(OsString::from));
    end(machine.start(&line), "").assert(0, "<a b><><\"'$x><-e><new\nline><ü>");
}

#[test]
fn a_reader_that_goes_away_ends_the_writer() {
    let Some(machine) = machine("a_reader_that_goes_away_ends_the_writer") else { return };
    // Process 1 itself would not notice SIGPIPE, but the error.
    let line = machine.line(&format!("{RUN} --init host seq 1000000000"));
    let mut words = vec!["sh", "-c", "\"$@\" | head -n 2", "-"];
    words.extend(line.iter().map(|word| word.to_str().unwrap()));
    let line: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    end(machine.start(&line), "").assert(0, "1\n2");
    machine.assert_clean();
}

#[test]
fn closed_streams_are_no_obstacle() {
    let Some(machine) = machine("closed_streams_are_no_obstacle") else { return };
    let line = machine.line(&format!("{RUN} -i -v @/:/x host sh -c"));
    let mut words = vec!["sh", "-c", "\"$@\" <&- >&- 2>&-", "-"];
    words.extend(line.iter().map(|word| word.to_str().unwrap()));
    words.push("ls -l /proc/self/fd | grep -c dev/null > /x/count");
    let line: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    end(machine.start(&line), "").assert(0, "");
    let count: u32 = fs::read_to_string(machine.path("count")).unwrap().trim().parse().unwrap();
    assert!(count >= 2);
}

#[test]
fn signals_reach_the_command() {
    let Some(machine) = machine("signals_reach_the_command") else { return };
    for (signal, name) in
        [(Signal::SIGTERM, "TERM"), (Signal::SIGUSR1, "USR1"), (Signal::SIGHUP, "HUP")]
    {
        let script = format!(
            "trap 'echo got {name}; exit 3' {name}; touch /x/{name}; while :; do sleep 0.02; done"
        );
        let ended = signalled(&machine, "", &script, name, &[signal]);
        ended.assert(3, &format!("got {name}"));
    }
    let script = "touch /x/inner; sleep 100";
    signalled(&machine, "--init", script, "inner", &[Signal::SIGTERM]).assert(143, "");
}

#[test]
fn real_time_signals_reach_the_command_and_end_it() {
    let Some(machine) = machine("real_time_signals_reach_the_command_and_end_it") else { return };
    machine.shell(&format!("{RUN} --init host"), "kill -40 $$").assert(168, "");
    for words in ["", "--init"] {
        // A process 1 takes none that it has no handler for, nor from inside of its namespace.
        let script = "trap 'echo got it; exit 3' 40 2>/dev/null || exit 9
                      touch /x/up; while :; do sleep 0.02; done";
        let mut line = machine.line(&format!("{RUN} {words} -v @/:/x host bash -c"));
        line.push(script.into());
        let process = machine.start(&line);
        wait_for(&machine.path("up"));
        let pid = process.id().to_string();
        assert!(Command::new("kill").args(["-40", &pid]).status().unwrap().success());
        end(process, "").assert(3, "got it");
        fs::remove_file(machine.path("up")).unwrap();
    }
    machine.assert_clean();
}

#[test]
fn who_asks_three_times_for_the_end_gets_it() {
    let Some(machine) = machine("who_asks_three_times_for_the_end_gets_it") else { return };
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM];
    let ended = signalled(&machine, "", "trap '' TERM INT; touch /x/up; sleep 100", "up", &signals);
    ended.assert(137, "");
    machine.assert_clean();
}

/// Sends signals to the supervisor once the container has made a file.
fn signalled(
    machine: &Machine,
    words: &str,
    script: &str,
    file: &str,
    signals: &[Signal],
) -> Ended {
    let mut line = machine.line(&format!("{RUN} {words} -v @/:/x host sh -c"));
    line.push(script.into());
    let process = machine.start(&line);
    wait_for(&machine.path(file));
    for signal in signals {
        kill(Pid::from_raw(process.id().cast_signed()), *signal).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    end(process, "")
}

#[test]
fn a_supervisor_that_is_stopped_goes_on_later() {
    let Some(machine) = machine("a_supervisor_that_is_stopped_goes_on_later") else { return };
    let line = machine.line(&format!("{RUN} -v @/:/x host sh -c"));
    let line: Vec<_> = line.into_iter().chain(["touch /x/up; sleep 0.3; exit 5".into()]).collect();
    let process = machine.start(&line);
    wait_for(&machine.path("up"));
    let pid = Pid::from_raw(process.id().cast_signed());
    kill(pid, Signal::SIGTSTP).unwrap();
    let stat = format!("/proc/{pid}/stat");
    let stopped = || fs::read_to_string(&stat).is_ok_and(|text| text.contains(") T "));
    assert!(until(PATIENCE, stopped));
    kill(pid, Signal::SIGCONT).unwrap();
    end(process, "").assert(5, "");
}

#[test]
fn a_terminal_is_raw_has_our_size_and_comes_back_as_it_was() {
    let Some(machine) = machine("a_terminal_is_raw_has_our_size_and_comes_back_as_it_was") else {
        return;
    };
    let line = machine.line(&format!("{RUN} -it host /bin/sh -c"));
    let mut words: Vec<OsString> =
        ["sh", "-c", "\"$@\"; echo status $?; stty -a", "-"].map(OsString::from).into();
    words.extend(line);
    words.push("tty; stty size; ls /dev/console; trap 'echo int' INT; echo ready; while :; do read x && echo \"got $x\" && [ \"$x\" = end ] && exit 3; done".into());
    let mut terminal = Terminal::start(&machine.cage, &words, |_| {}).unwrap();
    let shown = terminal.wait_for("ready\n", PATIENCE).unwrap();
    assert!(shown.contains("/dev/pts/0\n24 80\n/dev/console\n"), "{shown}");
    terminal.press("hello\r").unwrap();
    terminal.wait_for("got hello\n", PATIENCE).unwrap();
    terminal.press("\x03").unwrap();
    terminal.wait_for("int\n", PATIENCE).unwrap();
    terminal.press("end\r").unwrap();
    let after = terminal.wait_for("iexten", PATIENCE).unwrap();
    assert!(after.contains("status 3"), "{after}");
    assert!(after.contains(" icanon ") && !after.contains("-icanon"), "{after}");
    assert_eq!(terminal.end(PATIENCE).unwrap(), 0);
    machine.assert_clean();
}

#[test]
fn the_terminal_comes_back_when_the_supervisor_is_told_to_end() {
    let Some(machine) = machine("the_terminal_comes_back_when_the_supervisor_is_told_to_end")
    else {
        return;
    };
    let line = machine.line(&format!("{RUN} -it --name web host /bin/sh -c"));
    let mut words: Vec<OsString> =
        ["sh", "-c", "\"$@\"; echo status $?; stty -a", "-"].map(OsString::from).into();
    words.extend(line);
    words.push("trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done".into());
    let mut terminal = Terminal::start(&machine.cage, &words, |_| {}).unwrap();
    terminal.wait_for("ready\n", PATIENCE).unwrap();
    let state = fs::read_to_string(&machine.passing()[0]).unwrap();
    let pid = state.split("\"supervisor\":{\"pid\":").nth(1).unwrap().split(',').next().unwrap();
    kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGTERM).unwrap();
    let after = terminal.wait_for("iexten", PATIENCE).unwrap();
    assert!(after.contains("status 9") && !after.contains("-icanon"), "{after}");
}

#[test]
fn no_terminal_where_there_is_none() {
    let Some(machine) = machine("no_terminal_where_there_is_none") else { return };
    machine.run(&format!("{RUN} -it host true")).assert_error(125, "stdin is none");
    let ended = machine.run(&format!("{RUN} -t host tty"));
    assert_eq!((ended.status, ended.stdout.trim()), (0, "/dev/pts/0"), "{ended:?}");
}

#[test]
fn much_output_arrives_whole() {
    let Some(machine) = machine("much_output_arrives_whole") else { return };
    for option in ["", "-t"] {
        let ended = machine.run(&format!("{RUN} {option} host seq 100000"));
        assert_eq!(ended.stdout.lines().count(), 100_000);
        assert_eq!(ended.stdout.lines().last().unwrap(), "100000");
    }
}

#[test]
fn ten_thousand_orphans_leave_no_zombies() {
    let Some(machine) = machine("ten_thousand_orphans_leave_no_zombies") else { return };
    // Never many at once: on a busy machine whoever makes them is faster than who removes them.
    let script = "few() { tries=1000; while set -- /proc/[0-9]*; [ $# -gt 20 ] && [ $tries -gt 0 ]; \
                  do sleep 0.01; tries=$((tries-1)); done; [ $tries -gt 0 ]; }; \
                  i=0; while [ $i -lt COUNT ]; do (: &); (: &); (: &); (: &); (: &); i=$((i+5)); \
                  [ $((i%50)) != 0 ] || few || exit 1; done; few; ps -e -o stat= | grep -c Z; true";
    let script = script.replace("COUNT", &rounds(10_000).to_string());
    machine.shell(&format!("{RUN} --init --pids-limit 100 host"), &script).assert(0, "0");
}

#[test]
fn a_reader_that_does_not_read_keeps_nobody_from_ending() {
    let Some(machine) = machine("a_reader_that_does_not_read_keeps_nobody_from_ending") else {
        return;
    };
    for options in ["", "-t"] {
        // A pipe that is full stops the writer; the signal reaches it all the same.
        let process =
            machine.start(&machine.line(&format!("{RUN} --init {options} host seq 1000000000")));
        let mut before = 0;
        let stands_still = || {
            std::thread::sleep(Duration::from_millis(300));
            let last = std::mem::replace(&mut before, written(&machine));
            last > 60_000 && last == before
        };
        assert!(until(PATIENCE, stands_still));
        kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGTERM).unwrap();
        let alone = || machine.cage.processes().len() <= 1;
        assert!(until(PATIENCE, alone), "{options}: {:?}", machine.cage.processes());
        let ended = end(process, "");
        assert_eq!((ended.status, ended.stderr.as_str()), (143, ""), "{options}");
        assert!(ended.stdout.len() > 60_000, "{options}: {}", ended.stdout.len());
    }
    machine.assert_clean();
}

/// How much the processes of the machine have written (proc_pid_io(5)).
fn written(machine: &Machine) -> u64 {
    let files = machine.cage.processes().into_iter().map(|pid| kernel::read(pid, "io"));
    let count =
        |text: String| text.lines().find_map(|it| it.strip_prefix("wchar: ")?.parse::<u64>().ok());
    files.flatten().filter_map(count).sum()
}

#[test]
fn a_terminal_that_changes_its_size_tells_the_command() {
    let Some(machine) = machine("a_terminal_that_changes_its_size_tells_the_command") else {
        return;
    };
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut words: Vec<OsString> =
        ["sh", "-c", "tty > tty; exec \"$@\"", "-"].map(OsString::from).into();
    words.extend(machine.script(&format!("{RUN} -it host"), script));
    let mut terminal = Terminal::start(&machine.cage, &words, |_| {}).unwrap();
    terminal.wait_for("ready\n", PATIENCE).unwrap();
    machine.host("stty -F $(cat tty) rows 40 columns 132");
    terminal.wait_for("40 132\n", PATIENCE).unwrap();
    machine.host("stty -F $(cat tty) rows 10 columns 20");
    terminal.wait_for("10 20\n", PATIENCE).unwrap();
    for _ in 0..3 {
        kill(Pid::from_raw(terminal.process.id().cast_signed()), Signal::SIGTERM).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(terminal.end(PATIENCE).unwrap(), 137);
    machine.assert_clean();
}

#[test]
fn nobody_types_on_our_terminal_from_inside() {
    let Some(machine) = machine("nobody_types_on_our_terminal_from_inside") else { return };
    // Stdin is our own terminal.
    let mut words: Vec<OsString> =
        ["sh", "-c", "\"$@\"; echo ended; read x; echo \"read $x\"", "-"]
            .map(OsString::from)
            .into();
    words.extend(machine.line(&play("type", &format!("{RUN} -i"))));
    let mut terminal = Terminal::start(&machine.cage, &words, |_| {}).unwrap();
    let shown = terminal.wait_for("ended\n", PATIENCE).unwrap();
    assert!(shown.contains("typed: Err(E"), "{shown}");
    terminal.press("nothing\r").unwrap();
    terminal.wait_for("read nothing\n", PATIENCE).unwrap();
    assert_eq!(terminal.end(PATIENCE).unwrap(), 0);
    // On a terminal of its own it may.
    let ended = machine.run(&play("type", &format!("{RUN} -t")));
    assert!(ended.stdout.contains("typed: "), "{ended:?}");
    machine.assert_clean();
}

#[test]
fn ctrl_c_during_the_start_ends_it_and_leaves_nothing() {
    let Some(machine) = machine("ctrl_c_during_the_start_ends_it_and_leaves_nothing") else {
        return;
    };
    let before = machine.network();
    for round in 0..rounds(60) {
        let process = machine.start(&machine.line("run --rm --init --name c host sleep 60"));
        std::thread::sleep(Duration::from_micros(u64::from(round) * 250));
        kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGINT).unwrap();
        let ended = end(process, "");
        assert_eq!((ended.status, ended.stdout.as_str()), (130, ""), "round {round}: {ended:?}");
        assert_eq!(machine.passing(), Vec::<PathBuf>::new());
        assert_eq!(machine.cage.cgroups(), Vec::<PathBuf>::new());
    }
    machine.run("prune").assert(0, "");
    machine.assert_network(&before);
    machine.assert_clean();
}

#[test]
fn an_error_is_one_red_line() {
    let Some(machine) = machine("an_error_is_one_red_line") else { return };
    let line = machine.line(&format!("{RUN} host no\\nthing"));
    let mut terminal = Terminal::start(&machine.cage, &line, |command| {
        command.env_remove("NO_COLOR").env("TERM", "xterm");
    })
    .unwrap();
    assert_eq!(terminal.end(PATIENCE).unwrap(), 127);
    let shown = terminal.wait_for("PATH", PATIENCE).unwrap();
    assert!(shown.starts_with("\x1b[1;31merror:\x1b[0m cannot run "), "{shown:?}");
    assert_eq!(terminal.text().lines().count(), 1);
}
