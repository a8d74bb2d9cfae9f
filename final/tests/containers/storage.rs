//! Full disks: whatever does not fit is told, and nothing is left.

use std::ffi::OsString;

use crate::machine::{Ended, Machine, end, machine};

/// Runs `final` with a root of its own, a small disk that is mounted for it.
fn on_small_disk(machine: &Machine, size: &str, line: &[OsString]) -> Ended {
    machine.host(&format!(
        "mkdir -p {0}/small; mount -t tmpfs -o {size} small {0}/small
         mkdir {0}/small/images; cp {0}/root/images/host.json {0}/small/images",
        machine.path("").display()
    ));
    end(machine.start(&rooted(machine, line)), "")
}

/// With the small disk as `--root`.
fn rooted(machine: &Machine, line: &[OsString]) -> Vec<OsString> {
    let mut line = line.to_vec();
    line[2] = machine.path("small").into();
    line
}

/// Whose containers are on the disk, and the records of their networks.
fn left(machine: &Machine) -> String {
    let small = machine.path("small");
    let script = "cd $0; for it in containers/* network/*/10.*; do [ -h $it -o -e $it ] && echo $it; done; true";
    machine.host(&script.replace("$0", small.to_str().unwrap()))
}

fn unmount(machine: &Machine) {
    machine.host(&format!("umount {}", machine.path("small").display()));
}

/// Grows the disk until a run fits on it, and looks at every run that does not.
fn grow(machine: &Machine, words: &str, size: impl Fn(u32) -> String) {
    let line = machine.script(words, "echo it runs");
    for step in 0..60 {
        let ended = on_small_disk(machine, &size(step), &line);
        let (fits, runs) = (ended.stderr.is_empty(), ended.status == 0);
        if !fits {
            // It may have done without something, or lack room for its end only.
            let last = ended.stderr.lines().last().unwrap();
            assert!(last.contains("No space left on device. "), "{ended:?}");
            assert!(runs || last.starts_with("error: cannot "), "{ended:?}");
        }
        let expected = if runs { (0, "it runs\n") } else { (125, "") };
        assert_eq!((ended.status, ended.stdout.as_str()), expected, "{ended:?}");
        if runs && !words.contains("--rm") {
            assert!(step > 0, "there was room at once");
            let remove = rooted(machine, &machine.line("rm it"));
            end(machine.start(&remove), "").assert(0, "");
        }
        assert_eq!(left(machine), "", "{ended:?}");
        unmount(machine);
        machine.assert_clean();
        if fits {
            return;
        }
    }
    panic!("it never fits");
}

#[test]
fn without_room_for_files_nothing_starts_and_nothing_is_left() {
    let Some(machine) = machine("without_room_for_files_nothing_starts_and_nothing_is_left") else {
        return;
    };
    // The image's description takes the first page.
    let pages = |step: u32| format!("size={}k", 4 * (1 + step));
    grow(&machine, "run --rm --name it --network none host", pages);
    grow(&machine, "run --rm --name it host", pages);
    grow(&machine, "run --name it --network none host", pages);
    machine.run("prune").assert(0, "");
}

#[test]
fn without_inodes_nothing_starts_and_nothing_is_left() {
    let Some(machine) = machine("without_inodes_nothing_starts_and_nothing_is_left") else {
        return;
    };
    // The root folder, the images' and the description take the first three.
    let inodes = |step: u32| format!("size=1m,nr_inodes={}", 3 + step);
    grow(&machine, "run --rm --name it --network none host", inodes);
    grow(&machine, "run --rm --name it host", inodes);
    grow(&machine, "run --name it --network none host", inodes);
    machine.run("prune").assert(0, "");
}

#[test]
fn a_container_that_fills_its_disk_can_be_removed() {
    let Some(machine) = machine("a_container_that_fills_its_disk_can_be_removed") else { return };
    let fill = "dd if=/dev/zero of=/big bs=4k 2>&1 | grep -o 'No space left on device'; exit 3";
    let line = machine.script("run --name big --network none host", fill);
    let ended = on_small_disk(&machine, "size=1m", &line);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (3, "No space left on device\n"),
        "{ended:?}"
    );
    end(machine.start(&rooted(&machine, &machine.line("rm big"))), "").assert(0, "");
    assert_eq!(left(&machine), "");
    unmount(&machine);
    machine.assert_clean();
}

#[test]
fn a_tmpfs_that_is_full_is_the_containers_affair() {
    let Some(machine) = machine("a_tmpfs_that_is_full_is_the_containers_affair") else { return };
    let fill = "dd if=/dev/zero of=/run/big bs=4k 2>&1 | grep -o 'No space left on device'; \
                stat -c %s /run/big; touch /still-works";
    machine
        .shell("run --rm --network none --tmpfs /run:size=1m host", fill)
        .assert(0, "No space left on device\n1048576");
    machine.assert_clean();
}
