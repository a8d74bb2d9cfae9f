//! What the learner believes: which checks turn red.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, Result, anyhow, bail};
use colored::Colorize;

use crate::checks::Check;
use crate::{output, terminal};

/// The checks, numbered, with what must hold.
fn list(checks: &[&Check]) -> String {
    let width = terminal::text_width();
    let mut text = String::new();
    for (index, check) in checks.iter().enumerate() {
        let lines = output::wrap(&format!("{}: {}", check.name, check.title), width.max(20) - 4);
        let shown = lines.join("\n    ").replacen(check.name, &check.name.bold().to_string(), 1);
        text += &format!("{:>3} {shown}\n", index + 1);
    }
    text
}

/// Asks until there is an answer. None if the learner gives up.
pub(super) fn ask(checks: &[&'static Check]) -> Result<Option<Vec<&'static Check>>> {
    output::print(&format!("\n{}\n{}", "Which checks turn red?".bold(), list(checks)))?;
    let how = "Their numbers or names, or Enter for none. Ctrl-D shows the answer.";
    output::print(&format!("{}\n", output::wrap(how, terminal::text_width()).join("\n")))?;
    loop {
        output::print(&"> ".bold().to_string())?;
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line).context("cannot read your answer")? == 0 {
            // The prompt's line is still open.
            if io::stdin().is_terminal() {
                output::print("\n")?;
            }
            return Ok(None);
        }
        match parse(&line, checks) {
            Ok(guess) => return Ok(Some(guess)),
            Err(error) => output::print(&format!("{error:#}\n"))?,
        }
    }
}

/// Reads `1, 3 usage`.
pub(super) fn parse(text: &str, checks: &[&'static Check]) -> Result<Vec<&'static Check>> {
    let mut guess: Vec<&Check> = Vec::new();
    for word in text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty()) {
        let check = find(word, checks)?;
        if !guess.iter().any(|it| it.name == check.name) {
            guess.push(check);
        }
    }
    Ok(guess)
}

fn find(word: &str, checks: &[&'static Check]) -> Result<&'static Check> {
    if let Ok(number) = word.parse::<usize>() {
        let found = number.checked_sub(1).and_then(|index| checks.get(index)).copied();
        return found.with_context(|| {
            format!("there is no check {number}. They have the numbers 1 to {}", checks.len())
        });
    }
    if let Some(check) = checks.iter().find(|check| check.name == word) {
        return Ok(check);
    }
    let similar: Vec<_> =
        checks.iter().map(|check| check.name).filter(|name| name.contains(word)).collect();
    match similar[..] {
        [] => bail!("there is no check '{word}'. Type numbers or names from the list above"),
        _ => Err(anyhow!("there is no check '{word}'. Do you mean {}?", similar.join(" or "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{Stage, valid_at};

    fn names(text: &str) -> Result<Vec<&'static str>, String> {
        let checks: Vec<_> = valid_at(Stage::Step(1)).collect();
        let guess = parse(text, &checks).map_err(|error| error.to_string())?;
        Ok(guess.iter().map(|check| check.name).collect())
    }

    #[test]
    fn numbers_and_names_are_understood() {
        assert_eq!(
            names("3, says-running  2,\n").unwrap(),
            ["usage", "says-running", "arguments-whole"]
        );
        assert_eq!(names("3 usage").unwrap(), ["usage"]);
        assert_eq!(names("\n").unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_not_understood_is_explained() {
        assert_eq!(names("6").unwrap_err(), "there is no check 6. They have the numbers 1 to 5");
        assert_eq!(names("0").unwrap_err(), "there is no check 0. They have the numbers 1 to 5");
        assert_eq!(
            names("says").unwrap_err(),
            "there is no check 'says'. Do you mean says-running?"
        );
        assert!(names("1;2").unwrap_err().starts_with("there is no check '1;2'. Type numbers"));
    }
}
