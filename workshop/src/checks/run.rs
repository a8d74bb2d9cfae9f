//! Step 01: the command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use anyhow::Result;

use super::Stage::{Final, Step};
use super::{Check, Kind, LAST, Lab, Verdict};
use crate::container::{Ended, token};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "says-running",
        title: "`run` says what it runs",
        since: Step(1),
        until: LAST,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run echo Hello, world",
        probe: says_running,
    },
    Check {
        name: "arguments-whole",
        title: "arguments with dashes, spaces, quotes or any other bytes stay as they are",
        since: Step(1),
        until: LAST,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run echo -n --flag -- 'two words' $'na\\xefve'",
        probe: arguments_whole,
    },
    Check {
        name: "usage",
        title: "a command line that makes no sense ends with status 2 and an explanation",
        since: Step(1),
        until: Final,
        kind: Kind::New,
        by_hand: "cargo run -p stepNN nonsense; echo $?",
        probe: usage,
    },
    Check {
        name: "no-command",
        title: "without a command it ends with status 2 and an explanation",
        since: Step(1),
        // From then on there is a shell that is always there.
        until: Step(5),
        kind: Kind::New,
        by_hand: "cargo run -p stepNN run; echo $?",
        probe: no_command,
    },
    Check {
        name: "plain-in-a-pipe",
        title: "in a pipe there are no colours",
        since: Step(1),
        until: Final,
        kind: Kind::Duty,
        by_hand: "cargo run -p stepNN run echo hello | od -c",
        probe: plain_in_a_pipe,
    },
];

fn says_running(lab: &Lab) -> Result<Verdict> {
    says(lab, &words(&["/bin/sh", "-c", ":", &token()]))
}

fn arguments_whole(lab: &Lab) -> Result<Verdict> {
    let odd = ["-x", "--long=1", "--", "--help", "two  words", "'\"", &token()];
    let mut command = words(&["/bin/sh", "-c", ":"]);
    command.extend(words(&odd));
    // Whatever is no UTF-8 is shown as U+FFFD.
    command.push(OsString::from_vec(b"na\xefve".to_vec()));
    says(lab, &command)
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn says(lab: &Lab, command: &[OsString]) -> Result<Verdict> {
    let expected = format!("Running [{}]", command.join(OsStr::new(" ")).display());
    let ended = lab.subject.run(lab.cage, command)?;
    let line = ended.stdout.lines().next().unwrap_or_default().to_string();
    let holds = match line.strip_prefix(&expected) {
        Some("") => true,
        Some(rest) => rest.starts_with(" as "),
        None => false,
    };
    let found = if line.is_empty() { ended.describe() } else { line };
    let meaning = "The first line on stdout names the command and all its arguments, in brackets, \
                   with a space between two words.";
    Ok(Verdict::new(holds, expected, found, meaning))
}

fn usage(lab: &Lab) -> Result<Verdict> {
    let mut nonsense = lab.subject.clone();
    nonsense.words = vec![token().into()];
    let ended = nonsense.run::<&str>(lab.cage, &[])?;
    let holds = explains(&ended);
    let meaning = "Scripts must be able to tell wrong usage from a command that failed.";
    Ok(Verdict::new(holds, WRONG_USAGE, ended.describe(), meaning))
}

fn no_command(lab: &Lab) -> Result<Verdict> {
    let ended = lab.run(&[])?;
    let meaning = "There is nothing to run: the command is required.";
    Ok(Verdict::new(explains(&ended), WRONG_USAGE, ended.describe(), meaning))
}

const WRONG_USAGE: &str = "status 2, an explanation on stderr, nothing on stdout";

fn explains(ended: &Ended) -> bool {
    ended.status == 2 && ended.stdout.is_empty() && !ended.stderr.is_empty()
}

fn plain_in_a_pipe(lab: &Lab) -> Result<Verdict> {
    let good = lab.run(&["/bin/sh", "-c", ":"])?;
    let bad = lab.run(&["/no/such/command"])?;
    let text = good.stdout + &good.stderr + &bad.stdout + &bad.stderr;
    let found = match text.lines().find(|line| line.contains('\x1b')) {
        Some(line) => format!("the line {line:?}"),
        None => format!("{} characters, no escape sequence among them", text.len()),
    };
    let meaning = "Colours are escape sequences. Only a terminal understands them.";
    Ok(Verdict::new(!text.contains('\x1b'), "no escape sequences", found, meaning))
}
