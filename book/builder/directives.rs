//! Replaces the directives in a chapter; README.md lists them.

use std::fs;

use anyhow::{Context, Result, bail};
use workshop::steps::Step;

use crate::colour::escape;
use crate::coverage::Coverage;
use crate::project::{FILES, Project};
use crate::schedule::{Page, schedule};
use crate::transcript::{Session, terminal_html};
use crate::view;

/// What has been gathered from all chapters so far.
#[derive(Default)]
pub struct Gathered {
    /// Which changed lines are shown.
    pub coverage: Coverage,
    /// What cannot be resolved, with file and line.
    pub faults: Vec<String>,
}

/// A block that waits for its `{{#end}}`.
struct Block {
    name: String,
    line: usize,
    answered: bool,
}

/// A chapter while its lines are read.
pub struct Chapter<'a> {
    project: &'a Project,
    pages: &'a [Page],
    /// Where it lies, for faults.
    file: String,
    line: usize,
    open: Vec<Block>,
    hints: usize,
    gathered: &'a mut Gathered,
}

impl<'a> Chapter<'a> {
    /// Begins a chapter.
    pub fn new(
        project: &'a Project,
        pages: &'a [Page],
        file: &str,
        gathered: &'a mut Gathered,
    ) -> Self {
        let file = file.to_string();
        Self { project, pages, file, line: 0, open: Vec::new(), hints: 0, gathered }
    }

    /// The chapter's Markdown with every directive replaced.
    pub fn expand(mut self, text: &str) -> String {
        let mut out = String::new();
        let mut fence: Option<Fence> = None;
        for (index, line) in text.lines().enumerate() {
            self.line = index + 1;
            if let Some(open) = fence.take() {
                match open.takes(line) {
                    Ok(open) => fence = Some(open),
                    Err(closed) => out += &self.closes(closed, line),
                }
                continue;
            }
            fence = Fence::opens(line, self.line);
            if fence.is_some() {
                continue;
            }
            if line.starts_with('#') {
                self.hints = 0;
            }
            out += &self.replaces(line);
            out.push('\n');
        }
        if let Some(fence) = fence {
            self.line = fence.line;
            self.fault("this fence is never closed");
        }
        while let Some(block) = self.open.pop() {
            self.line = block.line;
            self.fault(&format!("{{{{#{}}}}} has no {{{{#end}}}}", block.name));
        }
        out
    }

    fn fault(&mut self, what: &str) {
        let (file, line) = (&self.file, self.line);
        self.gathered.faults.push(format!("{file}:{line}: {what}"));
    }

    /// A fence's lines, which are no directives.
    fn closes(&mut self, fence: Fence, last: &str) -> String {
        if fence.info == "console" {
            let screen: Result<String> = fence.lines.iter().map(|line| typed(line)).collect();
            match screen {
                Ok(screen) => return format!("{}{}\n", fence.indent, terminal_html(None, &screen)),
                Err(error) => self.fault(&format!("{error:#}")),
            }
        }
        let first = format!("{}{}{}", fence.indent, fence.marks, fence.info);
        format!("{first}\n{}\n{last}\n", fence.lines.join("\n"))
    }

    /// A line of prose, or a directive on a line of its own.
    fn replaces(&mut self, line: &str) -> String {
        let indent = &line[..line.len() - line.trim_start().len()];
        let Some((name, arguments)) = alone(line.trim()) else {
            return self.or_fault(|chapter| chapter.inline(line));
        };
        let html = self.or_fault(|chapter| chapter.directive(name, arguments));
        // Empty lines end the HTML for Markdown; the indentation keeps it in its list.
        let lines = html.trim_end_matches('\n').lines().map(|line| format!("{indent}{line}"));
        format!("\n{}\n", lines.map(|line| line.trim_end().to_string() + "\n").collect::<String>())
    }

    fn or_fault(&mut self, replace: impl FnOnce(&mut Self) -> Result<String>) -> String {
        replace(self).unwrap_or_else(|error| {
            self.fault(&format!("{error:#}"));
            String::new()
        })
    }

