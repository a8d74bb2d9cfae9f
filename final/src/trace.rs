//! `--debug`: every step of the start, with its time.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Instant;

/// What one process has done so far, if anyone wants to know.
pub(crate) struct Trace {
    who: &'static str,
    begin: Instant,
    steps: Option<Vec<Step>>,
}

/// One step: when it was done, in microseconds after the begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    micros: u64,
    who: String,
    what: String,
}

impl Trace {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { who: "run", begin: Instant::now(), steps: enabled.then(Vec::new) }
    }

    /// From here on, this is the trace of the new process.
    pub(crate) fn become_child(&mut self) {
        self.who = "child";
        if let Some(steps) = &mut self.steps {
            steps.clear();
        }
    }

    /// Notes that something has been done.
    pub(crate) fn did(&mut self, what: &str) {
        let micros = self.begin.elapsed().as_micros() as u64;
        if let Some(steps) = &mut self.steps {
            steps.push(Step { micros, who: self.who.to_string(), what: what.to_string() });
        }
    }

    /// The steps as text, to be handed to another process.
    pub(crate) fn lines(&self) -> String {
        let steps = self.steps.iter().flatten();
        steps.fold(String::new(), |mut lines, step| {
            let _ = writeln!(lines, "{}\t{}\t{}", step.micros, step.who, step.what);
            lines
        })
    }

    /// Adds the steps of another process.
    pub(crate) fn add(&mut self, lines: &str) {
        let Some(steps) = &mut self.steps else { return };
        steps.extend(lines.lines().filter_map(|line| {
            let mut fields = line.splitn(3, '\t');
            let micros = fields.next()?.parse().ok()?;
            Some(Step { micros, who: fields.next()?.into(), what: fields.next()?.into() })
        }));
    }

    /// Writes the steps to stderr in the order in which they were done, and forgets them.
    pub(crate) fn print(&mut self) {
        let Some(steps) = &mut self.steps else { return };
        steps.sort_by_key(|step| step.micros);
        let text = steps.drain(..).fold(String::new(), |mut text, Step { micros, who, what }| {
            let _ = writeln!(text, "{micros:>8} µs  {who:<5}  {what}");
            text
        });
        let _ = io::stderr().write_all(text.as_bytes());
    }
}
