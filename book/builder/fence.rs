//! Fenced blocks of code in Markdown.

/// A fenced block of code.
pub struct Fence {
    /// What stands before it.
    pub indent: String,
    marks: String,
    /// Its language.
    pub info: String,
    /// Where it begins.
    pub line: usize,
    /// What it holds.
    pub lines: Vec<String>,
}

impl Fence {
    /// The fence that a line opens.
    pub fn opens(line: &str, number: usize) -> Option<Self> {
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
    pub fn takes(mut self, line: &str) -> Result<Self, Self> {
        let text = line.trim();
        let mark = self.marks.chars().next();
        if text.len() >= self.marks.len() && text.chars().all(|letter| Some(letter) == mark) {
            return Err(self);
        }
        let own = line.strip_prefix(self.indent.as_str()).unwrap_or(line);
        self.lines.push(own.to_string());
        Ok(self)
    }
}
