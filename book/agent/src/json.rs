//! Writes JSON: what an array or object holds is written already.

use std::fmt::Write;

/// A string, in quotes.
pub(crate) fn text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\0'..' ' | '\x7f' => {
                let _ = write!(quoted, "\\u{:04x}", letter as u32);
            }
            _ => quoted.push(letter),
        }
    }
    quoted + "\""
}

pub(crate) fn array(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", joined(items))
}

pub(crate) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let fields = fields.into_iter().map(|(name, value)| format!("{}:{value}", text(name)));
    format!("{{{}}}", joined(fields))
}

/// A number that may be missing.
pub(crate) fn number(number: Option<u64>) -> String {
    number.map_or("null".to_string(), |number| number.to_string())
}

fn joined(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_json_knows_are_escaped() {
        assert_eq!(text("a \"b\" \\ \t\u{7f}ä"), r#""a \"b\" \\ \u0009\u007fä""#);
    }

    #[test]
    fn what_is_nested_stays_as_it_is() {
        let object = object([("a", array([text("b"), number(Some(1))])), ("c", number(None))]);
        assert_eq!(object, r#"{"a":["b",1],"c":null}"#);
    }
}
