//! Replaces the directives in a chapter; README.md lists them.

use std::fs;

use anyhow::{Context, Result, bail};
use workshop::schedule::Page;
use workshop::steps::Step;

use crate::colour::{self, escape};
use crate::commands::Command;
use crate::coverage::Coverage;
use crate::experiments::{self, Shown};
use crate::fence::Fence;
use crate::linux;
use crate::project::{FILES, Project};
use crate::schedule::schedule;
use crate::skeleton::Outline;
use crate::transcript::{self, terminal_html};
use crate::{view, vm};

/// How notes for instructors begin.
const NOTES: &str = "<aside class=\"notes\" aria-label=\"For instructors\">";

/// What has been gathered from all chapters so far.
#[derive(Default)]
pub struct Gathered {
    /// The sessions that the pages show.
    pub sessions: Vec<Shown>,
    /// The commands that a reader is told to type.
    pub commands: Vec<Command>,
    /// Which changed lines are shown.
    pub coverage: Coverage,
    /// What cannot be resolved, and what a chapter must have and has not, with file and line.
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
    outline: Outline,
    /// Whether Linux is in the page.
    linux: bool,
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
        let (outline, open) = (Outline::default(), Vec::new());
        Self { project, pages, file, line: 0, open, hints: 0, outline, linux: false, gathered }
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
                    Err(closed) => out += &self.closes(closed),
                }
                continue;
            }
            fence = Fence::opens(line, self.line);
            if let Some(fence) = &fence {
                if fence.info.is_empty() {
                    self.fault("this fence has no language: console, rust, text, ...");
                }
                continue;
            }
            if line.starts_with('#') {
                self.hints = 0;
                self.outline.heading(self.line, line);
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
        for (line, what) in self.outline.faults(&self.file) {
            let file = &self.file;
            self.gathered.faults.push(format!("{file}:{line}: {what}"));
        }
        out
    }

    fn fault(&mut self, what: &str) {
        let (file, line) = (&self.file, self.line);
        self.gathered.faults.push(format!("{file}:{line}: {what}"));
    }

    /// Notes that a reader is told to type something.
    fn types(&mut self, command: &str) {
        let place = format!("{}:{}", self.file, self.line);
        self.gathered.commands.push(Command { place, text: command.trim().to_string() });
    }

    /// The attribute of what can be typed into the page's Linux.
    fn runs(&self, command: &str) -> &'static str {
        if self.linux && linux::lacks(command.trim()).is_none() { " data-run" } else { "" }
    }

    /// A fence's lines, which are no directives.
    fn closes(&mut self, fence: Fence) -> String {
        if fence.info == "console" {
            let mut screen = String::new();
            for (index, line) in fence.lines.iter().enumerate() {
                self.line = fence.line + index + 1;
                screen += &self.or_fault(|chapter| chapter.typed(line));
            }
            return format!("{}{}\n", fence.indent, terminal_html(None, &screen));
        }
        let language = fence.info.split([' ', ',']).next().unwrap_or_default();
        let source: String = fence.lines.iter().map(|line| format!("{line}\n")).collect();
        let html = colour::lines(&format!("x.{language}"), &source).join("&#10;");
        format!(
            "{}<pre class=\"source\" data-language=\"{}\" tabindex=\"0\">{html}</pre>\n",
            fence.indent,
            escape(language)
        )
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
                    self.types(command);
                    let run = match arguments {
                        "" => self.runs(command),
                        "host" if self.runs(command).is_empty() => "",
                        "host" => " data-run=\"host\"",
                        _ => bail!("{{{{#run}}}} knows only the host"),
                    };
                    out += &format!("<kbd class=\"run\"{run}>{}</kbd>", escape(command.trim()));
                    rest = after;
                }
                _ => bail!("{{{{#{name}}}}} stands on a line of its own"),
            }
        }
        Ok(out + rest)
    }

    fn directive(&mut self, name: &str, arguments: &str) -> Result<String> {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        self.outline.directive(name, &words);
        match (name, &words[..]) {
            ("diff", [step, part @ ..]) if !part.is_empty() => self.diff(Step::find(step)?, part),
            ("session", [whose, name]) => self.session(whose, name, None),
            ("session", [whose, name, part]) => self.session(whose, name, Some(part.parse()?)),
            ("solution", [step]) => self.solution(Step::find(step)?),
            ("code", [path, name @ ..]) if !name.is_empty() => {
                view::excerpt(self.project, path, &name.join(" "))
            }
            ("stat", [step]) => view::stat(self.project, Step::find(step)?.number),
            ("step", [step]) => {
                let step = Step::find(step)?;
                self.types(&view::try_it(step));
                self.linux = self.project.linux;
                let run = self.runs(&view::try_it(step));
                Ok(view::bar(self.project, step, run)? + &linux::terminal(Some(step), self.linux))
            }
            ("linux", []) => {
                self.linux = self.project.linux;
                Ok(linux::terminal(None, self.linux))
            }
            ("minutes", [_]) => Ok(format!(
                "<p class=\"minutes\">{} minutes</p>\n",
                arguments.trim().parse::<u16>()?
            )),
            ("picture", [name, _, ..]) => self.picture(name, arguments),
            ("experiments", []) => experiments::tables(self.project, self.pages),
            ("sources", []) => vm::site::sources_page(&self.project.root),
            ("schedule", [length]) => schedule(self.pages, length),
            ("exercise", [step]) => self.inline(&Step::find(step)?.exercise),
            ("notes", [step]) => self.notes(Step::find(step)?),
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
        if let Some(command) = view::command(step, file)? {
            self.types(&command);
        }
        view::difference(self.project, step, file, name.as_deref(), &part)
    }

    fn session(&mut self, whose: &str, name: &str, part: Option<usize>) -> Result<String> {
        let (file, session) = (self.file.clone(), format!("{whose} {name}"));
        self.gathered.sessions.push(Shown { file, session });
        let folder = if whose == "book" { "book" } else { &Step::find(whose)?.folder };
        transcript::html(&self.project.root.join(folder).join("tests"), name, part, self.linux)
            .with_context(|| format!("cannot show the session {name} of {folder}"))
    }

    /// The patch and the session of an exercise.
    fn solution(&mut self, step: &Step) -> Result<String> {
        let patch = view::solution(self.project, step)?;
        self.types(&view::patch_command(step));
        let folder = self.project.root.join("book/exercises");
        let session = transcript::html(&folder, &step.package, None, false)
            .with_context(|| format!("cannot show the session of {}'s exercise", step.package))?;
        Ok(format!(
            "<details class=\"solution\">\n<summary>Solution</summary>\n{patch}{session}</details>\n"
        ))
    }

    /// What steps.toml tells who teaches a step.
    fn notes(&mut self, step: &Step) -> Result<String> {
        let mut list = String::new();
        for note in &step.notes {
            let (kind, text) = note.split_once(": ").context("a note begins with its kind")?;
            list += &format!("- **{kind}**: {}\n", self.inline(text)?);
        }
        Ok(format!("{NOTES}\n\n{list}\n</aside>\n"))
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

    /// A line of a console fence: only what is typed; what machines print comes from sessions.
    fn typed(&mut self, line: &str) -> Result<String> {
        let (prompt, command) = line
            .split_at_checked(2)
            .filter(|(prompt, _)| ["$ ", "# ", "> "].contains(prompt))
            .with_context(|| {
                format!(
                    "`{line}` is no command: in a console fence each begins with `$ `. What a machine printed comes from {{{{#session}}}}"
                )
            })?;
        self.types(command);
        let run = self.runs(command);
        Ok(format!("<span class=\"prompt\">{prompt}</span><kbd{run}>{}</kbd>\n", escape(command)))
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
            "notes" => format!("{NOTES}\n\n"),
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
