//! The sources that the book is made from, each read once.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use workshop::ladder::Pair;
use workshop::steps::{self, Step};

use crate::difference::Difference;

/// The files of a step that its chapter explains.
pub const FILES: [&str; 2] = ["src/main.rs", "Cargo.toml"];

/// The workspace, and the differences between neighbours.
pub struct Project {
    /// The workspace's folder.
    pub root: PathBuf,
    /// Whether its pages get Linux.
    pub linux: bool,
    differences: HashMap<(u8, &'static str), Difference>,
    pairs: HashMap<u8, Pair>,
}

impl Project {
    /// Reads and compares all steps; the first one with nothing.
    pub fn read(root: &Path) -> Result<Self> {
        let (root, linux) = (root.to_path_buf(), false);
        let (differences, pairs) = (HashMap::new(), HashMap::new());
        let mut project = Self { root, linux, differences, pairs };
        let mut before: Option<&Step> = None;
        for step in steps::all()? {
            for file in FILES {
                let old = before.map_or(Ok(String::new()), |before| project.file(before, file))?;
                let new = project.file(step, file)?;
                if file == FILES[0] {
                    project.pairs.insert(step.number, Pair::new(step.title.clone(), &old, &new));
                }
                let difference = Difference::new(&old, &new, file.ends_with(".rs"))
                    .with_context(|| format!("cannot compare {}/{file}", step.folder))?;
                project.differences.insert((step.number, file), difference);
            }
            before = Some(step);
        }
        Ok(project)
    }

    /// The difference of a step's file from its predecessor's.
    pub fn difference(&self, step: &Step, file: &'static str) -> Result<&Difference> {
        self.differences.get(&(step.number, file)).context("this step is not on the ladder")
    }

    /// The numbers of the difference between a step's program and its predecessor's.
    pub fn pair(&self, number: u8) -> Option<&Pair> {
        self.pairs.get(&number)
    }

    /// A file of a step.
    pub fn file(&self, step: &Step, file: &str) -> Result<String> {
        self.read_file(&format!("{}/{file}", step.folder))
    }

    /// A file of the workspace.
    pub fn read_file(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.root.join(path)).with_context(|| format!("cannot read {path}"))
    }
}
