//! The table of what not every machine offers. `steps.toml` says who needs what; the doctor, the
//! skips of the checks and the book's badges all read it here.

use std::str::FromStr;

use anyhow::{Context, Error, Result};
use serde::{Deserialize, Serialize};

use super::cures::{CONTROLLER, Cures, KERNEL};
use super::tries::{Tried, cgroups, filesystems, machine, namespaces, network, programs};
use crate::checks::Stage;
use crate::steps;

/// Something that not every machine offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
#[allow(missing_docs)] // The table says what each is.
pub enum Need {
    Kernel,
    Root,
    Disk,
    Uts,
    Pid,
    Ipc,
    Mount,
    Net,
    Cgroup,
    User,
    Rootfs,
    Overlay,
    MountSetattr,
    Pids,
    Memory,
    Cpu,
    Bridge,
    Veth,
    NfTables,
    Ip,
    Ps,
    Ping,
}

/// What is known about a need.
pub struct Facts {
    /// Which one
    pub need: Need,
    /// Its short name, as in `steps.toml`
    pub name: &'static str,
    /// What a person calls it, in a word or two
    pub label: &'static str,
    /// What it is, with the man page
    pub what: &'static str,
    /// Tries whether it is to be had. Harmless in a process that ends afterwards.
    pub(super) attempt: fn() -> Tried,
    /// Whether only root can try
    pub(super) as_root: bool,
    /// What mends it, unless the attempt knows better
    pub(super) cures: Cures,
}

/// In the order in which they are shown.
pub static TABLE: [Facts; 22] = [
    Facts {
        need: Need::Kernel,
        name: "kernel",
        label: "kernel",
        what: "the version of Linux, as uname(2) tells it",
        attempt: machine::kernel,
        as_root: false,
        cures: KERNEL,
    },
    Facts {
        need: Need::Root,
        name: "root",
        label: "root",
        what: "the rights of root, or sudo to get them: capabilities(7)",
        attempt: machine::root,
        as_root: false,
        cures: Cures::each(
            "su -c 'apt install sudo && usermod -aG sudo '$USER, then log in again",
            "su -c 'dnf install sudo && usermod -aG wheel '$USER, then log in again",
            "su -c 'pacman -S sudo && gpasswd -a '$USER' wheel', then %wheel in visudo",
        ),
    },
    Facts {
        need: Need::Disk,
        name: "disk",
        label: "disk space",
        what: "room for target/ and rootfs/",
        attempt: machine::disk,
        as_root: false,
        cures: Cures::all("cargo clean, or make room on that disk"),
    },
    Facts {
        need: Need::Uts,
        name: "uts",
        label: "UTS namespace",
        what: "a hostname of one's own: uts_namespaces(7)",
        attempt: namespaces::uts,
        as_root: true,
        cures: KERNEL,
    },
    Facts {
        need: Need::Pid,
        name: "pid",
        label: "PID namespace",
        what: "process numbers of one's own: pid_namespaces(7)",
        attempt: namespaces::pid,
        as_root: true,
        cures: KERNEL,
    },
    Facts {
        need: Need::Ipc,
        name: "ipc",
        label: "IPC namespace",
        what: "message queues and shared memory of one's own: ipc_namespaces(7)",
        attempt: namespaces::ipc,
        as_root: true,
        cures: KERNEL,
    },
    Facts {
        need: Need::Mount,
        name: "mount",
        label: "mount namespace",
        what: "mounts of one's own: mount_namespaces(7)",
        attempt: namespaces::mount,
        as_root: true,
        cures: KERNEL,
    },
    Facts {
        need: Need::Net,
        name: "net",
        label: "network namespace",
        what: "links, addresses and routes of one's own: network_namespaces(7)",
        attempt: namespaces::net,
        as_root: true,
        cures: KERNEL,
    },
    Facts {
        need: Need::Cgroup,
        name: "cgroup",
        label: "cgroup namespace",
        what: "a view of the cgroups from one's own on: cgroup_namespaces(7)",
        attempt: namespaces::cgroup,
        as_root: true,
        cures: KERNEL,
    },
    Facts {
        need: Need::User,
        name: "user",
        label: "user namespace",
        what: "namespaces without root; one experiment of the book: user_namespaces(7)",
        attempt: namespaces::user,
        as_root: false,
        cures: KERNEL,
    },
    Facts {
        need: Need::Rootfs,
        name: "rootfs",
        label: "root filesystem",
        what: "the files that a container sees, in rootfs/",
        attempt: filesystems::rootfs,
        as_root: true,
        cures: Cures::all("cargo workshop rootfs --force"),
    },
    Facts {
        need: Need::Overlay,
        name: "overlay",
        label: "overlay",
        what: "a filesystem in layers, of which the lower stays as it is: mount(8)",
        attempt: filesystems::overlay,
        as_root: true,
        cures: Cures::each(
            "sudo modprobe overlay; if there is none: sudo apt full-upgrade && sudo reboot",
            "sudo modprobe overlay; if there is none: sudo dnf install kernel-modules && sudo reboot",
            "sudo modprobe overlay; if there is none: sudo pacman -Syu && sudo reboot",
        ),
    },
    Facts {
        need: Need::MountSetattr,
        name: "mount_setattr",
        label: "Linux 5.12",
        what: "a call that changes mounts which are there: mount_setattr(2)",
        attempt: machine::mount_setattr,
        as_root: false,
        cures: KERNEL,
    },
    Facts {
        need: Need::Pids,
        name: "pids",
        label: "cgroup pids",
        what: "a limit of how many processes there are: cgroups(7)",
        attempt: cgroups::pids,
        as_root: true,
        cures: CONTROLLER,
    },
    Facts {
        need: Need::Memory,
        name: "memory",
        label: "cgroup memory",
        what: "a limit of how much memory they use: cgroups(7)",
        attempt: cgroups::memory,
        as_root: true,
        cures: CONTROLLER,
    },
    Facts {
        need: Need::Cpu,
        name: "cpu",
        label: "cgroup cpu",
        what: "a limit of how long they run: cgroups(7)",
        attempt: cgroups::cpu,
        as_root: true,
        cures: CONTROLLER,
    },
    Facts {
        need: Need::Bridge,
        name: "bridge",
        label: "bridge",
        what: "a switch for links, in the kernel: ip-link(8)",
        attempt: network::bridge,
        as_root: true,
        cures: Cures::each(
            "sudo modprobe bridge; if there is none: sudo apt full-upgrade && sudo reboot",
            "sudo modprobe bridge; if there is none: sudo dnf install kernel-modules && sudo reboot",
            "sudo modprobe bridge; if there is none: sudo pacman -Syu && sudo reboot",
        ),
    },
    Facts {
        need: Need::Veth,
        name: "veth",
        label: "veth",
        what: "two links that are the ends of a cable: veth(4)",
        attempt: network::veth,
        as_root: true,
        cures: Cures::each(
            "sudo modprobe veth; if there is none: sudo apt full-upgrade && sudo reboot",
            "sudo modprobe veth; if there is none: sudo dnf install kernel-modules && sudo reboot",
            "sudo modprobe veth; if there is none: sudo pacman -Syu && sudo reboot",
        ),
    },
    Facts {
        need: Need::NfTables,
        name: "nf_tables",
        label: "nf_tables",
        what: "rules for packets, such as NAT: nft(8)",
        attempt: network::nf_tables,
        as_root: true,
        cures: Cures::each(
            "sudo modprobe nf_tables; if there is none: sudo apt full-upgrade && sudo reboot",
            "sudo modprobe nf_tables; if there is none: sudo dnf install kernel-modules && sudo reboot",
            "sudo modprobe nf_tables; if there is none: sudo pacman -Syu && sudo reboot",
        ),
    },
    Facts {
        need: Need::Ip,
        name: "ip",
        label: "iproute2",
        what: "the program ip: ip(8)",
        attempt: programs::ip,
        as_root: false,
        cures: Cures::each(
            "sudo apt install iproute2",
            "sudo dnf install iproute",
            "sudo pacman -S iproute2",
        ),
    },
    Facts {
        need: Need::Ps,
        name: "ps",
        label: "ps",
        what: "the program that lists processes: ps(1)",
        attempt: programs::ps,
        as_root: false,
        cures: Cures::each(
            "sudo apt install procps",
            "sudo dnf install procps-ng",
            "sudo pacman -S procps-ng",
        ),
    },
    Facts {
        need: Need::Ping,
        name: "ping",
        label: "ping",
        what: "the program that asks whether a machine answers: ping(8)",
        attempt: programs::ping,
        as_root: false,
        cures: Cures::each(
            "sudo apt install iputils-ping",
            "sudo dnf install iputils",
            "sudo pacman -S iputils",
        ),
    },
];

