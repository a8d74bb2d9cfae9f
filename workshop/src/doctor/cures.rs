//! What a person types to mend something, on each family of distributions.

use std::borrow::Cow;
use std::fs;

use serde::{Deserialize, Serialize};

/// The commands; the same text three times where the distribution makes no difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cures {
    /// On Debian, Ubuntu and what is made from them
    pub(super) debian: Cow<'static, str>,
    /// On Fedora and what is made from it
    pub(super) fedora: Cow<'static, str>,
    /// On Arch and what is made from it
    pub(super) arch: Cow<'static, str>,
}

/// Who is root and yet may not do it sits in a container.
pub(super) const CONTAINER: Cures = Cures::all(
    "if this is a container, start it with docker run --privileged --cgroupns=host; \
     otherwise: cargo workshop vm",
);

/// A kernel without it is older than the distribution's, or somebody built it so.
pub(super) const KERNEL: Cures = Cures::each(
    "sudo apt full-upgrade && sudo reboot",
    "sudo dnf upgrade --refresh && sudo reboot",
    "sudo pacman -Syu && sudo reboot",
);

/// systemd hands the controllers down to what it starts.
pub(super) const CONTROLLER: Cures = Cures::all(
    "sudo systemd-run --pty --same-dir --property=Delegate=yes bash, and again in there; without \
     systemd: cargo workshop vm",
);

impl Cures {
    pub(super) const fn each(
        debian: &'static str,
        fedora: &'static str,
        arch: &'static str,
    ) -> Self {
        let [debian, fedora, arch] =
            [Cow::Borrowed(debian), Cow::Borrowed(fedora), Cow::Borrowed(arch)];
        Self { debian, fedora, arch }
    }

    pub(super) const fn all(text: &'static str) -> Self {
        Self::each(text, text, text)
    }

    /// A command that names what was found here.
    pub(super) fn same(text: &str) -> Self {
        let text = || Cow::Owned(text.to_string());
        Self { debian: text(), fedora: text(), arch: text() }
    }

    /// What to type here, a line each: one line if the distribution is known, or makes no
    /// difference.
    pub(super) fn lines(&self, family: Option<Family>) -> Vec<String> {
        match family {
            _ if self.debian == self.fedora && self.debian == self.arch => {
                vec![self.debian.to_string()]
            }
            Some(Family::Debian) => vec![self.debian.to_string()],
            Some(Family::Fedora) => vec![self.fedora.to_string()],
            Some(Family::Arch) => vec![self.arch.to_string()],
            None => vec![
                format!("Debian, Ubuntu: {}", self.debian),
                format!("Fedora: {}", self.fedora),
                format!("Arch: {}", self.arch),
            ],
        }
    }
}

/// A family of distributions that share their package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Debian,
    Fedora,
    Arch,
}

impl Family {
    /// This machine's, if it is a known one (os-release(5)).
    pub(super) fn here() -> Option<Self> {
        Self::of(&fs::read_to_string("/etc/os-release").ok()?)
    }

    fn of(release: &str) -> Option<Self> {
        let value = |key: &str| {
            let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches(['"', '\''])
        };
        // Its own name first, then those of its ancestors, the nearest first.
        let mut names = value("ID").split(' ').chain(value("ID_LIKE").split(' '));
        names.find_map(|name| match name {
            "debian" | "ubuntu" => Some(Self::Debian),
            "fedora" | "rhel" | "centos" => Some(Self::Fedora),
            "arch" => Some(Self::Arch),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_told_by_the_name_or_the_ancestors() {
        let family = Family::of;
        assert_eq!(family("NAME=x\nID=ubuntu\nID_LIKE=debian\n"), Some(Family::Debian));
        assert_eq!(family("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Some(Family::Debian));
        assert_eq!(family("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Some(Family::Fedora));
        assert_eq!(family("ID=manjaro\nID_LIKE='arch'\n"), Some(Family::Arch));
        assert_eq!(family("ID=alpine\n"), None);
        assert_eq!(family("ID=nixos\nID_LIKE=\"\"\n"), None);
        assert_eq!(family(""), None);
    }

    #[test]
    fn an_unknown_distribution_is_told_all_three() {
        assert_eq!(KERNEL.lines(Some(Family::Arch)), ["sudo pacman -Syu && sudo reboot"]);
        assert_eq!(KERNEL.lines(None).len(), 3);
        assert_eq!(CONTAINER.lines(None).len(), 1);
    }
}
