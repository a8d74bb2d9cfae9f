//! Who executes the machine's instructions. KVM is fast, but on some machines that are virtual
//! themselves a guest under it never comes up.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::qemu::Plan;
use super::session::{Event, Session};
use super::{Accel, BOOT, Stopped};

/// A guest under KVM that is slower than this has hung.
const PROBE: Duration = Duration::from_secs(3);

/// Starts the machine and waits until its first process is ready. Settles the plan's `auto`.
pub(super) fn start(plan: &mut Plan, end: Option<Instant>) -> Result<Session> {
    if plan.accel == Accel::Auto {
        plan.accel = Accel::Tcg;
        if can_open_kvm() {
            let memory = plan.cache.join("kvm");
            let answer = fs::read_to_string(&memory).unwrap_or_default();
            // Another host kernel may do what this one does not.
            let host = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
            if answer != format!("fails on {host}") {
                let bound = if answer == format!("works on {host}") { BOOT } else { PROBE };
                let probe = boot(plan, Accel::Kvm, Instant::now() + bound, bound);
                let verdict = if probe.is_ok() { "works" } else { "fails" };
                let _ = fs::write(&memory, format!("{verdict} on {host}"));
                if probe.is_ok() {
                    plan.accel = Accel::Kvm;
                    return probe;
                }
            }
        }
    }
    let bound = end.map_or(BOOT, |end| BOOT.min(end.saturating_duration_since(Instant::now())));
    boot(plan, plan.accel, Instant::now() + bound, bound)
}

fn can_open_kvm() -> bool {
    OpenOptions::new().read(true).write(true).open(Path::new("/dev/kvm")).is_ok()
}

fn boot(plan: &Plan, accel: Accel, end: Instant, bound: Duration) -> Result<Session> {
    let mut session = Session::start(plan, accel)?;
    loop {
        match session.next(Some(end))? {
            Event::Ready => return Ok(session),
            Event::Late => bail!(
                "the virtual machine did not come up within {} seconds and was killed. {}",
                bound.as_secs(),
                session.last_words()
            ),
            Event::Gone => {
                bail!("the virtual machine ended before it was up. {}", session.last_words())
            }
            Event::Stop(signal) => return Err(Stopped(signal).into()),
            Event::Failed(why) => bail!("the virtual machine could not start: {why}"),
            _ => {}
        }
    }
}
