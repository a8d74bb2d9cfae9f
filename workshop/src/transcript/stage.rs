//! What a session is played on: a cage with a shell on each terminal.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

use super::lines;
use crate::cage::Cage;
use crate::checks::Bench;
use crate::kernel::PidsCgroup;
use crate::pty::Terminal;
use crate::wait::until;
use crate::{project, rootfs};

/// How long a prompt may take: final's first start in a virtual machine loads kernel modules.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every prompt begins with this character, which no program prints by itself.
pub(crate) const PROMPT: &str = "\x1e";

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

/// For bash in a container that does not hand our environment on: what marks its prompt, and that
/// lines are not edited, for which it would write escapes.
const MARK: &str = "PROMPT_COMMAND=\"printf '\\\\036'\"\nset +o emacs\n";

/// Who plays a session: types it, and sees what the terminals show.
pub(crate) trait Player {
    /// Looks at the first or the second terminal from now on.
    fn turns_to(&mut self, terminal: &str) -> Result<()>;
    /// Types a line, without the key that ends it.
    fn types(&mut self, line: &str, terminal: &mut Terminal) -> Result<()>;
    /// What appears, as it comes, with the marks of prompts; often nothing, while the player waits.
    fn sees(&mut self, shown: &[u8]) -> Result<()>;
}

/// A cage of its own, with a copy of a root filesystem. Everything on it goes when it goes.
pub(crate) struct Stage {
    terminals: Vec<Terminal>,
    cage: Cage,
    mine: PathBuf,
    bench: Bench,
}

impl Stage {
    /// Takes root. `cargo run -p mine` will start the program `mine`, if there is one.
    pub(crate) fn new(rootfs: &Path, mine: Option<&Path>) -> Result<Self> {
        let bench = Bench::new(rootfs)?;
        let folder = bench.folder();
        let bin = folder.join("bin");
        fs::create_dir(&bin).context("cannot create a folder for cargo's stand-in")?;
        fs::write(bin.join("cargo"), CARGO).context("cannot write cargo's stand-in")?;
        fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755))?;
        // Not exported: a bash in a container has the prompt that its own settings say.
        fs::write(folder.join("bashrc"), "PS1='$ '\n").context("cannot write settings for bash")?;
        prepare_final(folder).context("cannot prepare what final needs")?;
        let mine = match mine {
            Some(program) => fs::canonicalize(program).context("cannot find the program mine")?,
            None => project::binaries()?.join("mine"),
        };
        Ok(Self { terminals: Vec::new(), cage: Cage::build(folder)?, mine, bench })
    }

    /// Where sessions are played.
    pub(crate) fn folder(&self) -> &Path {
        self.bench.folder()
    }

    /// Plays a session from its first to its last line.
    pub(crate) fn play(&mut self, session: &str, player: &mut impl Player) -> Result<()> {
        let mut looks_at = None;
        let version = PidsCgroup::of(Pid::this())?.version;
        for line in lines(session, version).filter(|line| !line.is_empty()) {
            let (number, text) = match line.split_once("> ") {
                Some(("1", text)) => (0, text),
                Some(("2", text)) => (1, text),
                _ => bail!("a line begins with 1> or 2>, not {line:?}"),
            };
            if looks_at.replace(number) != Some(number) {
                player.turns_to(["first", "second"][number])?;
            }
            self.line(number, text, player)?;
        }
        Ok(())
    }

    /// Ends whatever still runs.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.terminals.clear();
        self.cage.sweep()
    }

    /// The line with what stands for something shown earlier, or soon. A line that lacks it could kill
    /// what it does not mean.
    fn fill_in(&self, text: &str) -> Result<String> {
        if !text.contains("{cgroup}") {
            return Ok(text.to_string());
        }
        let mut cgroup = None;
        until(PATIENCE, || {
            cgroup = self.last_cgroup();
            cgroup.is_some()
        });
        let cgroup = cgroup.with_context(|| format!("no cgroup is named before {text}"))?;
        Ok(text.replace("{cgroup}", &cgroup))
    }

    fn last_cgroup(&self) -> Option<String> {
        let shown: String = self.terminals.iter().map(Terminal::text).collect();
        let is_cgroup =
            |word: &&str| word.rsplit('/').next().is_some_and(|name| name.starts_with("mydocker-"));
        shown.split_whitespace().rfind(is_cgroup).map(str::to_string)
    }

    /// Has a line typed; what the terminal shows from its prompt to the next one is seen.
    fn line(&mut self, number: usize, text: &str, player: &mut impl Player) -> Result<()> {
        while self.terminals.len() <= number {
            self.opens()?;
        }
        let text = self.fill_in(text)?;
        let background = text.strip_suffix(" ...");
        let (line, key) = match text.as_str() {
            "^C" => ("", "\x03"),
            "^Z" => ("", "\x1a"),
            "^D" => ("", "\x04"),
            text => (background.unwrap_or(text), "\n"),
        };
        let terminal = &mut self.terminals[number];
        player.sees(&terminal.take_prompt())?;
        player.types(line, terminal)?;
        terminal.press(key)?;
        let end = if background.is_some() { "\n" } else { PROMPT };
        terminal.watch_for(end, PATIENCE, |shown| player.sees(shown))?;
        if background.is_some() {
            // It runs on while somebody looks at the other terminal: time enough to get going.
            thread::sleep(Duration::from_millis(300));
        }
        Ok(())
    }

    fn opens(&mut self) -> Result<()> {
        let folder = self.folder().to_path_buf();
        let path = format!(
            "{}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            folder.display()
        );
        let (mine, binaries) = (self.mine.clone(), project::binaries()?);
        let shell = ["/bin/bash", "--noediting", "--rcfile", "bashrc"].map(Into::into);
        let mut terminal = Terminal::start(&self.cage, &shell, move |command: &mut Command| {
            command.env_clear().env("PATH", path).env("HOME", folder).env("BINARIES", binaries);
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
