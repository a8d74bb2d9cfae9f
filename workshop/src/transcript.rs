//! Sessions that are played for real on a terminal, and recorded.
//!
//! A session is a text: every line is typed on a terminal, `1>` on the first and `2>` on a second
//! one, each with a shell in the cage. A line is done when the next prompt shows; one that ends in
//! ` ...` runs on while somebody looks at it from the other terminal. `^C`, `^D` and `^Z` are keys.
//! A line that only one cgroup version has begins with `v1 ` or `v2 `.
//! `{cgroup}` is the folder of a container's cgroup, as the last one that was shown.
//!
//! What the terminals showed is the transcript. Whatever differs from run to run and from machine
//! to machine is replaced in it: the same pid or inode always by the same number.

mod redact;
mod stage;

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use nix::unistd::Pid;

use crate::kernel::PidsCgroup;
use crate::pty::Terminal;
use crate::{output, project, rootfs, testing};

pub use redact::redact;
pub(crate) use stage::{PROMPT, Player, Stage};

/// What follows a transcript where there are several.
pub const END: char = '\x1f';

/// Tests that play the sessions with these names, `NAME.session` next to the file, and compare the
/// transcripts with the recorded ones.
#[macro_export]
macro_rules! transcripts {
    ($($name:ident),+ $(,)?) => {$(
        #[test]
        fn $name() {
            let session = include_str!(concat!(stringify!($name), ".session"));
            let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
            let name = $crate::transcript::recorded(tests.as_ref(), stringify!($name));
            $crate::transcript::test(stringify!($name), session, None, |transcript| {
                insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
                    insta::assert_snapshot!(name, transcript);
                });
            });
        }
    )+};
}

/// What the transcript to compare with is called, of a session in this folder: on cgroup v1
/// `NAME.v1` if `snapshots/NAME.v1.snap` is there, otherwise `NAME`.
pub fn recorded(folder: &Path, name: &str) -> String {
    let is_v1 = PidsCgroup::of(Pid::this()).is_ok_and(|cgroup| cgroup.version == 1);
    let variant = format!("{name}.v1");
    let has_variant = folder.join(format!("snapshots/{variant}.snap")).is_file();
    if is_v1 && has_variant { variant } else { name.to_string() }
}

/// The lines of a session on this cgroup version: one that is for v1 or v2 alone says so in front.
pub fn lines(session: &str, version: u8) -> impl Iterator<Item = &str> {
    session.lines().filter_map(move |line| match line.split_once(' ') {
        Some(("v1", rest)) => (version == 1).then_some(rest),
        Some(("v2", rest)) => (version == 2).then_some(rest),
        _ => Some(line),
    })
}

/// Plays a session and hands the transcript to `compare`, which panics if it is not as recorded.
/// In it `cargo mine` starts the program `mine`, if there is one.
pub fn test(name: &str, session: &str, mine: Option<&Path>, compare: impl FnOnce(&str)) {
    if !testing::root(name) {
        return;
    }
    let transcript =
        testing::rootfs().and_then(|rootfs| play(session, &rootfs, mine)).unwrap_or_else(|error| {
            panic::resume_unwind(Box::new(format!("cannot play the session {name}: {error:#}")))
        });
    holds(name, || compare(&transcript));
}

/// Compares with what was recorded; `compare` panics if it is not the same.
///
/// In CI that fails the test. On other machines the host's own programs may speak differently, so
/// that it is only reported.
pub fn holds(name: &str, compare: impl FnOnce()) {
    let compared = panic::catch_unwind(AssertUnwindSafe(compare));
    if let Err(difference) = compared {
        if env::var_os("CI").is_some()
            || env::var("INSTA_UPDATE").is_ok_and(|update| update != "no")
        {
            panic::resume_unwind(difference);
        }
        output::complain(&format!(
            "the session {name} does not look as it was recorded. On a machine with other programs \
             than Debian 12 that is no fault"
        ));
    }
}

/// Plays sessions with the workshop's root filesystem and prints their transcripts.
pub fn print(sessions: &[String], mine: Option<&Path>) -> Result<ExitCode> {
    let rootfs = project::root()?.join(rootfs::NAME);
    for session in sessions {
        output::print(&format!("{}{END}\n", play(session, &rootfs, mine)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Plays a session in a cage of its own, with a copy of a root filesystem, and returns the transcript.
pub fn play(session: &str, rootfs: &Path, mine: Option<&Path>) -> Result<String> {
    let mut stage = Stage::new(rootfs, mine)?;
    let mut recorder = Recorder::default();
    stage.play(session, &mut recorder)?;
    stage.clear()?;
    let transcript = String::from_utf8_lossy(&recorder.0).replace(PROMPT, "");
    Ok(redact(&transcript, stage.folder()))
}

/// Types at once, and keeps what it sees.
#[derive(Default)]
struct Recorder(Vec<u8>);

impl Player for Recorder {
    fn turns_to(&mut self, terminal: &str) -> Result<()> {
        if !self.0.is_empty() {
            self.0.extend(format!("\n== {terminal} terminal\n").bytes());
        }
        Ok(())
    }

    fn types(&mut self, line: &str, terminal: &mut Terminal) -> Result<()> {
        terminal.press(line)
    }

    fn sees(&mut self, shown: &[u8]) -> Result<()> {
        self.0.extend(shown);
        Ok(())
    }
}
