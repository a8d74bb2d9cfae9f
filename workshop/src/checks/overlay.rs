//! Step 09: an overlay filesystem.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Stage::{Final, Step};
use super::{Check, Kind, Lab, Verdict};
use crate::container::token;
use crate::mountinfo;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "overlay-root",
        title: "the command's root is an overlay with an upper layer",
        since: Step(9),
        until: Final,
        kind: Kind::New,
        by_hand: "cat /proc/mounts inside",
        probe: overlay_root,
    },
    Check {
        name: "writes-above",
        title: "what is written inside is not in the root filesystem",
        since: Step(9),
        until: Final,
        kind: Kind::New,
        by_hand: "touch /x inside, ls ROOTFS outside",
        probe: writes_above,
    },
    Check {
        name: "fresh-start",
        title: "the next run starts fresh",
        since: Step(9),
        until: Final,
        kind: Kind::New,
        by_hand: "echo foobar > /test inside, exit, run again, cat /test",
        probe: fresh_start,
    },
    Check {
        name: "lower-kept",
        title: "a file that is changed or removed inside stays as it was below",
        since: Step(9),
        until: Final,
        kind: Kind::New,
        by_hand: "rm /etc/passwd inside, cat ROOTFS/etc/passwd outside",
        probe: lower_kept,
    },
    Check {
        name: "apart",
        title: "two containers do not see each other's files",
        since: Step(9),
        until: Final,
        kind: Kind::New,
        by_hand: "touch /x in one, ls / in another",
        probe: apart,
    },
];

fn overlay_root(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold(":")?;
    let mounts = mountinfo::of(held.command)?;
    let root = mounts
        .iter()
        .rfind(|mount| mount.point == Path::new("/"))
        .context("/ is not a mount point of the container")?;
    let upper = root.options.split(',').find(|option| option.starts_with("upperdir="));
    let holds = root.kind == "overlay" && upper.is_some();
    let found = format!("{} on /, {}", root.kind, upper.unwrap_or("no upperdir"));
    let meaning = "The child must chroot into the merged folder.";
    Ok(Verdict::new(holds, "overlay on /, with an upperdir", found, meaning))
}

fn writes_above(lab: &Lab) -> Result<Verdict> {
    let file = token();
    let held = lab.hold(&format!("echo foobar > /{file}"))?;
    let inside = PathBuf::from(format!("/proc/{}/root/{file}", held.command)).exists();
    let below = lab.rootfs.join(&file).exists();
    let holds = inside && !below;
    let there = |there| if there { "there" } else { "not there" };
    let found = format!(
        "the new file is {} inside, {} in the root filesystem",
        there(inside),
        there(below)
    );
    let expected = "the new file is there inside, not there in the root filesystem";
    let meaning = "Writes reach the root filesystem itself.";
    Ok(Verdict::new(holds, expected, found, meaning))
}

fn fresh_start(lab: &Lab) -> Result<Verdict> {
    let file = token();
    let script = format!("cat /{file} 2>&1; echo foobar > /{file}; cat /{file}");
    lab.run(&["/bin/sh", "-c", &script])?;
    let again = lab.run(&["/bin/sh", "-c", &script])?;
    let seen = again.stdout.lines().filter(|line| *line == "foobar").count();
    let found = format!(
        "in the second run the file was {}",
        match seen {
            0 => "never there",
            1 => "there only once it was written",
            _ => "there from the first run",
        }
    );
    let expected = "in the second run the file was there only once it was written";
    let meaning = "What one run writes is there in the next.";
    Ok(Verdict::new(seen == 1, expected, found, meaning))
}

fn lower_kept(lab: &Lab) -> Result<Verdict> {
    let (changed, removed) = (token(), token());
    for name in [&changed, &removed] {
        fs::write(lab.rootfs.join(name), "below").context("cannot write a file for the check")?;
    }
    let held = lab.hold(&format!("echo above > /{changed}; rm /{removed}"))?;
    let read = |folder: &str, name: &str| {
        fs::read_to_string(PathBuf::from(folder).join(name)).unwrap_or("gone".into())
    };
    let inside = format!("/proc/{}/root", held.command);
    let below = lab.rootfs.to_string_lossy().into_owned();
    let tell = |folder: &str| {
        format!("{} and {}", read(folder, &changed).trim(), read(folder, &removed).trim())
    };
    let found = format!("inside {}, below {}", tell(&inside), tell(&below));
    let expected = "inside above and gone, below below and below";
    let meaning = "An overlay copies a file up before it changes it, and hides a removed one with a whiteout.";
    Ok(Verdict::new(found == expected, expected, found, meaning))
}

fn apart(lab: &Lab) -> Result<Verdict> {
    let file = token();
    let writer = lab.hold(&format!("echo foobar > /{file}"))?;
    let reader = lab.hold(":")?;
    let sees = |pid| PathBuf::from(format!("/proc/{pid}/root/{file}")).exists();
    let (written, seen) = (sees(writer.command), sees(reader.command));
    let holds = written && !seen;
    let found = match (written, seen) {
        (true, false) => "the file is there in the first container only",
        (true, true) => "the file is there in both containers",
        _ => "the file was not written",
    };
    let meaning = "Each run needs an upper layer of its own.";
    Ok(Verdict::new(holds, "the file is there in the first container only", found, meaning))
}