    fn inline(&mut self, line: &str) -> Result<String> {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("{{#") {
            let (directive, after) = after.split_once("}}").context("{{# is never closed")?;
            out += before;
            let (name, arguments) = directive.split_once(' ').unwrap_or((directive, ""));
            rest = after;
            match name {
                "stat" => out += &view::stat(self.project, Step::find(arguments)?.number)?,
                "run" => {
                    let (command, after) = after
                        .split_once("{{#end}}")
                        .context("{{#run}} has no {{#end}} on its line")?;
                    out += &format!("<kbd class=\"run\">{}</kbd>", escape(command.trim()));
                    rest = after;
                }
                _ => bail!("{{{{#{name}}}}} stands on a line of its own"),
            }
        }
        Ok(out + rest)
    }

    fn directive(&mut self, name: &str, arguments: &str) -> Result<String> {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        match (name, &words[..]) {
            ("diff", [step, part @ ..]) if !part.is_empty() => self.diff(Step::find(step)?, part),
            ("session", [whose, name]) => self.session(whose, name),
            ("code", [path, name @ ..]) if !name.is_empty() => {
                view::excerpt(self.project, path, &name.join(" "))
            }
            ("stat", [step]) => view::stat(self.project, Step::find(step)?.number),
            ("step", [step]) => view::bar(self.project, Step::find(step)?),
            ("minutes", [_]) => Ok(format!(
                "<p class=\"minutes\">{} minutes</p>\n",
                arguments.trim().parse::<u16>()?
            )),
            ("picture", [name, _, ..]) => self.picture(name, arguments),
            ("schedule", [length]) => schedule(self.pages, length),
            ("predict" | "question" | "notes" | "hint", []) => Ok(self.opens(name)),
            ("fold", [_, ..]) => {
                self.block(name);
                Ok(format!(
                    "<details class=\"fold\">\n<summary>{}</summary>\n\n",
                    escape(arguments)
                ))
            }
            ("answer", []) => self.answers(),
            ("end", []) => self.ends(),
            _ => bail!(
                "there is no directive {{{{#{name} {arguments}}}}}. book/README.md lists them"
            ),
        }
    }

    fn diff(&mut self, step: &Step, words: &[&str]) -> Result<String> {
        let place = format!("{}:{}", self.file, self.line);
        let file = FILES.into_iter().find(|file| *file == words.join(" ")).unwrap_or(FILES[0]);
        let difference = self.project.difference(step, file)?;
        let (name, part) = if file == FILES[0] && words != [FILES[0]] {
            let number = words.last().and_then(|word| word.parse().ok());
            let name = &words[..words.len() - usize::from(number.is_some())];
            let name = name.join(" ");
            let part = difference
                .part(&name, number)
                .with_context(|| format!("cannot show this part of step {:02}", step.number))?;
            (Some(name), part)
        } else {
            (None, difference.all())
        };
        self.gathered.coverage.add(step, file, &part, &place);
        view::difference(self.project, step, file, name.as_deref(), &part)
    }

    fn session(&self, whose: &str, name: &str) -> Result<String> {
        let folder = if whose == "book" { "book" } else { &Step::find(whose)?.folder };
        let tests = self.project.root.join(folder).join("tests");
        let html = Session::read(&tests, name)
            .and_then(|session| session.html())
            .with_context(|| format!("cannot show the session {name} of {folder}"))?;
        Ok(format!("<figure class=\"session\">\n{html}\n</figure>\n"))
    }

    fn picture(&self, name: &str, arguments: &str) -> Result<String> {
        let alternative = arguments.trim()[name.len()..].trim();
        let alternative = alternative
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .context("a picture needs an alternative text in quotes")?;
        let path = format!("book/src/pictures/{name}.svg");
        let svg = fs::read_to_string(self.project.root.join(&path))
            .with_context(|| format!("cannot read {path}. Draw it first"))?;
        let start = svg.find("<svg").with_context(|| format!("{path} has no <svg>"))?;
        let (opening, inner) =
            svg[start..].split_once('>').with_context(|| format!("{path} is cut off"))?;
        let title = format!("<title id=\"picture-{name}\">{}</title>", escape(alternative));
        let inner: Vec<&str> = inner.lines().filter(|line| !line.trim().is_empty()).collect();
        Ok(format!(
            "<figure class=\"picture\">\n{opening} role=\"img\" aria-labelledby=\"picture-{name}\">{title}\n{}\n</figure>\n",
            inner.join("\n")
        ))
    }

