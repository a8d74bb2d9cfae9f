//! Limits, and the files that they are written to.

use super::{Branch, Cpus, Version};

/// The length of time in which a quota of running time is counted, in microseconds.
const PERIOD: u64 = 100_000;

/// What a container may use at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes
    pub(crate) memory: Option<u64>,
    pub(crate) cpus: Option<Cpus>,
    /// 1024 is what others have
    pub(crate) shares: Option<u64>,
    pub(crate) processes: Option<u32>,
}

impl Limits {
    /// The controllers that it takes. That of processes always: it also tells which ones there are.
    pub(super) fn controllers(&self) -> Vec<&'static str> {
        let cpu = self.cpus.is_some() || self.shares.is_some();
        let wanted = [("cpu", cpu), ("memory", self.memory.is_some()), ("pids", true)];
        wanted.into_iter().filter_map(|(name, wanted)| wanted.then_some(name)).collect()
    }

    /// File, value, and whether the file must exist.
    pub(super) fn files(&self, branch: &Branch) -> Vec<(&'static str, String, bool)> {
        let mut files = Vec::new();
        if let Some(bytes) = self.memory.filter(|_| branch.has("memory")) {
            match branch.version {
                Version::V1 => {
                    files.push(("memory.limit_in_bytes", bytes.to_string(), true));
                    // Memory and swap together.
                    let both = bytes.saturating_mul(2).min(i64::MAX as u64);
                    files.push(("memory.memsw.limit_in_bytes", both.to_string(), false));
                }
                Version::V2 => {
                    files.push(("memory.max", bytes.to_string(), true));
                    files.push(("memory.swap.max", bytes.to_string(), false));
                }
            }
        }
        if branch.has("cpu") {
            if let Some(Cpus(quota)) = self.cpus {
                match branch.version {
                    Version::V1 => {
                        files.push(("cpu.cfs_period_us", PERIOD.to_string(), true));
                        files.push(("cpu.cfs_quota_us", quota.to_string(), true));
                    }
                    Version::V2 => files.push(("cpu.max", format!("{quota} {PERIOD}"), true)),
                }
            }
            if let Some(shares) = self.shares {
                files.push(match branch.version {
                    Version::V1 => ("cpu.shares", shares.to_string(), true),
                    Version::V2 => ("cpu.weight", weight(shares).to_string(), true),
                });
            }
        }
        if let Some(number) = self.processes.filter(|_| branch.has("pids")) {
            files.push(("pids.max", number.to_string(), true));
        }
        files
    }
}

/// Shares go from 2 to 262144 on v1, weights from 1 to 10000 on v2: both ends meet.
fn weight(shares: u64) -> u64 {
    1 + (shares.saturating_sub(2) * 9999) / 262_142
}
