//! Colours sources, line by line.

use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};

const KEYWORDS: &[&str] = &[
    "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern",
    "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "type", "unsafe", "use",
    "where", "while",
];

/// The lines of a file as HTML.
pub fn lines(file: &str, source: &str) -> Vec<String> {
    let html = match file.rsplit('.').next() {
        Some("rs" | "rust") => rust(source),
        Some("toml") => toml(source),
        _ => escape(source),
    };
    html.lines().map(str::to_string).collect()
}

/// Text as HTML, which neither Markdown nor mdBook takes for its own.
pub fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '{' => html.push_str("&#123;"),
            letter => html.push(letter),
        }
    }
    html
}

/// A token that may reach over several lines: each gets a colour of its own.
fn coloured(class: &str, text: &str) -> String {
    let spans: Vec<String> = text
        .split('\n')
        .map(|line| {
            if line.is_empty() {
                String::new()
            } else {
                format!("<span class=\"{class}\">{}</span>", escape(line))
            }
        })
        .collect();
    spans.join("\n")
}

fn rust(source: &str) -> String {
    let mut html = String::new();
    let mut rest = source;
    let mut attribute = 0;
    let mut after_fn = false;
    for token in tokenize(source, FrontmatterAllowed::No) {
        let (text, after) = rest.split_at(token.len as usize);
        rest = after;
        if token.kind == TokenKind::Pound && after.trim_start_matches('!').starts_with('[') {
            attribute = 1;
        }
        let class = match token.kind {
            TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => "comment",
            TokenKind::Literal { kind, .. } => match kind {
                LiteralKind::Int { .. } | LiteralKind::Float { .. } => "number",
                _ => "string",
            },
            TokenKind::Lifetime { .. } | TokenKind::RawLifetime => "lifetime",
            _ if attribute > 0 => "attribute",
            TokenKind::Ident => name(text, after, after_fn),
            _ => "",
        };
        match token.kind {
            TokenKind::OpenBracket if attribute > 0 => attribute += 1,
            TokenKind::CloseBracket if attribute > 0 => {
                attribute = if attribute == 2 { 0 } else { attribute - 1 };
            }
            _ => {}
        }
        if token.kind != TokenKind::Whitespace {
            after_fn = text == "fn";
        }
        html += &if class.is_empty() { escape(text) } else { coloured(class, text) };
    }
    html
}

fn name(text: &str, after: &str, after_fn: bool) -> &'static str {
    let starts_large = text.starts_with(char::is_uppercase);
    if KEYWORDS.contains(&text) {
        "keyword"
    } else if after_fn {
        "function definition"
    } else if after.starts_with('!') && !after.starts_with("!=") {
        "macro"
    } else if starts_large && text.chars().any(char::is_lowercase) || text == "Self" {
        "type"
    } else if starts_large && text.len() > 1 {
        "constant"
    } else if starts_large {
        "type"
    } else if after.starts_with('(') {
        "function"
    } else {
        ""
    }
}

fn toml(source: &str) -> String {
    source
        .split_inclusive('\n')
        .map(|line| match line.split_once('=') {
            _ if line.starts_with('#') => coloured("comment", line),
            _ if line.starts_with('[') => coloured("keyword", line),
            Some((key, value)) if value.trim_start().starts_with('"') => {
                format!("{}={}", coloured("type", key), coloured("string", value))
            }
            Some((key, value)) => {
                format!("{}={}", coloured("type", key), coloured("number", value))
            }
            None => escape(line),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_colours() {
        let line = &lines("main.rs", "let x = call(\"a<b\"); // why\n")[0];
        let expected = "<span class=\"keyword\">let</span> x = <span class=\"function\">call</span>(<span class=\"string\">&quot;a&lt;b&quot;</span>); <span class=\"comment\">// why</span>";
        assert_eq!(line, expected);
    }

    #[test]
    fn attributes_end_where_their_bracket_does() {
        let line = &lines("main.rs", "#[arg(x = [1])] fn f() {}\n")[0];
        assert!(line.contains("<span class=\"keyword\">fn</span>"), "{line}");
        assert!(line.starts_with("<span class=\"attribute\">#</span>"), "{line}");
    }

    #[test]
    fn a_string_over_two_lines_is_coloured_in_both() {
        let lines = lines("main.rs", "f(\"one\ntwo\")\n");
        assert!(lines[1].starts_with("<span class=\"string\">two"), "{lines:?}");
    }
}
