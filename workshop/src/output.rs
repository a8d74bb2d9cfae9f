//! Words for people.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::{Result, anyhow};
use colored::Colorize;
use nix::errno::Errno;

/// Writes the text to stdout. A reader that has seen enough (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    write(text.as_bytes())
}

/// The same, with bytes of any kind.
pub fn write(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow!("cannot write to stdout: {}. Is the disk full?", reason(&error)))
        }
        _ => Ok(()),
    }
}

/// Breaks a text into lines that are no wider than `width`, at blanks; longer words stay whole.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    text.trim_end_matches('\n').split('\n').flat_map(|line| wrap_line(line, width)).collect()
}

fn wrap_line(line: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let line = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_string()),
        }
    }
    lines
}

/// A command line as one types it to a shell.
pub(crate) fn line<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// A word of it.
pub(crate) fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Writes a line to stderr that is no error.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes an error to stderr.
pub fn complain(message: &str) {
    let mut stderr = io::stderr().lock();
    let mut word = "error:".red().bold();
    if !stderr.is_terminal() {
        word = "error:".normal();
    }
    let _ = writeln!(stderr, "{word} {message}");
}

/// Why a call failed, as errno(3) says it.
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_string(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn lines_break_at_blanks_and_words_stay_whole() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a /very/long/path b", 5), ["a", "/very/long/path", "b"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("one\ntwo three", 7), ["one", "two", "three"]);
        assert_eq!(wrap("äöü äöü", 7), ["äöü äöü"]);
    }
}
