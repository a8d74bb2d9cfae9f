//! Step 06: another root directory (chroot(2)).

use std::fs;

use anyhow::{Context, Result};

use super::Stage::{Final, Step};
use super::{Check, Kind, LAST, Lab, Verdict};
use crate::container::token;
use crate::kernel::{self, identity};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "root",
        title: "the command's root is the root filesystem",
        since: Step(6),
        until: Step(8),
        kind: Kind::New,
        by_hand: "ls -l /proc/PID/root",
        probe: root,
    },
    Check {
        name: "working-directory",
        title: "the command starts in /, inside the new root",
        since: Step(6),
        until: Final,
        kind: Kind::New,
        by_hand: "ls -l /proc/PID/cwd",
        probe: working_directory,
    },
    Check {
        name: "only-inside",
        title: "files of the root filesystem are seen, files of the host are not",
        since: Step(6),
        until: Final,
        kind: Kind::New,
        by_hand: "touch /tmp/secret outside, ls /tmp inside",
        probe: only_inside,
    },
    Check {
        name: "rootfs-option",
        title: "--rootfs chooses another root filesystem",
        since: Step(6),
        until: LAST,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run --rootfs DIR ls /",
        probe: rootfs_option,
    },
    Check {
        name: "default-command",
        title: "without COMMAND, /bin/sh runs",
        since: Step(6),
        until: Final,
        kind: Kind::New,
        by_hand: "echo 'echo hello' | cargo run -p stepNN run",
        probe: default_command,
    },
    Check {
        name: "no-proc",
        title: "/proc is empty inside, so `ps` cannot work",
        since: Step(6),
        until: Step(6),
        kind: Kind::New,
        by_hand: "cargo run -p step06 run ls /proc",
        probe: no_proc,
    },
    Check {
        name: "writes-stay",
        title: "a file that is written inside is still there in the next run",
        since: Step(6),
        until: Step(8),
        kind: Kind::Duty,
        by_hand: "touch /tmp/x inside, run again, ls /tmp",
        probe: writes_stay,
    },
];

fn root(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let found = format!("/ is {}", kernel::link(held.command, "root")?);
    let inside = identity(format!("/proc/{}/root/.", held.command))?;
    let holds = inside == identity(lab.rootfs)?;
    let meaning = "chroot(2) in the child changes what / means for it and for what it starts.";
    Ok(Verdict::new(holds, format!("/ is {}", lab.rootfs.display()), found, meaning))
}

fn working_directory(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let (root, cwd) = (kernel::link(held.command, "root")?, kernel::link(held.command, "cwd")?);
    let of = |name| identity(format!("/proc/{}/{name}/.", held.command));
    let holds = of("root")? == of("cwd")? && of("root")? != identity("/")?;
    let found = format!("working directory {cwd}, root {root}");
    let meaning =
        "chroot(2) leaves the working directory where it was: outside. chdir(\"/\") must follow.";
    Ok(Verdict::new(holds, "a root of its own, and the working directory there", found, meaning))
}

fn only_inside(lab: &Lab) -> Result<Verdict> {
    let (inside, outside) = (token(), token());
    fs::write(lab.rootfs.join(&inside), format!("{inside}\n"))
        .context("cannot write a file for the check")?;
    let folder = lab.rootfs.parent().context("the root filesystem lies in a folder")?;
    let secret = folder.join(&outside);
    fs::write(&secret, format!("{outside}\n")).context("cannot write a file for the check")?;
    let script = format!("cat /{inside}; cat {}", secret.display());
    let output = lab.run(&["/bin/sh", "-c", &script])?.stdout;
    let sees = |word: &str| output.lines().any(|line| line == word);
    let found = match (sees(&inside), sees(&outside)) {
        (true, false) => "the file inside is read, the one outside is not there",
        (true, true) => "both files are read",
        (false, true) => "the file outside is read, the one inside is not there",
        (false, false) => "neither file is read",
    };
    let holds = sees(&inside) && !sees(&outside);
    let meaning = "The command still sees the host's files.";
    Ok(Verdict::new(holds, "only the file in the root filesystem is read", found, meaning))
}

fn rootfs_option(lab: &Lab) -> Result<Verdict> {
    // The same files under another name.
    let other = lab.rootfs.with_file_name("another: root, filesystem");
    std::os::unix::fs::symlink("rootfs", &other).ok();
    let word = token();
    // A whole line: what `run` says meanwhile begins another.
    let line = format!("{word}\n");
    fs::write(lab.rootfs.join(&word), line).context("cannot write a file for the check")?;
    let path = other.to_string_lossy();
    let mut subject = lab.subject.clone();
    subject.words.extend(["--rootfs".into(), path.as_ref().into()]);
    let ended = subject.run(lab.cage, &["cat", &format!("/{word}")])?;
    let good = ended.stdout.lines().any(|line| line == word);
    subject.words.pop();
    subject.words.push("/no/such/folder".into());
    let missing = subject.run(lab.cage, &["true"])?;
    let holds = good && missing.status == 125 && missing.stderr.contains("/no/such/folder");
    let found = if good {
        format!("a file of DIR; for a missing DIR: {}", missing.describe())
    } else {
        ended.describe()
    };
    let expected = "a file of DIR is read; for a missing DIR status 125 and its name";
    let meaning =
        "The folder given with --rootfs is the one to use, whatever its name, and no other.";
    Ok(Verdict::new(holds, expected, found, meaning))
}

fn default_command(lab: &Lab) -> Result<Verdict> {
    let mut running = lab.start(&[])?;
    let word = token();
    running.write(&format!("echo $((1 + 1))-{word}\n"))?;
    let ended = running.end()?;
    let expected = format!("2-{word}");
    let holds = ended.stdout.lines().any(|line| line == expected);
    let found = if holds { expected.clone() } else { ended.describe() };
    let meaning = "A container without a command is given a shell, which reads stdin.";
    Ok(Verdict::new(holds, expected, found, meaning))
}

fn no_proc(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let proc = format!("/proc/{}/root/proc", held.command);
    let entries = fs::read_dir(&proc).with_context(|| format!("cannot read {proc}"))?.count();
    let meaning = "The root filesystem comes with an empty folder proc.";
    Ok(Verdict::new(
        entries == 0,
        "0 entries in /proc",
        format!("{entries} entries in /proc"),
        meaning,
    ))
}

fn writes_stay(lab: &Lab) -> Result<Verdict> {
    let file = format!("/tmp/{}", token());
    lab.run(&["/bin/sh", "-c", &format!("echo kept > {file}")])?;
    let ended = lab.run(&["/bin/sh", "-c", &format!("cat {file}; rm {file}")])?;
    let holds = ended.stdout.lines().any(|line| line == "kept");
    let meaning = "Nothing has been put over the root filesystem yet: it is written to directly.";
    Ok(Verdict::new(holds, "the file of the first run", ended.describe(), meaning))
}
