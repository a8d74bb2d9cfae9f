//! Step 01: the command line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use anyhow::Result;

use super::super::LAST;
use super::super::Stage::Step;
use super::{Lab, Mistake};
use crate::container::token;

/// The checks of the first line.
const FIRST_LINE: &[&str] = &["says-running", "arguments-whole"];

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "options-refused",
        since: Step(1),
        until: LAST,
        // Nearly every check runs /bin/sh with -c.
        explains: &[],
        says: "`run` took an option of the command for one of its own and refused it. What follows \
               the first word of the command belongs to the command: tell clap with \
               `trailing_var_arg = true` on the argument.",
        made: options_refused,
    },
    Mistake {
        name: "utf-8-only",
        since: Step(1),
        until: LAST,
        explains: &["arguments-whole"],
        says: "An argument that is no UTF-8 was refused, for a String holds nothing else. Names of \
               files may have any bytes but zero: use OsString for the words of a command.",
        made: utf_8_only,
    },
    Mistake {
        name: "words-quoted",
        since: Step(1),
        until: LAST,
        explains: FIRST_LINE,
        says: "The words were printed with {:?}, which is meant for programmers: it adds quotes and \
               escapes. Join them with a space and print the text with {}.",
        made: words_quoted,
    },
    Mistake {
        name: "said-on-stderr",
        since: Step(1),
        until: LAST,
        explains: FIRST_LINE,
        says: "The line `Running [...]` went to stderr. It is no error: whoever reads stdout waits \
               for it. Write it to stdout, with println! or writeln!.",
        made: said_on_stderr,
    },
    Mistake {
        name: "colours-in-a-pipe",
        since: Step(1),
        until: LAST,
        explains: &["plain-in-a-pipe", "says-running", "arguments-whole"],
        says: "Escape sequences were written into a pipe, and a program that reads them takes them \
               for text. Colour only what goes to a terminal: the crate `colored` asks whether \
               stdout is one, if it is not overruled.",
        made: colours_in_a_pipe,
    },
    Mistake {
        name: "usage-without-2",
        since: Step(1),
        until: LAST,
        explains: &["usage", "no-command"],
        says: "Wrong usage is explained, but does not end with status 2. Whoever calls \
               Cli::try_parse() has to end the program, too. Cli::parse() does it all: it explains \
               on stderr and exits with 2.",
        made: usage_without_2,
    },
];

fn options_refused(lab: &Lab) -> Result<bool> {
    let refused = lab.run(&["true", "-x"])?;
    let says_so = refused.stderr.contains("unexpected argument") && refused.stdout.is_empty();
    Ok(says_so && refused.status == 2 && lab.run(&["true"])?.status == 0)
}

fn utf_8_only(lab: &Lab) -> Result<bool> {
    let no_text = lab.subject.run(lab.cage, &[OsStr::new("true"), OsStr::from_bytes(b"\xff")])?;
    Ok(no_text.status != 0 && lab.run(&["true", "ff"])?.status == 0)
}

fn words_quoted(lab: &Lab) -> Result<bool> {
    let word = token();
    let ended = lab.run(&["true", &word])?;
    Ok(ended.stdout.lines().next().is_some_and(|line| line.contains(&format!("\"{word}\""))))
}

fn said_on_stderr(lab: &Lab) -> Result<bool> {
    let ended = lab.run(&["true"])?;
    let says = |text: &str| text.lines().any(|line| line.contains("Running [true]"));
    Ok(says(&ended.stderr) && !says(&ended.stdout))
}

fn colours_in_a_pipe(lab: &Lab) -> Result<bool> {
    let ended = lab.run(&["true"])?;
    Ok([ended.stdout, ended.stderr].concat().contains('\x1b'))
}

fn usage_without_2(lab: &Lab) -> Result<bool> {
    let mut nonsense = lab.subject.clone();
    nonsense.words = vec![token().into()];
    let ended = nonsense.run::<&str>(lab.cage, &[])?;
    // Clap's own words, so that somebody did ask it.
    let explained = [&ended.stderr, &ended.stdout].iter().any(|text| text.contains("Usage:"));
    Ok(explained && ended.status != 2)
}
