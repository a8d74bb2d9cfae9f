//! What an OCI runtime reads: config.json, as `crun spec` and `runc spec` write it, with a cgroup
//! namespace and limits (the OCI runtime specification, config.md and config-linux.md).

use std::path::Path;

use serde_json::{Value, json};

use super::contestants::{MEMORY, PROCESSES};
use super::measure::COMMAND;

pub(super) fn config(rootfs: &Path, name: &str, limited: bool) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    let mut resources = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    if limited {
        resources["memory"] = json!({ "limit": MEMORY, "swap": 2 * MEMORY });
        resources["cpu"] = json!({ "quota": 100_000, "period": 100_000 });
        resources["pids"] = json!({ "limit": PROCESSES });
    }
    json!({
        "ociVersion": "1.0.0",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": COMMAND,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": rootfs, "readonly": true },
        "hostname": name,
        "mounts": mounts(),
        "linux": {
            "cgroupsPath": format!("/{name}"),
            "resources": resources,
            "namespaces": namespaces.map(|kind| json!({ "type": kind })),
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
                "/proc/scsi",
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
            ],
        },
    })
}

fn mounts() -> Vec<Value> {
    let mount = |target: &str, kind: &str, options: &str| {
        let mut mount = json!({ "destination": target, "type": kind, "source": kind });
        if !options.is_empty() {
            mount["options"] = options.split(',').collect();
        }
        mount
    };
    vec![
        mount("/proc", "proc", ""),
        mount("/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        mount("/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        mount("/dev/shm", "tmpfs", "nosuid,noexec,nodev,mode=1777,size=65536k"),
        mount("/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
        mount("/sys", "sysfs", "nosuid,noexec,nodev,ro"),
        mount("/sys/fs/cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
    ]
}
