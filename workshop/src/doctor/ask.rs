//! Who tries what: each need in a process of its own, and as root what only root can try.

use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use nix::unistd::geteuid;

use super::cures::Cures;
use super::needs::Need;
use super::tries::machine::{ASKS, no_root};
use super::tries::{Finding, Status};
use crate::output::{self, reason};
use crate::sudo;

/// The hidden command with which this program starts itself.
const TRY: &str = "try";
/// By tradition the user nobody.
const NOBODY: u32 = 65534;

/// What this machine offers of each need. On a terminal sudo may ask for a password.
pub(super) fn ask(needs: &[Need]) -> Result<Vec<(Need, Finding)>> {
    let (told, hidden): (Vec<Need>, Vec<Need>) = needs.iter().partition(|need| is_told(**need));
    let mut found = ask_as_we_are(&told);
    match ask_as_root(&hidden)? {
        Ok(findings) => found.extend(hidden.into_iter().zip(findings)),
        Err(root) => {
            let cures = root.cures.clone().unwrap_or(Need::Root.facts().cures.clone());
            let not_tried = Finding::degraded("not tried: that takes root").cured_by(cures);
            found.retain(|(need, _)| *need != Need::Root);
            found.push((Need::Root, root));
            found.extend(hidden.into_iter().map(|need| (need, not_tried.clone())));
        }
    }
    found.sort_by_key(|(need, _)| *need);
    Ok(found)
}

/// Whether it can be told without asking for a password.
pub(super) fn is_told(need: Need) -> bool {
    geteuid().is_root() || !need.facts().as_root
}

/// What can be told without asking anybody for a password.
pub(super) fn ask_as_we_are(needs: &[Need]) -> Vec<(Need, Finding)> {
    tried(needs, &spinner())
}

/// The same, with nothing on the terminal.
pub(super) fn ask_in_silence(needs: &[Need]) -> Vec<(Need, Finding)> {
    tried(needs, &ProgressBar::hidden())
}

fn tried(needs: &[Need], bar: &ProgressBar) -> Vec<(Need, Finding)> {
    let found = needs.iter().map(|need| {
        bar.set_message(format!("trying: {}", need.facts().label));
        (*need, alone(*need))
    });
    let found = found.collect();
    bar.finish_and_clear();
    found
}

/// Tries needs and prints what was found in JSON: one in this process, several in one each.
pub fn play(needs: &[Need]) -> Result<ExitCode> {
    let found = match needs {
        [need] => vec![Finding::of((need.facts().attempt)())],
        _ => ask_as_we_are(needs).into_iter().map(|(_, finding)| finding).collect(),
    };
    output::print(&serde_json::to_string(&found).context("cannot write JSON")?)?;
    Ok(ExitCode::SUCCESS)
}

fn alone(need: Need) -> Finding {
    // By this name somebody can start it who may not see where it lies.
    let mut this = Command::new("/proc/self/exe");
    this.args([TRY, need.facts().name]);
    if need == Need::User && geteuid().is_root() {
        this.uid(NOBODY).gid(NOBODY);
    }
    let output = match this.output() {
        Ok(output) => output,
        Err(error) => return Finding::degraded(format!("cannot be tried: {}", reason(&error))),
    };
    let found: Option<[Finding; 1]> = serde_json::from_slice(&output.stdout).ok();
    let [finding] = found.unwrap_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        [Finding::cannot(format!("the attempt ended with {}: {said}", output.status))]
    });
    finding
}

/// All in one go, so that sudo asks once; or why root is not to be had.
fn ask_as_root(needs: &[Need]) -> Result<Result<Vec<Finding>, Finding>> {
    if needs.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let root = alone(Need::Root);
    if root.status == Status::Cannot {
        return Ok(Err(root));
    }
    let line = sudo::words()?;
    if root.seen == ASKS && !io::stdin().is_terminal() {
        let again = format!("{} doctor", output::line(&line));
        let root = Finding::degraded(format!("{ASKS}, and there is no terminal for it"));
        return Ok(Err(root.cured_by(Cures::same(&again))));
    }
    let mut sudo = Command::new(&line[0]);
    sudo.args(&line[1..]).arg(TRY).args(needs.iter().map(|need| need.facts().name));
    let sudo = sudo.stdin(Stdio::inherit()).stderr(Stdio::inherit()).output();
    let sudo = sudo.context("cannot start sudo. Is it installed?")?;
    let found: Option<Vec<Finding>> = serde_json::from_slice(&sudo.stdout).ok();
    let found = found.filter(|found| found.len() == needs.len());
    Ok(found.ok_or_else(|| no_root("sudo does not make you root")))
}

/// What is tried just now, on a terminal where somebody waits.
fn spinner() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
