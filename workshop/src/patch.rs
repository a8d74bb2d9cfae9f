//! Applies a unified diff, as patch(1) does.

use anyhow::{Context, Result, bail};

/// The source with a patch applied; every line of the patch must fit.
pub fn apply(source: &str, patch: &str) -> Result<String> {
    let old: Vec<&str> = source.split_inclusive('\n').collect();
    let mut new = String::new();
    let mut at = 0;
    let hunks = patch.find("\n@@ ").context("the patch has no hunk: make it with diff -u")?;
    for (index, line) in patch[hunks + 1..].split_inclusive('\n').enumerate() {
        let (sign, text) = line.split_at_checked(1).unwrap_or(("", line));
        match sign {
            "@" => {
                let start = first_line(line).with_context(|| format!("cannot read `{line}`"))?;
                let unchanged = old.get(at..start).context("the hunks are not in order")?;
                new.extend(unchanged.iter().copied());
                at = start;
            }
            " " | "-" => {
                let there = old.get(at).copied().unwrap_or_default();
                if there != text {
                    bail!(
                        "line {} of the hunks says `{}`, line {} of the source `{}`",
                        index + 1,
                        text.trim_end(),
                        at + 1,
                        there.trim_end()
                    );
                }
                if sign == " " {
                    new += text;
                }
                at += 1;
            }
            "+" => new += text,
            _ => bail!("`{}` does not belong into a patch of one file", line.trim_end()),
        }
    }
    new.extend(old[at..].iter().copied());
    Ok(new)
}

/// How many lines precede a hunk: `@@ -12,7 +12,9 @@`.
fn first_line(head: &str) -> Option<usize> {
    let number = head.strip_prefix("@@ -")?.split([',', ' ']).next()?;
    number.parse::<usize>().ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str =
        "--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n one\n+more\n two\n@@ -4 +5 @@ fn f()\n-four\n+4\n";

    #[test]
    fn a_patch_makes_the_new_source_of_the_old() {
        let new = apply("one\ntwo\nthree\nfour\n", PATCH).unwrap();
        assert_eq!(new, "one\nmore\ntwo\nthree\n4\n");
    }

    #[test]
    fn a_patch_that_does_not_fit_is_an_error() {
        let error = apply("one\ntwo\nthree\nfive\n", PATCH).unwrap_err().to_string();
        assert!(error.ends_with("says `four`, line 4 of the source `five`"), "{error}");
    }
}
