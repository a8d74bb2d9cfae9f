//! How far the attendee is, in `progress.txt`: a line a step, that which was begun last at the end.
//!
//! ```text
//! uts done 2026-11-25
//! child started 2026-11-25; hints 2; red child-between says-child
//! ```
//!
//! Steps are named by their titles, which stay when the workshop is updated. Lines that say nothing
//! to this program are kept as they are.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::steps::{self, Step};
use crate::{clock, output};

const NAME: &str = "progress.txt";
const HEADING: &str = "# How far you are. `cargo workshop` keeps this; without it you begin anew.";

/// What is known of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Whether all checks held when they ran last.
    pub done: bool,
    /// When it came to this.
    pub date: String,
    /// How many hints have been given since the last check.
    pub hints: usize,
    /// The checks that did not hold when they ran last.
    pub red: Vec<String>,
}

/// The file, line by line.
#[derive(Debug)]
pub struct Progress {
    path: PathBuf,
    lines: Vec<String>,
}

impl Progress {
    /// Reads the file; it may be missing.
    pub fn read(project: &Path) -> Result<Self> {
        let path = project.join(NAME);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => format!("{HEADING}\n"),
            Err(error) => {
                let (path, reason) = (path.display(), output::reason(&error));
                return Err(anyhow!("cannot read {path}: {reason}. Is it yours?"));
            }
        };
        Ok(Self { path, lines: text.lines().map(str::to_string).collect() })
    }

    /// The step that the attendee is at: the one that was begun last.
    pub fn current(&self) -> Option<&'static Step> {
        self.lines.iter().rev().find_map(|line| Some(parse(line)?.0))
    }

    /// The same, for whoever has named no step.
    pub fn at(&self) -> Result<&'static Step> {
        let begin = "you have not begun yet. Begin: cargo workshop start 01; or name a step, as 05";
        self.current().context(begin)
    }

    /// What is known of a step.
    pub fn entry(&self, step: &Step) -> Option<Entry> {
        let mut parsed = self.lines.iter().filter_map(|line| parse(line));
        parsed.rfind(|(its, _)| *its == step).map(|(_, entry)| entry)
    }

    /// Whether a step's checks held when they ran last.
    pub fn is_done(&self, step: &Step) -> bool {
        self.entry(step).is_some_and(|entry| entry.done)
    }

    /// Notes that a step is begun, perhaps once more.
    pub fn start(&mut self, step: &Step) -> Result<()> {
        self.remove(step);
        self.write(step, &Entry { date: clock::today()?, ..Entry::default() })
    }

    /// Notes that the attendee is at a step again, whatever is known of it.
    pub fn go_to(&mut self, step: &Step) -> Result<()> {
        let Some(entry) = self.entry(step) else { return self.start(step) };
        self.remove(step);
        self.write(step, &entry)
    }

    /// Notes what the checks said of a step.
    pub fn checked(&mut self, step: &Step, red: Vec<String>, all_ran: bool) -> Result<()> {
        // Who looks ahead has not begun.
        if self.entry(step).is_none() && self.current().is_some() {
            return Ok(());
        }
        let before = self.entry(step).unwrap_or_default();
        // The same trouble: the next hint may be plainer.
        let hints = if before.red == red { before.hints } else { 0 };
        let done = red.is_empty() && all_ran;
        self.write(step, &Entry { done, date: clock::today()?, hints, red })
    }

    /// Notes that one more hint has been given.
    pub fn hinted(&mut self, step: &Step) -> Result<()> {
        let mut entry = self.entry(step).unwrap_or_default();
        if entry.date.is_empty() {
            entry.date = clock::today()?;
        }
        entry.hints += 1;
        self.write(step, &entry)
    }

    fn remove(&mut self, step: &Step) {
        self.lines.retain(|line| parse(line).is_none_or(|(its, _)| its != step));
    }

    /// In the step's own line: who looks back at an earlier step stays where they are.
    fn write(&mut self, step: &Step, entry: &Entry) -> Result<()> {
        let its = |line: &&mut String| parse(line).is_some_and(|(its, _)| its == step);
        match self.lines.iter_mut().rfind(its) {
            Some(line) => *line = show(step, entry),
            None => self.lines.push(show(step, entry)),
        }
        // In one piece, so that nobody ever reads half a file.
        let new = self.path.with_extension("txt.new");
        let written = fs::write(&new, self.lines.join("\n") + "\n");
        written.and_then(|()| fs::rename(&new, &self.path)).map_err(|error| {
            let (path, reason) = (self.path.display(), output::reason(&error));
            anyhow!("cannot write {path}: {reason}. Is the disk full, or the folder not yours?")
        })
    }
}

