//! What root may do in the container: a part of what root may.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::Pid;

use crate::checks::Stage::Final;
use crate::checks::{Check, Kind, Lab, Verdict};
use crate::container::{Held, Subject, token};
use crate::kernel::{self, identity};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "capabilities",
        title: "root has Docker's 14 capabilities, and can never get others",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "grep Cap /proc/self/status, inside; capsh --decode=00000000a80425fb",
        probe: capabilities,
    },
    Check {
        name: "seccomp",
        title: "a filter refuses system calls that containers do not need",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "grep Seccomp /proc/self/status; unshare --user true; inside",
        probe: seccomp,
    },
    Check {
        name: "descriptors",
        title: "of what `run` has open, only stdin, stdout and stderr reach the command",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "exec 7< /etc/shadow, then cargo run -p final -- run --rm host ls -l /proc/self/fd",
        probe: descriptors,
    },
    Check {
        name: "own-binary",
        title: "from inside, the runtime's own program cannot be overwritten",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p final -- run --rm --init host ls -l /proc/1/exe",
        probe: own_binary,
    },
];

/// CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW,
/// SYS_CHROOT, MKNOD, AUDIT_WRITE and SETFCAP, by their numbers (capabilities(7)).
const DOCKERS: [u32; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

fn capabilities(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let docker = DOCKERS.iter().fold(0_u64, |set, number| set | 1 << number);
    let tell = |eff, prm, bnd, inh, amb| {
        format!("CapEff {eff}, CapPrm {prm}, CapBnd {bnd}, CapInh {inh}, CapAmb {amb}")
    };
    let set = |field| kernel::status(held.command, field);
    let found =
        tell(set("CapEff")?, set("CapPrm")?, set("CapBnd")?, set("CapInh")?, set("CapAmb")?);
    let (full, none) = (|| format!("{docker:016x}"), || format!("{:016x}", 0));
    let expected = tell(full(), full(), full(), none(), none());
    let meaning = "Root with all capabilities loads modules, sets the clock and mounts disks. The \
                   bounding set keeps set-user-ID programs from getting them back.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

fn seccomp(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold("unshare --user true 2>&1; echo status $?")?;
    let mode = kernel::status(held.command, "Seccomp")?;
    let lines = held.output();
    let said = |line: &&String| line.starts_with("unshare:") || line.starts_with("status ");
    let said = lines.iter().filter(said).cloned().collect::<Vec<_>>().join(" / ");
    let refused = said.contains("Operation not permitted");
    let found = format!("Seccomp {mode}; unshare --user true: {said}");
    let expected = "Seccomp 2 (a filter); unshare --user true: Operation not permitted";
    let meaning = "Every system call is a way into the kernel. Most programs need half of them; in a \
                   user namespace of their own they would reach still more.";
    Ok(Verdict::new(mode == "2" && refused, expected, found, meaning))
}

fn descriptors(lab: &Lab) -> Result<Verdict> {
    // `run` is started with two more, as by a careless shell script.
    let script = "exec 7< /etc/passwd 9> /dev/null; exec \"$@\"";
    let words = ["-c", script, "sh"].map(OsString::from).into_iter();
    let line = lab.subject.command_line::<&str>(&[]);
    let careless = Subject { binary: "/bin/sh".into(), words: words.chain(line).collect() };
    let held = careless.hold(lab.cage, ":")?;
    let folder = format!("/proc/{}/fd", held.command);
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?;
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let mut open: Vec<u32> = entries.flatten().filter_map(number).collect();
    open.sort_unstable();
    let (expected, found) = ("open: [0, 1, 2]", format!("open: {open:?}"));
    let meaning =
        "An open file of the host is a way around the root, an open folder a way out of it.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

fn own_binary(lab: &Lab) -> Result<Verdict> {
    let expected = "it runs nowhere inside, or from a read-only mount only";
    let meaning = "Who finds the program in /proc/PID/exe writes to the host's file, which root will \
                   run again (CVE-2019-5736).";
    let mut found = expected.to_string();
    let mut holds = true;
    for options in [&[][..], &["--init"]] {
        let held = lab.hold_with(options, ":")?;
        if let Some(pid) = writable_inside(lab, &held)? {
            let inside = kernel::ids(pid)?.last().copied().unwrap_or_default();
            found = format!("process {inside} inside runs it, from a mount that can be written to");
            holds = false;
            break;
        }
        // Whoever runs this runs what its own process was before: the runtime, if nobody cares.
        if runs_anew(lab, options)? && !is_read_only(held.run()) {
            found = "#!/proc/self/exe runs it, from a mount that can be written to".into();
            holds = false;
            break;
        }
    }
    Ok(Verdict::new(holds, expected, found, meaning))
}

/// A process in the container that runs the runtime's program, and could overwrite it later.
fn writable_inside(lab: &Lab, held: &Held) -> Result<Option<Pid>> {
    let namespace = kernel::namespace(held.command, "pid")?;
    let binary = identity(format!("/proc/{}/exe", held.run()))?;
    let inside = |pid: &Pid| kernel::namespace(*pid, "pid").is_ok_and(|it| it == namespace);
    let runs_it = |pid: &Pid| identity(format!("/proc/{pid}/exe")).is_ok_and(|it| it == binary);
    let mut all = lab.cage.processes().into_iter();
    Ok(all.find(|pid| inside(pid) && runs_it(pid) && !is_read_only(*pid)))
}

fn is_read_only(pid: Pid) -> bool {
    let mount = statvfs(format!("/proc/{pid}/exe").as_str());
    mount.is_ok_and(|mount| mount.flags().contains(FsFlags::ST_RDONLY))
}

/// Whether a script of the image makes the kernel run the runtime's program inside.
fn runs_anew(lab: &Lab, options: &[&str]) -> Result<bool> {
    let name = format!("/{}", token());
    let script = lab.rootfs.join(&name[1..]);
    fs::write(&script, "#!/proc/self/exe\n").context("cannot write a script for the check")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
        .context("cannot make a script executable")?;
    let inside = lab.subject.with(options).run(lab.cage, &[&name])?;
    // It would complain about its arguments, as it does outside.
    let program = Subject { binary: lab.subject.binary.clone(), words: Vec::new() };
    let outside = program.run(lab.cage, &[&name])?;
    Ok(!outside.stderr.is_empty() && inside.stderr.contains(outside.stderr.trim()))
}
