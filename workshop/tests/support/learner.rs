//! A workshop of its own for tests that write into mine/: nobody's real work is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use workshop::{project, steps};

/// A folder that has of the workspace what the commands read.
pub struct Project {
    pub folder: PathBuf,
}

impl Project {
    /// Makes it, without a trace of an earlier one but what has been compiled.
    pub fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("learner").join(name);
        for old in ["mine", "kept", "progress.txt", "workshop"] {
            let old = folder.join(old);
            let _ = fs::remove_dir_all(&old).or_else(|_| fs::remove_file(&old));
        }
        let root = project::root().unwrap();
        let copy = |from: &str, to: &str| {
            fs::create_dir_all(folder.join(to).parent().unwrap()).unwrap();
            fs::copy(root.join(from), folder.join(to)).unwrap();
        };
        copy("workshop/steps.toml", "workshop/steps.toml");
        copy("Cargo.lock", "Cargo.lock");
        copy(".cargo/config.toml", ".cargo/config.toml");
        copy(".cargo/as-root", ".cargo/as-root");
        copy("workshop/src/mine/starter/Cargo.toml", "mine/Cargo.toml");
        copy("workshop/src/mine/starter/main.rs", "mine/src/main.rs");
        for step in steps::all().unwrap() {
            let source = format!("{}/src/main.rs", step.folder);
            copy(&source, &source);
        }
        Self { folder }
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // As an editor does: never half a file.
        fs::write(path.with_extension("edited"), text).unwrap();
        fs::rename(path.with_extension("edited"), path).unwrap();
    }

    /// `cargo workshop`, with nothing to read and nobody to look.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_workshop"));
        command.args(words).current_dir(&self.folder).env("CARGO", env!("CARGO"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn workshop(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }
}
