//! Limits hold, and say so.

use std::ffi::OsString;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use workshop::kernel;
use workshop::wait::until;

use crate::machine::{Machine, PATIENCE, end, machine};

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
    // Two that do nothing but count: one alone may have to wait for others on this machine.
    let script = "count() { while :; do i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done; done; }; \
                  count & count & read x; cat /sys/fs/cgroup/cpu*/cpu.stat /sys/fs/cgroup/cpu.stat \
                  2>/dev/null | sed -n 's/nr_throttled //p'";
    machine.go_first();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let line = machine.script(&format!("{RUN} -i --cpus 0.5 host"), script);
        let process = machine.start(&line);
        assert!(until(PATIENCE, || contained(&machine).len() == 3 && ticks(&machine) > 10));
        let (begin, before) = (Instant::now(), ticks(&machine));
        sleep(Duration::from_secs(2));
        let (used, time) = (ticks(&machine) - before, begin.elapsed());
        let ended = end(process, "enough\n");
        let throttled: u32 = ended.stdout.trim().parse().unwrap();
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
        // In hundredths of a second.
        let share = f64::from(used) / 100.0 / time.as_secs_f64();
        assert!(share < 0.5 * 1.15, "{share}");
        // On a machine with much else to do it may be less, but not always.
        if share > 0.5 * 0.85 && throttled > 5 {
            return;
        }
        seen.push((share, throttled));
    }
    panic!("{seen:?}");
}

/// The processes of all containers.
fn contained(machine: &Machine) -> Vec<Pid> {
    machine.cage.cgroups().iter().flat_map(|cgroup| kernel::processes_below(cgroup)).collect()
}

/// How long they have run, in clock ticks (proc_pid_stat(5)).
fn ticks(machine: &Machine) -> u32 {
    let stats = contained(machine).into_iter().map(|pid| kernel::read(pid, "stat"));
    let ticks = stats.flatten().map(|stat| {
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
        fields.map(|field| field.parse::<u32>().unwrap()).sum::<u32>()
    });
    ticks.sum()
}

#[test]
fn the_kernel_gets_the_numbers() {
    let Some(machine) = machine("the_kernel_gets_the_numbers") else { return };
    let script = "cd /sys/fs/cgroup; for file in memory.max memory/memory.limit_in_bytes cpu.max \
                  cpu*/cpu.cfs_quota_us cpu.weight cpu*/cpu.shares pids.max pids/pids.max; do \
                  [ ! -e $file ] || cat $file; done";
    let words = "-m 1.5g --cpus 0.25 --cpu-shares 512 --pids-limit 33";
    let ended = machine.shell(&format!("{RUN} {words} host"), script);
    let v2 = machine.cage.leaf().join("cgroup.type").exists();
    let [quota, shares] = if v2 { ["25000 100000", "20"] } else { ["25000", "512"] };
    ended.assert(0, &format!("{}\n{quota}\n{shares}\n33", 3_u64 << 29));
    // More than there is is no fault, as no limit is none.
    let ended = machine.shell(&format!("{RUN} --cpus 64 --pids-limit -1 host"), script);
    assert!(ended.stdout.contains("6400000"), "{ended:?}");
    assert!(ended.stdout.ends_with("max\n"), "{ended:?}");
    machine.assert_clean();
}

#[test]
fn without_the_cgroups_it_is_said_which_one_is_missing() {
    let Some(machine) = machine("without_the_cgroups_it_is_said_which_one_is_missing") else {
        return;
    };
    let tree = "tree=/sys/fs/cgroup/memory; [ -e $tree ] || tree=/sys/fs/cgroup";
    let run = |change: &str| {
        let script = format!("{tree}; mount --make-rprivate /; {change} && exec \"$@\"");
        let mut line = ["unshare", "-m", "sh", "-c", &script, "sh"].map(OsString::from).to_vec();
        line.extend(machine.line(&format!("{RUN} -m 64m host true")));
        let ended = end(machine.start(&line), "");
        machine.assert_clean();
        ended
    };
    // Below the machine's own /sys lies that of the real one.
    run("umount -l /sys && umount -l $tree").assert_error(125, "that shows our cgroup");
    run("mount -o remount,bind,ro $tree").assert_error(125, "Read-only file system");
    run("true").assert(0, "");
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
fn zombies_count_as_processes() {
    let Some(machine) = machine("zombies_count_as_processes") else { return };
    // Their parents are gone, and process 1 is a program that looks after nobody.
    let script = "(trap ': > /x/end' EXIT; i=0; while [ $i -lt 200 ]; do (true &); i=$((i+1)); \
                  done) 2>/x/said & exec cat /x/end";
    mkfifo(&machine.path("end"), Mode::S_IRWXU).unwrap();
    machine.shell(&format!("{RUN} --pids-limit 30 -v @/:/x host"), script).assert(0, "");
    let said = fs::read_to_string(machine.path("said")).unwrap();
    assert!(said.contains("fork"), "{said}");
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
    let words = "-m=0 -m=-1 -m=1x -m=99999999999g -m=18446744073709551616 -m= -m=1..5g -m=1m --cpus=0 --cpus=-1 --cpus=x --cpu-shares=0 \
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
    let script = "while [ ! -e /x/end ]; do sleep 0.02; done";
    let line = machine.script(&format!("{RUN} --name same -v @/:/x host"), script);
    let mut runs: Vec<_> = (0..6).map(|_| machine.start(&line)).collect();
    let refused = || runs.iter_mut().filter_map(|run| run.try_wait().unwrap()).count() == 5;
    assert!(until(PATIENCE, refused));
    machine.write("end", "");
    let ended: Vec<_> = runs.into_iter().map(|run| end(run, "")).collect();
    assert_eq!(ended.iter().filter(|ended| ended.status == 0).count(), 1, "{ended:?}");
    let others = ended.iter().filter(|ended| ended.status != 0);
    others.for_each(|ended| ended.assert_error(125, "call it same"));
    machine.assert_clean();
}
