//! Recorded sessions: tells apart what prompted, what was typed and what was printed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use workshop::output;
use workshop::transcript::lines;

use crate::colour::escape;
use crate::linux;
use crate::view::COPY;

/// A piece of a session on one terminal.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// What the shell printed before the command.
    Prompt(String),
    /// A command, as it was typed.
    Typed(String),
    /// A key such as `^C`.
    Key(String),
    /// Nothing follows the key on its line.
    LineEnd,
    /// What programs printed.
    Output(String),
    /// What follows is shown on the terminal with this number, from 1.
    Terminal(usize),
    /// A part begins: in the session an empty line stands before it.
    Part,
}

/// A session of a folder as HTML, or one part of it; what is different on cgroup v1 is folded below.
/// For a page with Linux it holds what is typed, or what Linux lacks for that.
pub fn html(folder: &Path, name: &str, part: Option<usize>, linux: bool) -> Result<String> {
    let session = Session::read(folder, name, "")?;
    let mut html = session.html(part)?;
    let mut data = String::new();
    if let Some(lacks) = session.session.lines().find_map(linux::lacks).filter(|_| linux) {
        data = format!(" data-lacks=\"{lacks}\"");
    } else if linux {
        let lines = escape(&session.session).replace('\n', "&#10;");
        data = format!(" data-name=\"{name}\" data-session=\"{lines}\"");
        if let Some(part) = part {
            data += &format!(" data-part=\"{part}\"");
        }
    }
    if folder.join(format!("snapshots/{name}{V1}.snap")).is_file() {
        let other = Session::read(folder, name, V1)?.html(part)?;
        if other != html {
            html += &format!(
                "\n<details class=\"v1\">\n<summary>On cgroup v1</summary>\n{other}\n</details>"
            );
        }
    }
    Ok(format!("<figure class=\"session\"{data}>\n{html}\n</figure>\n"))
}

/// How the name of a snapshot ends that was recorded on cgroup v1, where it is another.
const V1: &str = ".v1";

/// A session and its recorded transcript.
pub struct Session {
    session: String,
    transcript: String,
}

impl Session {
    /// Reads `NAME.session` and `snapshots/NAME.snap` in a folder, or a variant of it.
    pub fn read(folder: &Path, name: &str, variant: &str) -> Result<Self> {
        let read = |path: &Path, cure: &str| {
            fs::read_to_string(path).map_err(|error| {
                anyhow!("cannot read {}: {}. {cure}", path.display(), output::reason(&error))
            })
        };
        let session = folder.join(format!("{name}.session"));
        let session = read(&session, "Write the session first")?;
        let version = if variant == V1 { 1 } else { 2 };
        let session = lines(&session, version).collect::<Vec<_>>().join("\n");
        let snapshot = folder.join(format!("snapshots/{name}{variant}.snap"));
        let snapshot = read(&snapshot, "Record it as book/README.md says")?;
        let transcript = snapshot
            .strip_prefix("---\n")
            .and_then(|rest| rest.split_once("\n---\n"))
            .map(|(_, transcript)| transcript.to_string())
            .with_context(|| {
                format!("the snapshot {name}.snap does not begin with insta's head")
            })?;
        Ok(Self { session, transcript })
    }

    /// The lines that were typed, keys left out.
    pub fn typed(&self) -> impl Iterator<Item = &str> {
        typed(&self.session).map(|line| line.text).filter(|text| !is_key(text))
    }

