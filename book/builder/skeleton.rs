//! What every step's chapter consists of.

use workshop::steps::{self, Step};

/// A directive, and how many of it there must be.
type Part = (&'static str, Option<usize>);

/// The headings of a step's chapter, in this order, and what must stand below each, so many times.
/// Without a number: at least once.
const SKELETON: [(&str, &[Part]); 10] = [
    ("What you will be able to do", &[]),
    ("The idea", &[("picture", None)]),
    ("Predict", &[("predict", None)]),
    ("The difference", &[("diff", None)]),
    ("Run it", &[("session", None)]),
    ("Break it", &[("session", None)]),
    ("Your turn", &[("exercise", Some(1)), ("hint", Some(3)), ("solution", Some(1))]),
    ("How Docker and runc do it", &[]),
    ("Questions", &[("question", Some(3))]),
    ("For instructors", &[("notes", Some(1))]),
];

/// The directives that show what steps.toml says of the chapter's own step.
const ITS_OWN: [&str; 3] = ["step", "exercise", "notes"];

/// A chapter's headings, and the directives below each.
#[derive(Default)]
pub struct Outline {
    sections: Vec<Section>,
    /// Directives that name a step: `step`, `05`
    of_steps: Vec<(String, String)>,
}

struct Section {
    line: usize,
    heading: String,
    directives: Vec<String>,
}

impl Outline {
    /// A line that begins with #.
    pub fn heading(&mut self, line: usize, text: &str) {
        if let Some(heading) = text.strip_prefix("## ") {
            let heading = heading.trim().to_string();
            self.sections.push(Section { line, heading, directives: Vec::new() });
        }
    }

    /// A directive on a line of its own.
    pub fn directive(&mut self, name: &str, words: &[&str]) {
        if let [word] = words {
            self.of_steps.push((name.to_string(), word.to_string()));
        }
        if let Some(section) = self.sections.last_mut() {
            section.directives.push(name.to_string());
        }
    }

    /// What is missing in the chapter of a step; other chapters are free.
    pub fn faults(&self, file: &str) -> Vec<(usize, String)> {
        let is_its = |step: &&Step| file.ends_with(&format!("/{}.md", step.folder));
        let Some(step) = steps::all().ok().and_then(|steps| steps.iter().find(is_its)) else {
            return Vec::new();
        };
        let mut faults = Vec::new();
        for own in ITS_OWN {
            let names_it = |word: &str| Step::find(word).is_ok_and(|it| it == step);
            if !self.of_steps.iter().any(|(name, word)| name == own && names_it(word)) {
                faults.push((1, format!("{{{{#{own} {:02}}}}} is missing", step.number)));
            }
        }
        let mut last = 1;
        for (heading, parts) in SKELETON {
            let Some(section) = self.sections.iter().find(|it| it.heading == heading) else {
                faults.push((last, format!("after this, `## {heading}` is missing")));
                continue;
            };
            if section.line < last {
                faults.push((section.line, format!("`## {heading}` stands too early")));
            }
            last = section.line;
            for (name, wanted) in parts {
                let count = section.directives.iter().filter(|it| it == name).count();
                if count == 0 || wanted.is_some_and(|wanted| wanted != count) {
                    let wanted = wanted.map_or("some".to_string(), |wanted| wanted.to_string());
                    let what = format!("`{heading}` has {count} {{{{#{name}}}}}, not {wanted}");
                    faults.push((last, what));
                }
            }
        }
        faults
    }
}