fn parse(line: &str) -> Option<(&'static Step, Entry)> {
    let mut parts = line.split("; ");
    let mut words = parts.next()?.split_whitespace();
    let title = words.next()?;
    let step = steps::all().ok()?.iter().find(|step| step.title == title)?;
    let done = match words.next()? {
        "done" => true,
        "started" => false,
        _ => return None,
    };
    let mut entry = Entry { done, date: words.next().unwrap_or("?").into(), ..Entry::default() };
    for part in parts {
        match part.split_once(' ') {
            Some(("hints", count)) => entry.hints = count.parse().unwrap_or(0),
            Some(("red", names)) => entry.red = names.split(' ').map(str::to_string).collect(),
            _ => {}
        }
    }
    Some((step, entry))
}

fn show(step: &Step, entry: &Entry) -> String {
    let state = if entry.done { "done" } else { "started" };
    let mut line = format!("{} {state} {}", step.title, entry.date);
    if entry.hints > 0 {
        line += &format!("; hints {}", entry.hints);
    }
    if !entry.red.is_empty() {
        line += &format!("; red {}", entry.red.join(" "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(text: &str) -> Progress {
        let folder = tempfile::tempdir().unwrap().keep();
        fs::write(folder.join(NAME), text).unwrap();
        Progress::read(&folder).unwrap()
    }

    fn step(name: &str) -> &'static Step {
        Step::find(name).unwrap()
    }

    #[test]
    fn the_last_line_says_where_one_is() {
        assert_eq!(progress("").current(), None);
        let text = "uts done 2026-11-24\npid started 2026-11-25; red process-1\nnoise\n";
        let progress = progress(text);
        assert_eq!(progress.current(), Some(step("05")));
        assert!(progress.is_done(step("03")) && !progress.is_done(step("05")));
        assert_eq!(progress.entry(step("05")).unwrap().red, ["process-1"]);
    }

    #[test]
    fn what_is_not_understood_is_kept() {
        let text = "# mine\nfuture done tomorrow\npid finished 1999\nuts done 2026-11-24; mood 3\n";
        let mut progress = progress(text);
        progress.start(step("04")).unwrap();
        let written = fs::read_to_string(&progress.path).unwrap();
        assert!(written.starts_with(text), "{written}");
        assert!(written[text.len()..].starts_with("child started "), "{written}");
    }

    #[test]
    fn hints_begin_again_when_the_trouble_is_another() {
        let mut progress = progress("");
        let red = |name: &str| vec![name.to_string()];
        progress.checked(step("05"), red("process-1"), true).unwrap();
        progress.hinted(step("05")).unwrap();
        progress.checked(step("05"), red("process-1"), true).unwrap();
        assert_eq!(progress.entry(step("05")).unwrap().hints, 1);
        progress.checked(step("05"), red("orphans"), true).unwrap();
        assert_eq!(progress.entry(step("05")).unwrap().hints, 0);
        progress.checked(step("05"), vec![], false).unwrap();
        assert!(!progress.is_done(step("05")), "a skip is no pass");
        progress.checked(step("05"), vec![], true).unwrap();
        assert!(progress.is_done(step("05")));
    }

    #[test]
    fn checking_an_earlier_step_is_not_going_back() {
        let mut progress = progress("uts done 2026-11-24\npid started 2026-11-25\n");
        progress.checked(step("03"), vec!["one-each".into()], true).unwrap();
        assert_eq!(progress.current(), Some(step("05")));
        assert!(!progress.is_done(step("03")));
        progress.go_to(step("03")).unwrap();
        assert_eq!(progress.current(), Some(step("03")));
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), b"\xff\xfe\npid started 2026-11-25\n").unwrap();
        assert_eq!(Progress::read(folder.path()).unwrap().current(), Some(step("05")));
    }
}