    /// The transcript, piece by piece.
    pub fn pieces(&self) -> Result<Vec<Piece>> {
        let mut typed = typed(&self.session).filter(|line| line.text != "^D").peekable();
        let mut pieces = Vec::new();
        if self.session.lines().any(|line| line.starts_with("2> ")) {
            pieces.push(Piece::Terminal(1));
        }
        for line in self.transcript.lines() {
            if let Some(number) = terminal(line) {
                without_last_empty_line(&mut pieces);
                pieces.push(Piece::Terminal(number));
                continue;
            }
            let (mut line, mut ended) = (line, false);
            // A program that ends at a key may leave the prompt on the same line.
            while let Some(key) =
                typed.next_if(|key| is_key(key.text) && line.starts_with(key.text))
            {
                line = &line[key.text.len()..];
                pieces.extend(key.begins.then_some(Piece::Part));
                pieces.push(Piece::Key(key.text.to_string()));
                ended = line.is_empty();
            }
            if ended {
                pieces.push(Piece::LineEnd);
                continue;
            }
            let next = typed.peek().and_then(|next| Some((next.begins, prompt(line, next.text)?)));
            match next {
                Some((begins, prompt)) => {
                    pieces.extend(begins.then_some(Piece::Part));
                    pieces.push(Piece::Prompt(prompt.to_string()));
                    pieces.push(Piece::Typed(line[prompt.len()..].to_string()));
                    typed.next();
                }
                None => output(&mut pieces, line),
            }
        }
        if let Some(Line { text, .. }) = typed.next() {
            bail!("the transcript does not show `{text}`. Record it again");
        }
        Ok(pieces)
    }

    /// As HTML: what each terminal showed, in turn; all of it, or the part with this number, from 1.
    pub fn html(&self, part: Option<usize>) -> Result<String> {
        let (mut html, mut screen) = (String::new(), String::new());
        let (mut shown, mut now) = (None, 1);
        for piece in self.pieces()? {
            match piece {
                Piece::Terminal(number) => {
                    html += &terminal_html(shown.replace(number), &std::mem::take(&mut screen));
                }
                Piece::Part => {
                    html += &terminal_html(shown, &std::mem::take(&mut screen));
                    now += 1;
                }
                piece if part.is_none_or(|part| part == now) => screen += &piece.html(),
                _ => {}
            }
        }
        html += &terminal_html(shown, &screen);
        if html.is_empty() {
            bail!("it has {now} parts: an empty line in the session begins the next");
        }
        Ok(html)
    }
}

impl Piece {
    fn html(&self) -> String {
        match self {
            Self::Prompt(text) => format!("<span class=\"prompt\">{}</span>", escape(text)),
            Self::Typed(text) => format!("<kbd>{}</kbd>\n", escape(text)),
            Self::Key(text) => format!("<kbd class=\"key\">{}</kbd>", escape(text)),
            Self::LineEnd => "\n".to_string(),
            // As cat -v does: a browser would show a box.
            Self::Output(text) => {
                format!("<samp>{}</samp>\n", escape(&text.replace('\x1b', "^[")))
            }
            Self::Terminal(_) | Self::Part => String::new(),
        }
    }
}

/// What a terminal shows; on one line, since an empty one would end the HTML for Markdown.
pub fn terminal_html(number: Option<usize>, screen: &str) -> String {
    if screen.is_empty() {
        return String::new();
    }
    let (class, name) = match number {
        Some(1) => (" first", "First terminal"),
        Some(_) => (" second", "Second terminal"),
        None => ("", "Terminal"),
    };
    let screen = screen.trim_end_matches('\n').replace('\n', "&#10;");
    let copy = if screen.contains("<kbd") { COPY } else { "" };
    format!(
        "<div class=\"screen{class}\"><div class=\"bar\"><span>{name}</span>{copy}</div><pre class=\"terminal\" tabindex=\"0\">{screen}</pre></div>"
    )
}

/// A line of a session.
pub(crate) struct Line<'a> {
    pub(crate) text: &'a str,
    /// An empty line stands before it
    begins: bool,
}

/// What is typed, line by line.
pub(crate) fn typed(session: &str) -> impl Iterator<Item = Line<'_>> {
    let mut empty = false;
    session.lines().filter_map(move |line| {
        let begins = std::mem::replace(&mut empty, line.is_empty());
        let (_, text) = line.split_once("> ")?;
        Some(Line { text: text.strip_suffix(" ...").unwrap_or(text).trim_end(), begins })
    })
}

