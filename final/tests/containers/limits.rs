//! Limits hold, and say so.

use std::thread;

use crate::machine::{end, machine};

const RUN: &str = "run --rm --network none";

#[test]
fn memory_ends_at_the_limit_and_it_is_said() {
    let Some(machine) = machine("memory_ends_at_the_limit_and_it_is_said") else { return };
    // tail keeps all of a line that does not end.
    let ended = machine.shell(&format!("{RUN} -m 32m host"), "head -c 300m /dev/zero | tail -n 1");
    assert_eq!(ended.status, 137, "{ended:?}");
    assert!(ended.stderr.contains("reached its limit of memory"), "{ended:?}");
    machine.shell(&format!("{RUN} -m 32m host"), "echo fits").assert(0, "fits");
    machine.assert_clean();
}

#[test]
fn what_is_written_to_the_root_counts_as_memory() {
    let Some(machine) = machine("what_is_written_to_the_root_counts_as_memory") else { return };
    let ended =
        machine.shell(&format!("{RUN} -m 32m host"), "dd if=/dev/zero of=/x bs=1M count=300 2>&1");
    assert_ne!(ended.status, 0, "{ended:?}");
}

#[test]
fn half_a_processor_is_half_a_processor() {
    let Some(machine) = machine("half_a_processor_is_half_a_processor") else { return };
    // Two shells that do nothing but count, for two seconds: their time on the processors, in
    // hundredths of a second, and how often the kernel held them back.
    let script = "count() { while :; do i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done; done; }; \
                  count & count & sleep 2; cat /proc/[0-9]*/stat | awk '{t += $14 + $15} END {print t}'; \
                  cat /sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu.stat 2>/dev/null | \
                  sed -n 's/nr_throttled //p'";
    let ended = machine.shell(&format!("{RUN} --cpus 0.5 host"), script);
    let numbers: Vec<f64> = ended.stdout.lines().map(|line| line.parse().unwrap()).collect();
    let [ticks, throttled] = numbers[..] else { panic!("{ended:?}") };
    let share = ticks / 200.0;
    // On a busy machine it may be less, but only on an idle one is that a fault.
    assert!(share < 0.5 * 1.15 && throttled > 0.0, "{share} {throttled}");
}

#[test]
fn processes_end_at_the_limit() {
    let Some(machine) = machine("processes_end_at_the_limit") else { return };
    let script = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null; echo lived";
    let ended = machine.shell(&format!("{RUN} --pids-limit 20 host"), script);
    assert!(ended.stderr.contains("fork") || ended.status != 0, "{ended:?}");
    let script = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; echo lived";
    machine.shell(&format!("{RUN} --pids-limit 60 host"), script).assert(0, "lived");
    machine.assert_clean();
}

#[test]
fn a_container_sees_its_own_cgroup_only() {
    let Some(machine) = machine("a_container_sees_its_own_cgroup_only") else { return };
    let script = "grep -E 'pids|memory|^0' /proc/self/cgroup | cut -d: -f3 | sort -u; \
                  cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; ls -d /sys/fs/cgroup/pids/final-* 2>/dev/null; true";
    machine.shell(&format!("{RUN} -m 64m --pids-limit 20 host"), script).assert(0, "/\n20");
}

#[test]
fn amounts_that_make_no_sense_are_refused() {
    let Some(machine) = machine("amounts_that_make_no_sense_are_refused") else { return };
    let words = "-m=0 -m=-1 -m=1x -m=99999999999g -m=1m --cpus=0 --cpus=-1 --cpus=x --cpu-shares=0 \
                 --pids-limit=-5 --pids-limit=x -p=0:1 -p=70000:1 -p=1 --ip=1 --network=moon";
    for word in words.split_whitespace() {
        let ended = machine.run(&format!("run --rm {word} host true"));
        assert!(matches!(ended.status, 2 | 125), "{word}: {ended:?}");
        assert!(ended.stderr.starts_with("error: "), "{word}: {ended:?}");
    }
    machine.assert_clean();
}

#[test]
fn a_name_is_taken_once() {
    let Some(machine) = machine("a_name_is_taken_once") else { return };
    let line = machine.line(&format!("{RUN} --name same host sleep 1"));
    let ended: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = (0..6).map(|_| scope.spawn(|| end(machine.start(&line), ""))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(ended.iter().filter(|ended| ended.status == 0).count(), 1, "{ended:?}");
    let others = ended.iter().filter(|ended| ended.status != 0);
    others.for_each(|ended| ended.assert_error(125, "call it same"));
    machine.assert_clean();
}
