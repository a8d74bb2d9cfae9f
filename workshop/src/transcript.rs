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

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

use crate::cage::Cage;
use crate::checks::Bench;
use crate::kernel::PidsCgroup;
use crate::pty::Terminal;
use crate::{output, project, rootfs, testing};

pub use redact::redact;

/// How long a prompt may take: final's first start in a virtual machine loads kernel modules.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every prompt begins with this character, which no program prints by itself.
const PROMPT: &str = "\x1e";

/// What follows a transcript where there are several.
pub const END: char = '\x1f';

/// Stands for cargo, which is not there in the cage: `cargo run -p step05 ...` starts the binary
/// that has been built, `cargo mine ...` the learner's. Final keeps its images and state in the
/// session's folder, and its container gets a prompt for sh, which has no settings to read one from.
const CARGO: &str = r#"#!/bin/sh
export PS1="$MARK# "
if [ "$1" = mine ]; then
    shift
    exec "$MINE" "$@"
fi
shift 2
package=$1
shift
[ "$package" = final ] || exec "$BINARIES/$package" "$@"
[ "$1" != -- ] || shift
for last; do :; done
case $1:$last in
run:sh | run:/bin/sh) shift && set -- run --env PS1 "$@" ;;
esac
exec "$BINARIES/final" --root "$HOME/root" "$@"
"#;

/// For bash in a container that does not hand our environment on: what marks its prompt.
const MARK: &str = "PROMPT_COMMAND=\"printf '\\\\036'\"\n";

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
///
/// In CI that fails the test. On other machines the host's own programs may speak differently, so
/// that it is only reported.
pub fn test(name: &str, session: &str, mine: Option<&Path>, compare: impl FnOnce(&str)) {
    if !testing::root(name) {
        return;
    }
    let transcript =
        testing::rootfs().and_then(|rootfs| play(session, &rootfs, mine)).unwrap_or_else(|error| {
            panic::resume_unwind(Box::new(format!("cannot play the session {name}: {error:#}")))
        });
    let compared = panic::catch_unwind(AssertUnwindSafe(|| compare(&transcript)));
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
    let bench = Bench::new(rootfs)?;
    let folder = bench.folder().to_path_buf();
    let bin = folder.join("bin");
    fs::create_dir(&bin).context("cannot create a folder for cargo's stand-in")?;
    fs::write(bin.join("cargo"), CARGO).context("cannot write cargo's stand-in")?;
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755))?;
    // Not exported: a bash in a container has the prompt that its own settings say.
    fs::write(folder.join("bashrc"), "PS1='$ '\n").context("cannot write settings for bash")?;
    prepare_final(&folder).context("cannot prepare what final needs")?;
    let cage = Cage::build(&folder)?;
    let mine = match mine {
        Some(program) => fs::canonicalize(program).context("cannot find the program mine")?,
        None => project::binaries()?.join("mine"),
    };
    let mut stage = Stage { cage: &cage, bin, mine, folder: &folder, terminals: Vec::new() };
    let mut transcript = String::new();
    let mut shown = None;
    let version = PidsCgroup::of(Pid::this())?.version;
    for line in lines(session, version).filter(|line| !line.is_empty()) {
        let (number, text) = match line.split_once("> ") {
            Some(("1", text)) => (0, text),
            Some(("2", text)) => (1, text),
            _ => bail!("a line begins with 1> or 2>, not {line:?}"),
        };
        if shown.is_some_and(|shown| shown != number) {
            transcript.push_str(if number == 0 {
                "\n== first terminal\n"
            } else {
                "\n== second terminal\n"
            });
        }
        shown = Some(number);
        transcript.push_str(&stage.plays(number, text)?);
    }
    // The mark of a prompt that came late is no output.
    let transcript = redact(&transcript, &folder).replace(PROMPT, "");
    drop(stage);
    cage.sweep()?;
    Ok(transcript)
}

/// The root filesystem is final's image `host`, and its bash marks prompts.
fn prepare_final(folder: &Path) -> Result<()> {
    let rootfs = folder.join(rootfs::NAME);
    for settings in ["etc/bash.bashrc", "root/.bashrc"].map(|file| rootfs.join(file)) {
        // A link may lead out of the copy.
        if settings.symlink_metadata().map_or(true, |data| data.is_file()) {
            if let Some(folder) = settings.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = OpenOptions::new().append(true).create(true).open(settings)?;
            file.write_all(MARK.as_bytes())?;
        }
    }
    let images = folder.join("root/images");
    fs::create_dir_all(&images)?;
    fs::write(images.join("host.json"), format!("{{\"layers\":[{rootfs:?}]}}"))?;
    Ok(())
}

/// The terminals, and what a shell on a new one needs.
struct Stage<'a> {
    cage: &'a Cage,
    bin: PathBuf,
    mine: PathBuf,
    folder: &'a Path,
    terminals: Vec<Terminal>,
}

impl Stage<'_> {
    /// The line with what stands for something shown earlier.
    fn fill_in(&self, text: &str) -> String {
        let shown: String = self.terminals.iter().map(Terminal::text).collect();
        let is_cgroup =
            |word: &&str| word.rsplit('/').next().is_some_and(|name| name.starts_with("mydocker-"));
        let mut cgroups = shown.split_whitespace().filter(is_cgroup);
        text.replace("{cgroup}", cgroups.next_back().unwrap_or("{cgroup}"))
    }

    /// Types a line and returns what the terminal shows from its prompt to the next one.
    fn plays(&mut self, number: usize, text: &str) -> Result<String> {
        while self.terminals.len() <= number {
            self.opens()?;
        }
        let text = self.fill_in(text);
        let text = text.as_str();
        let terminal = &mut self.terminals[number];
        let prompt = terminal.take_prompt();
        if text == "^C" {
            terminal.press("\x03")?;
        } else if text == "^Z" {
            terminal.press("\x1a")?;
        } else if text == "^D" {
            terminal.press("\x04")?;
        } else if let Some(background) = text.strip_suffix(" ...") {
            // It runs on while somebody looks at it from the other terminal.
            terminal.press(&format!("{background}\n"))?;
            let shows = terminal.wait_for("\n", PATIENCE)?;
            // Time enough to get going.
            thread::sleep(Duration::from_millis(300));
            return Ok(format!("{prompt}{shows}"));
        } else {
            terminal.press(&format!("{text}\n"))?;
        }
        let shows = terminal.wait_for(PROMPT, PATIENCE)?;
        Ok(format!("{prompt}{}", shows.trim_end_matches(PROMPT)))
    }

    fn opens(&mut self) -> Result<()> {
        let path = format!(
            "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            self.bin.display()
        );
        let (home, binaries) = (self.folder.to_path_buf(), project::binaries()?);
        let mine = self.mine.clone();
        let shell = ["/bin/bash", "--noediting", "--rcfile", "bashrc"].map(Into::into);
        let mut terminal = Terminal::start(self.cage, &shell, move |command: &mut Command| {
            command.env_clear().env("PATH", path).env("HOME", home).env("BINARIES", binaries);
            command.env("MINE", mine);
            // Bash runs PROMPT_COMMAND before each prompt; other shells have PS1 alone.
            command.env("MARK", PROMPT).env("PROMPT_COMMAND", "printf '\\036'");
            command.env("LC_ALL", "C").env("TERM", "dumb").env("NO_COLOR", "1");
        })?;
        terminal.wait_for(PROMPT, PATIENCE)?;
        self.terminals.push(terminal);
        Ok(())
    }
}