fn is_key(text: &str) -> bool {
    matches!(text, "^C" | "^D" | "^Z")
}

/// `== second terminal`, as the player writes it when the other one is looked at.
fn terminal(line: &str) -> Option<usize> {
    match line {
        "== first terminal" => Some(1),
        "== second terminal" => Some(2),
        _ => None,
    }
}

/// What stands before the typed text, if the line ends in it.
fn prompt<'a>(line: &'a str, text: &str) -> Option<&'a str> {
    let Some((before, after)) = text.split_once("{cgroup}") else {
        let prompt = line.strip_suffix(text)?;
        return is_prompt(prompt).then_some(prompt);
    };
    // Something shown earlier stands there instead.
    let rest = line.strip_suffix(after)?;
    let prompt = &rest[..rest.find(before)?];
    is_prompt(prompt).then_some(prompt)
}

/// A program that reads what is typed may have none.
fn is_prompt(text: &str) -> bool {
    text.is_empty() || ["$ ", "# ", "> "].iter().any(|end| text.ends_with(end))
}

/// The empty line before the name of a terminal is the player's.
fn without_last_empty_line(pieces: &mut Vec<Piece>) {
    let Some(Piece::Output(text)) = pieces.last_mut() else { return };
    match text.strip_suffix('\n') {
        Some(rest) => *text = rest.to_string(),
        None if text.is_empty() => drop(pieces.pop()),
        None => {}
    }
}

/// Adds a line to the output.
fn output(pieces: &mut Vec<Piece>, line: &str) {
    match pieces.last_mut() {
        Some(Piece::Output(text)) => {
            text.push('\n');
            text.push_str(line);
        }
        _ => pieces.push(Piece::Output(line.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(session: &str, transcript: &str) -> Vec<Piece> {
        let session = Session { session: session.into(), transcript: transcript.into() };
        session.pieces().unwrap()
    }

    #[test]
    fn prompt_input_and_output_are_told_apart() {
        let pieces =
            pieces("1> sleep 9 ...\n1> ^C\n1> echo $?\n", "$ sleep 9\n^C\n$ echo $?\n130\n");
        assert_eq!(
            pieces,
            [
                Piece::Prompt("$ ".into()),
                Piece::Typed("sleep 9".into()),
                Piece::Key("^C".into()),
                Piece::LineEnd,
                Piece::Prompt("$ ".into()),
                Piece::Typed("echo $?".into()),
                Piece::Output("130".into()),
            ]
        );
    }

    #[test]
    fn a_prompt_may_follow_a_key() {
        let pieces = pieces("1> sleep 9 ...\n1> ^C\n1> id\n", "$ sleep 9\n^C$ id\n");
        assert_eq!(pieces[2..4], [Piece::Key("^C".into()), Piece::Prompt("$ ".into())]);
    }

    #[test]
    fn a_folder_shown_earlier_stands_for_its_placeholder() {
        let pieces =
            pieces("1> cat {cgroup}/pids.max\n", "root@container:/# cat /sys/x/pids.max\n20\n");
        assert_eq!(pieces[1], Piece::Typed("cat /sys/x/pids.max".into()));
    }

    #[test]
    fn a_part_is_shown_alone() {
        let session = Session {
            session: "1> id\n2> ls\n\n2> pwd\n".into(),
            transcript: "$ id\n0\n\n== second terminal\n$ ls\n$ pwd\n/\n".into(),
        };
        let part = session.html(Some(2)).unwrap();
        assert!(part.contains("Second terminal") && part.contains("pwd"), "{part}");
        assert!(!part.contains("First terminal") && !part.contains("ls"), "{part}");
        assert!(session.html(Some(3)).unwrap_err().to_string().contains("2 parts"));
    }

    #[test]
    fn what_the_transcript_does_not_show_is_an_error() {
        let session = Session { session: "1> ls\n".into(), transcript: "$ id\n".into() };
        assert!(session.pieces().unwrap_err().to_string().contains("does not show `ls`"));
    }
}