    fn block(&mut self, name: &str) {
        self.open.push(Block { name: name.to_string(), line: self.line, answered: false });
    }

    fn opens(&mut self, name: &str) -> String {
        self.block(name);
        match name {
            "hint" => {
                self.hints += 1;
                format!("<details class=\"hint\">\n<summary>Hint {}</summary>\n\n", self.hints)
            }
            "notes" => "<aside class=\"notes\" aria-label=\"For instructors\">\n\n".to_string(),
            name => format!("<div class=\"{name}\">\n\n"),
        }
    }

    fn answers(&mut self) -> Result<String> {
        let block = self.open.last_mut().filter(|it| !it.answered);
        let block =
            block.context("{{#answer}} belongs into {{#predict}} or {{#question}}, once")?;
        let summary = match block.name.as_str() {
            "predict" => "What happens",
            "question" => "Answer",
            name => bail!("{{{{#{name}}}}} has no answer"),
        };
        block.answered = true;
        Ok(format!("\n<details class=\"answer\">\n<summary>{summary}</summary>\n\n"))
    }

    fn ends(&mut self) -> Result<String> {
        let block = self.open.pop().context("{{#end}} ends nothing")?;
        Ok(match (block.name.as_str(), block.answered) {
            ("predict" | "question", true) => "\n</details>\n</div>\n\n".to_string(),
            ("predict" | "question", false) => {
                bail!("{{{{#{}}}}} of line {} has no {{{{#answer}}}}", block.name, block.line)
            }
            ("notes", _) => "\n</aside>\n\n".to_string(),
            _ => "\n</details>\n\n".to_string(),
        })
    }
}

/// Name and arguments of a directive that is alone on its line.
fn alone(line: &str) -> Option<(&str, &str)> {
    let directive = line.strip_prefix("{{#")?.strip_suffix("}}")?;
    if directive.contains("}}") {
        return None;
    }
    Some(directive.split_once(' ').unwrap_or((directive, "")))
}

/// A line of a console fence: only what is typed; what machines print comes from sessions.
fn typed(line: &str) -> Result<String> {
    let (prompt, command) = line
        .split_at_checked(2)
        .filter(|(prompt, _)| ["$ ", "# ", "> "].contains(prompt))
        .with_context(|| format!("`{line}` is no command: in a console fence each begins with `$ `. What a machine printed comes from {{{{#session}}}}"))?;
    Ok(format!("<span class=\"prompt\">{prompt}</span><kbd>{}</kbd>\n", escape(command)))
}

/// A fenced block of code.
struct Fence {
    indent: String,
    marks: String,
    info: String,
    line: usize,
    lines: Vec<String>,
}

impl Fence {
    fn opens(line: &str, number: usize) -> Option<Self> {
        let text = line.trim_start();
        let mark = text.chars().next().filter(|mark| ['`', '~'].contains(mark))?;
        let marks: String = text.chars().take_while(|letter| *letter == mark).collect();
        let info = text[marks.len()..].trim();
        let is_fence = marks.len() >= 3 && !(mark == '`' && info.contains('`'));
        is_fence.then(|| Self {
            indent: line[..line.len() - text.len()].to_string(),
            marks,
            info: info.to_string(),
            line: number,
            lines: Vec::new(),
        })
    }

    /// Takes a line, or is closed by it.
    fn takes(mut self, line: &str) -> Result<Self, Self> {
        let text = line.trim();
        let mark = self.marks.chars().next();
        if text.len() >= self.marks.len() && text.chars().all(|letter| Some(letter) == mark) {
            return Err(self);
        }
        let own = if self.info == "console" {
            line.strip_prefix(self.indent.as_str()).unwrap_or(line)
        } else {
            line
        };
        self.lines.push(own.to_string());
        Ok(self)
    }
}
