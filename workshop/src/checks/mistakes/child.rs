//! Step 04: the program starts itself inside the namespace.

use anyhow::Result;

use super::super::LAST;
use super::super::Stage::Step;
use super::super::uts::hostname_of;
use super::{Lab, Mistake, look, runs};
use crate::container::token;
use crate::kernel;

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "run-starts-run",
        since: Step(4),
        until: LAST,
        explains: &[],
        says: "`run` starts itself as `run` again, and that one the next, until no more processes can be \
               started. Start /proc/self/exe with `child` as its first argument. Until that is mended, try \
               nothing by hand: only the cage of the checks keeps it from the rest of your machine.",
        made: run_starts_run,
    },
    Mistake {
        name: "first-word-lost",
        since: Step(4),
        until: LAST,
        explains: &[],
        says: "The child got other words than `run`: the first one is missing, or more. args_os() \
               begins with the program and `run`: skip these two, and hand on all the rest.",
        made: first_word_lost,
    },
    Mistake {
        name: "words-joined",
        since: Step(4),
        until: LAST,
        explains: &[],
        says: "The child got the whole command as a single word, with spaces in it, and there is no \
               program of that name. What looks the same when printed is not the same: hand on every \
               word as an argument of its own, with args().",
        made: words_joined,
    },
    Mistake {
        name: "hostname-not-set",
        since: Step(4),
        until: LAST,
        explains: &["hostname-container"],
        says: "The command runs in a UTS namespace of its own, but still with the host's name: a new \
               namespace begins as a copy. Call sethostname(2) in the child, before the command is \
               started: afterwards the child only waits.",
        made: hostname_not_set,
    },
    Mistake {
        name: "no-second-process",
        since: Step(4),
        until: LAST,
        explains: &["child-between", "child-inside", "says-child"],
        says: "The command is a child of `run` itself: no process of your own stands between them, \
               though from step 05 on one is needed inside. `run` starts /proc/self/exe with \
               `child`, and that one spawns the command and waits for it.",
        made: no_second_process,
    },
];

/// Each process of such a chain says what it runs.
fn run_starts_run(lab: &Lab) -> Result<bool> {
    let said = lab.run(&["true"])?.stdout;
    Ok(said.lines().filter(|line| line.starts_with("Running [true]")).count() > 2)
}

fn first_word_lost(lab: &Lab) -> Result<bool> {
    let word = token();
    let ended = lab.run(&["true", &word])?;
    let says = |words: &str| ended.stdout.contains(words);
    let whole = format!("[true {word}]");
    Ok(says(&format!("Running {whole}"))
        && says("Running in child [")
        && !says(&format!("Running in child {whole}")))
}

fn words_joined(lab: &Lab) -> Result<bool> {
    let two_words = lab.run(&["true", &token()])?;
    Ok(two_words.status == 127 && lab.run(&["true"])?.status == 0)
}

fn hostname_not_set(lab: &Lab) -> Result<bool> {
    let outside = kernel::namespace(lab.cage.thread, "uts")?;
    let host = lab.cage.hostname()?;
    look(lab, |_, command| {
        Ok(kernel::namespace(command, "uts")? != outside && hostname_of(command)? == host)
    })
}

fn no_second_process(lab: &Lab) -> Result<bool> {
    let started_by_run = look(lab, |run, command| {
        // Process 1 of a namespace has become the command: another mistake.
        let is_first = kernel::ids(command)?.get(1) == Some(&1);
        Ok(kernel::parent(command)? == run && !is_first)
    })?;
    Ok(started_by_run && runs(lab)?)
}
