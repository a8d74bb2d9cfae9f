//! What root may do in a container: a part of what root may (capabilities(7)).

use anyhow::{Context, Result, anyhow, bail};
use caps::{CapSet, Capability, CapsHashSet};

use crate::message::AS_ROOT;

/// What Docker gives a container.
const DEFAULT: [Capability; 14] = [
    Capability::CAP_AUDIT_WRITE,
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_KILL,
    Capability::CAP_MKNOD,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
    Capability::CAP_SYS_CHROOT,
];

/// The capabilities of a container, of those that this process may give.
pub(crate) fn choose(add: &[String], drop: &[String], privileged: bool) -> Result<CapsHashSet> {
    let ours = caps::read(None, CapSet::Permitted).context("cannot read our capabilities")?;
    let all = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case("all"));
    let named = |names: &[String]| {
        let names = names.iter().filter(|name| !name.eq_ignore_ascii_case("all"));
        names.map(|name| parse(name)).collect::<Result<CapsHashSet>>()
    };
    let (added, dropped) = (named(add)?, named(drop)?);
    if let Some(lacking) = added.difference(&ours).next() {
        bail!("cannot give {lacking}: we lack it ourselves. {AS_ROOT}");
    }
    let mut chosen = match (privileged || all(add), all(drop)) {
        (true, _) => ours,
        (_, true) => CapsHashSet::new(),
        _ => ours.intersection(&DEFAULT.into()).copied().collect(),
    };
    // Devices made inside cannot be opened, since all mounts forbid it. Who may mount gets around
    // that, and could reach the host's disks.
    if added.contains(&Capability::CAP_SYS_ADMIN) {
        chosen.remove(&Capability::CAP_MKNOD);
    }
    chosen.extend(added);
    chosen.retain(|capability| !dropped.contains(capability));
    Ok(chosen)
}

/// Takes all others out of reach for good, also of set-user-ID programs.
pub(crate) fn bound(keep: &CapsHashSet) -> Result<()> {
    for capability in caps::all().difference(keep) {
        let dropped = caps::drop(None, CapSet::Bounding, *capability);
        // One that this kernel does not know is in no set.
        let known = || caps::has_cap(None, CapSet::Bounding, *capability).is_ok();
        if dropped.is_err() && known() {
            return dropped.with_context(|| format!("cannot give up {capability}"));
        }
    }
    Ok(())
}

/// Gives up all others now. Nothing is handed on past exec but by the bounding set.
pub(crate) fn apply(keep: &CapsHashSet) -> Result<()> {
    let empty = CapsHashSet::new();
    caps::clear(None, CapSet::Ambient).context("cannot clear the ambient capabilities")?;
    let sets =
        [(CapSet::Inheritable, &empty), (CapSet::Effective, keep), (CapSet::Permitted, keep)];
    for (set, value) in sets {
        caps::set(None, set, value)
            .with_context(|| format!("cannot set the capabilities {set:?}"))?;
    }
    Ok(())
}

/// `NET_ADMIN`, `net_admin` or `CAP_NET_ADMIN`
fn parse(name: &str) -> Result<Capability> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    full.parse().map_err(|_| {
        anyhow!("cannot find a capability {name:?}. Their names are in: man 7 capabilities")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_taken_with_and_without_their_beginning() {
        for name in ["net_admin", "NET_ADMIN", "CAP_NET_ADMIN"] {
            assert_eq!(parse(name).unwrap(), Capability::CAP_NET_ADMIN);
        }
        assert!(parse("NET_ADMINISTRATOR").is_err());
    }

    #[test]
    fn who_may_mount_may_make_devices_only_if_somebody_says_so() {
        let Ok(chosen) = choose(&["SYS_ADMIN".into()], &[], false) else { return };
        assert!(!chosen.contains(&Capability::CAP_MKNOD));
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name in any::<String>()) {
            let _ = parse(&name);
        }
    }
}
