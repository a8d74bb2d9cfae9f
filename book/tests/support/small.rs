//! A small book, made to be broken and changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use book::build;
use book::project::{FILES, Project};
use tempfile::TempDir;
use workshop::{project, steps};

/// A project of its own: the real sources, and a book of two pages that shows all differences.
pub(crate) struct Small {
    folder: TempDir,
    pub(crate) differences: String,
}

impl Small {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = project::root().unwrap();
        let mut differences = String::new();
        let project = Project::read(&root).unwrap();
        for step in steps::all().unwrap() {
            symlink(root.join(&step.folder), folder.path().join(&step.folder)).unwrap();
            for part in project.difference(step, FILES[0]).unwrap().parts() {
                differences += &format!("{{{{#diff {:02} {part}}}}}\n", step.number);
            }
            differences += &format!("{{{{#diff {:02} {}}}}}\n", step.number, FILES[1]);
        }
        for file in ["workshop", "README.md"] {
            symlink(root.join(file), folder.path().join(file)).unwrap();
        }
        let small = Self { folder, differences };
        small.write("book.toml", &fs::read_to_string(root.join("book/book.toml")).unwrap());
        small.write(
            "tests/commands.toml",
            "\"* * * *\" = \"README.md::cargo\"\n\"* * * * *\" = \"README.md::cargo\"\n",
        );
        symlink(root.join("book/theme"), small.book().join("theme")).unwrap();
        small.write("src/SUMMARY.md", "# Summary\n\n- [All](all.md)\n- [One](one.md)\n");
        small.write("src/all.md", &format!("# All\n\n{}", small.differences));
        small.write("src/one.md", "# One\n");
        small
    }

    pub(crate) fn book(&self) -> PathBuf {
        self.root().join("book")
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.book().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Where it and the sources that it shows lie.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Builds it, and returns where its pages lie.
    pub(crate) fn build(&self) -> Result<PathBuf, String> {
        let pages = self.root().join("out");
        let built = build::build(self.root(), Some(&pages));
        built.map(|_| pages).map_err(|error| format!("{error:#}"))
    }
}
