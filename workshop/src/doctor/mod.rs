//! `cargo workshop doctor`: tries whether this machine can do what the steps need, and says what
//! mends it where it cannot.

mod ask;
mod cures;
mod needs;
mod report;
mod table;
mod tries;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use nix::sys::utsname::uname;
use nix::unistd::{Pid, geteuid};

use crate::checks::Stage;
use crate::kernel::PidsCgroup;
use crate::output;
use crate::steps::{self, Step};

pub use ask::play;
pub use needs::{Facts, Need};
pub use table::TABLE;
use tries::Status;

/// Tries whether this machine can do what the steps need
///
/// The exit status is 0 if nothing that is needed is missing, 1 otherwise.
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo workshop doctor
  cargo workshop doctor 08 --json")]
pub struct Options {
    /// Only what this step needs, or final, and what the checks need
    #[arg(value_parser = stage)]
    step: Option<Stage>,
    /// Tells it in JSON: a list with an object for every need
    #[arg(long)]
    json: bool,
}

fn stage(name: &str) -> Result<Stage> {
    match name {
        "final" => Ok(Stage::Final),
        _ => Ok(Stage::Step(Step::find(name)?.number)),
    }
}

/// Does what the command line asks for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let found = ask::ask(&needed(options.step)?)?;
    let text = match options.json {
        true => report::json(&found)?,
        false => format!("{}\n\n{}", describe()?, report::text(&found, options.step)?),
    };
    output::print(&text)?;
    let good = found.iter().all(|(_, finding)| finding.status != Status::Cannot);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a stage and its checks need; without one, everything.
fn needed(stage: Option<Stage>) -> Result<Vec<Need>> {
    let Some(stage) = stage else {
        return Ok(TABLE.iter().map(|facts| facts.need).collect());
    };
    let mut needs = [steps::needs(stage)?, steps::needs_of_checks()?].concat();
    needs.sort();
    needs.dedup();
    Ok(needs)
}

/// One line about the machine: its kernel, its cgroups and who is asking.
pub fn describe() -> Result<String> {
    let system = uname().context("cannot ask the kernel for its name")?;
    let cgroups = match PidsCgroup::of(Pid::this()) {
        Ok(cgroup) => format!("cgroup v{}", cgroup.version),
        Err(_) => "no cgroups".to_string(),
    };
    let user = if geteuid().is_root() { "root" } else { "a normal user" };
    Ok(format!("Linux {}, {cgroups}, {user}", system.release().to_string_lossy()))
}

/// One line about the machine, and whether it can do what the ten steps need; asks nobody for a
/// password.
pub fn verdict_line() -> Result<String> {
    let mut needs = Vec::new();
    for step in steps::all()? {
        needs.extend(&step.needs);
    }
    // The root filesystem is made if there is none.
    needs.retain(|need| *need != Need::Rootfs && ask::is_told(*need));
    needs.sort();
    needs.dedup();
    let found = ask::ask_as_we_are(&needs);
    Ok(format!("{}: {}", describe()?, report::verdict_in_short(&found)))
}

/// What a stage or its checks need and this machine cannot offer, with what was seen: where there is
/// any, nothing can be said of that stage. Takes root; shows nothing, as others draw on the terminal.
pub fn cannot(stage: Stage) -> Result<Vec<(Need, String)>> {
    let mut needs = needed(Some(stage))?;
    // On a full disk whatever has been built still runs.
    needs.retain(|need| *need != Need::Disk);
    let found = ask::ask_in_silence(&needs).into_iter();
    let lacking = found.filter(|(_, finding)| finding.status == Status::Cannot);
    Ok(lacking.map(|(need, finding)| (need, finding.seen)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_alone_is_asked_for_its_own_needs_and_those_of_the_checks() {
        let needs = needed(Some(Stage::Step(1))).unwrap();
        assert!(needs.contains(&Need::Pids) && !needs.contains(&Need::Overlay));
        assert_eq!(needed(None).unwrap().len(), TABLE.len());
    }
}
