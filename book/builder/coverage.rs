//! Every changed line is explained in exactly one place.

use std::collections::HashMap;

use anyhow::Result;
use workshop::steps::{self, Step};

use crate::difference::Part;
use crate::project::{FILES, Project};

/// Where each changed line is shown: by step, file and index in the difference.
#[derive(Default)]
pub struct Coverage {
    shown: HashMap<(u8, &'static str, usize), Vec<String>>,
}

impl Coverage {
    /// Notes that a page shows a part.
    pub fn add(&mut self, step: &Step, file: &'static str, part: &Part, place: &str) {
        for index in &part.changed {
            self.shown.entry((step.number, file, *index)).or_default().push(place.to_string());
        }
    }

    /// What is shown nowhere, or twice.
    pub fn faults(&self, project: &Project) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        for step in steps::all()? {
            for file in FILES {
                let difference = project.difference(step, file)?;
                let mut wrong: Vec<(String, Vec<usize>)> = Vec::new();
                for index in difference.changed() {
                    let places = self.shown.get(&(step.number, file, index));
                    let what = match places.map(Vec::as_slice) {
                        Some([_]) => continue,
                        Some(places) => format!("shown twice, in {}", places.join(" and ")),
                        None => "in no chapter".to_string(),
                    };
                    let part = difference.part_of(index, file);
                    let what = format!("{what}: {{{{#diff {:02} {part}}}}}", step.number);
                    match wrong.iter_mut().find(|(other, _)| *other == what) {
                        Some((_, lines)) => lines.push(index),
                        None => wrong.push((what, vec![index])),
                    }
                }
                faults.extend(wrong.into_iter().map(|(what, lines)| {
                    let first = &difference.lines[lines[0]];
                    let number = first.new.or(first.old).unwrap_or(0);
                    let count = lines.len();
                    format!("{}/{file}:{number}: {count} changed lines are {what}", step.folder)
                }));
            }
        }
        Ok(faults)
    }
}
