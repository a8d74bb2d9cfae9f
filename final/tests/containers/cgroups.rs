//! What a container sees of its cgroup, on v1 and v2.

use crate::machine::machine;

#[test]
fn a_container_sees_its_own_cgroup_as_the_root_and_cannot_change_it() {
    let test = "a_container_sees_its_own_cgroup_as_the_root_and_cannot_change_it";
    let Some(machine) = machine(test) else { return };
    // The trees are those of the limits, or one on v2. The limit is that of the container: so it is
    // not the machine's cgroup that shows there.
    let script = "cd /sys/fs/cgroup; [ -d pids ] && cd pids
        cat pids.max; grep -cx $$ cgroup.procs
        (echo 30 > pids.max) 2>&1 | grep -o 'Read-only file system'
        mkdir x 2>&1 | grep -o 'Read-only file system'
        [ -d /sys/fs/cgroup/pids ] && grep :pids: /proc/self/cgroup | cut -d: -f3
        [ -d /sys/fs/cgroup/pids ] || cut -d: -f3 /proc/self/cgroup";
    let ended =
        machine.shell("run --rm --network none --pids-limit 20 -m 64m --cpus 1 host", script);
    ended.assert(0, "20\n1\nRead-only file system\nRead-only file system\n/");
    // It is a namespace, not ours.
    let ours = machine.cage.inside(|| std::fs::read_link("/proc/thread-self/ns/cgroup").unwrap());
    let theirs = machine.shell("run --rm --network none host", "readlink /proc/self/ns/cgroup");
    assert!(theirs.stdout.starts_with("cgroup:["), "{theirs:?}");
    assert_ne!(theirs.stdout.trim(), ours.unwrap().to_str().unwrap());
    machine.assert_clean();
}
