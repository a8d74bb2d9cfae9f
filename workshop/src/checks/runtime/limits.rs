//! Memory and processors, in the files of the container's cgroups (cgroups(7)).

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::checks::Stage::Final;
use crate::checks::{Check, Kind, Lab, Verdict};
use crate::container::Held;
use crate::kernel;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "memory-limit",
        title: "--memory is the limit of the container's memory cgroup",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "run --memory 64m, then cat memory.max (v1: memory.limit_in_bytes) in its cgroup",
        probe: memory_limit,
    },
    Check {
        name: "cpu-limit",
        title: "--cpus is the quota of the container's cpu cgroup",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "run --cpus 0.5, then cat cpu.max (v1: cpu.cfs_quota_us, cpu.cfs_period_us) in its cgroup",
        probe: cpu_limit,
    },
    Check {
        name: "limits-removed",
        title: "afterwards all cgroups of the container are gone",
        since: Final,
        until: Final,
        kind: Kind::New,
        by_hand: "find /sys/fs/cgroup -name 'final-*', after the run",
        probe: limits_removed,
    },
];

/// The container's own folder in the tree of a controller.
fn own(held: &Held, controller: &str) -> Result<(u8, PathBuf)> {
    let (version, folder) = kernel::cgroup(held.command, controller)?;
    if folder == kernel::cgroup(held.run(), controller)?.1 {
        bail!("the command is in the {controller} cgroup of `run`, {}", folder.display());
    }
    Ok((version, folder))
}

/// The numbers in some files of a folder.
fn numbers(folder: &std::path::Path, files: &[&str]) -> Result<String> {
    let read = |name: &&str| {
        let file = folder.join(name);
        let text = fs::read_to_string(&file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        Ok(text.trim().to_string())
    };
    Ok(files.iter().map(read).collect::<Result<Vec<_>>>()?.join(" "))
}

fn memory_limit(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold_with(&["--memory", "64m"], ":")?;
    let (version, folder) = own(&held, "memory")?;
    let file = if version == 1 { "memory.limit_in_bytes" } else { "memory.max" };
    let found = format!("{file} is {}", numbers(&folder, &[file])?);
    let expected = format!("{file} is {}", 64 << 20);
    let meaning = "Without a number there the container takes the memory of all others.";
    Ok(Verdict::new(expected == found, expected, found, meaning))
}

fn cpu_limit(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold_with(&["--cpus", "0.5"], ":")?;
    let (version, folder) = own(&held, "cpu")?;
    let files: &[&str] =
        if version == 1 { &["cpu.cfs_quota_us", "cpu.cfs_period_us"] } else { &["cpu.max"] };
    let numbers = numbers(&folder, files)?;
    let share = numbers
        .split_once(' ')
        .and_then(|(quota, period)| Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?));
    let found = format!("{}: {numbers}", files.join(" "));
    let expected = format!("{}: a quota of half the period", files.join(" "));
    let meaning = "Of every period, in microseconds, the container may run for the quota.";
    Ok(Verdict::new(share == Some(0.5), expected, found, meaning))
}

fn limits_removed(lab: &Lab) -> Result<Verdict> {
    let held = lab.hold_with(&["--memory", "64m", "--cpus", "0.5"], "sleep 30 &")?;
    let folders = ["memory", "cpu", "pids"].map(|controller| own(&held, controller));
    held.end()?;
    let folders = folders.into_iter().collect::<Result<Vec<_>>>()?;
    let left: Vec<String> = folders
        .iter()
        .filter(|(_, folder)| folder.exists())
        .map(|(_, folder)| folder.display().to_string())
        .collect();
    let found = if left.is_empty() {
        "none is left".to_string()
    } else {
        format!("left: {}", left.join(" "))
    };
    let meaning = "A cgroup stays until somebody removes its folder, in each tree that it is in.";
    Ok(Verdict::new(left.is_empty(), "none is left", found, meaning))
}