impl Need {
    /// All that is known about it.
    pub fn facts(self) -> &'static Facts {
        &TABLE[self as usize]
    }

    /// Whether the book shows it beside a step: the rest every machine with a Linux has.
    pub fn has_badge(self) -> bool {
        !matches!(self, Self::Kernel | Self::Disk)
    }

    /// Who needs it, from the first step on.
    pub fn stages(self) -> Result<Vec<Stage>> {
        let steps = steps::all()?.iter().map(|step| Stage::Step(step.number));
        let mut stages = Vec::new();
        for stage in steps.chain([Stage::Final]) {
            if steps::needs(stage)?.contains(&self) {
                stages.push(stage);
            }
        }
        Ok(stages)
    }
}

impl FromStr for Need {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let facts = TABLE.iter().find(|facts| facts.name == name);
        let names = || TABLE.iter().map(|facts| facts.name).collect::<Vec<_>>().join(", ");
        let facts = facts
            .with_context(|| format!("there is no need '{name}'. Name one of: {}", names()))?;
        Ok(facts.need)
    }
}

impl TryFrom<String> for Need {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<Need> for &'static str {
    fn from(need: Need) -> Self {
        need.facts().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_needs() {
        for (index, facts) in TABLE.iter().enumerate() {
            assert_eq!(facts.need as usize, index, "{}", facts.name);
            assert_eq!(facts.name.parse::<Need>().unwrap(), facts.need);
        }
        let error = "docker".parse::<Need>().unwrap_err().to_string();
        assert!(error.starts_with("there is no need 'docker'. Name one of: kernel, "), "{error}");
    }

    #[test]
    fn somebody_needs_each() {
        let checks = steps::needs_of_checks().unwrap();
        for facts in &TABLE {
            let stages = facts.need.stages().unwrap();
            assert!(!stages.is_empty() || checks.contains(&facts.need), "{}", facts.name);
        }
    }

    #[test]
    fn every_one_has_a_cure_everywhere_and_says_what_it_is() {
        for Facts { name, what, cures, .. } in &TABLE {
            assert!(what.contains('(') || *name == "disk" || *name == "rootfs", "{name}: {what}");
            for cure in [&cures.debian, &cures.fedora, &cures.arch] {
                let is_command = cure.contains("sudo ") || cure.contains("cargo ");
                assert!(is_command || cure.starts_with("su "), "{name}: {cure}");
            }
        }
    }

    /// A later step is never without what an earlier one could not do without.
    #[test]
    fn needs_only_grow_on_the_ladder() {
        for pair in steps::all().unwrap().windows(2) {
            for need in &pair[0].needs {
                assert!(pair[1].needs.contains(need) || *need == Need::User, "{need:?}");
            }
        }
    }
}
