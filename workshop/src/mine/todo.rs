//! The marks `// TODO(you):` in a starting point: where something is to be added, and what.

use crate::steps::{self, Step, Todo};

const MARK: &str = "// TODO(you): ";

/// A source with marks, and how many of them did not find their place in it.
pub(super) struct Marked {
    pub(super) source: String,
    pub(super) homeless: usize,
}

/// Marks the places that a step adds something to, in the source of the step before. In somebody's
/// own source a place may not be found: then its mark stands at the top.
pub(super) fn mark(source: &str, step: &Step) -> Marked {
    let source = without_marks(source);
    let lines: Vec<&str> = source.lines().collect();
    let place = |todo: &Todo| {
        let mut places = lines.iter().enumerate().filter(|(_, line)| line.trim() == todo.above);
        // In doubt, none.
        places.next().filter(|_| places.next().is_none()).map(|(index, _)| index)
    };
    let places: Vec<(Option<usize>, &Todo)> = step.todo.iter().map(|it| (place(it), it)).collect();
    let homeless: Vec<&Todo> =
        places.iter().filter(|(place, _)| place.is_none()).map(|(_, todo)| *todo).collect();
    let mut marked = String::new();
    // Below the file's own comment.
    let top = lines.iter().position(|line| !line.starts_with("//!")).unwrap_or(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let here = places.iter().filter(|(place, _)| *place == Some(index)).map(|(_, todo)| *todo);
        let above = homeless.iter().copied().filter(|_| index == top);
        let indent = &line[..line.len() - line.trim_start().len()];
        for todo in above.chain(here) {
            marked += &format!("{indent}{MARK}{}\n", todo.text);
        }
        marked += &format!("{line}\n");
    }
    for todo in homeless.iter().filter(|_| top == lines.len()) {
        marked += &format!("{MARK}{}\n", todo.text);
    }
    Marked { source: marked, homeless: homeless.len() }
}

/// The marks in a source, each with the number of its line.
pub(super) fn marks(source: &str) -> Vec<(usize, &str)> {
    let lines = source.lines().enumerate();
    lines.filter_map(|(index, line)| Some((index + 1, line.trim().strip_prefix(MARK)?))).collect()
}

/// Whether a line is such a mark.
pub(crate) fn is_mark(line: &str) -> bool {
    line.trim_start().starts_with(MARK)
}

/// Without the marks of ours that are still there; the attendee's own stay.
fn without_marks(source: &str) -> String {
    let ours = |line: &str| {
        line.trim().strip_prefix(MARK).is_some_and(|text| {
            let steps = steps::all().unwrap_or_default();
            steps.iter().flat_map(|step| &step.todo).any(|todo| todo.text == text)
        })
    };
    source.split_inclusive('\n').filter(|line| !ours(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(todo: &[(&str, &str)]) -> Step {
        let todo =
            todo.iter().map(|(above, text)| Todo { above: (*above).into(), text: (*text).into() });
        Step { todo: todo.collect(), ..toml::from_str(STEP).unwrap() }
    }

    const STEP: &str = "number = 1\npackage = ''\nfolder = ''\ntitle = ''\nadds = ''\ntry = ''\n\
        shows = ''\nfinal = []\nproof = ''\nminutes = 1\nneeds = []\ndemo = []\nexercise = ''\nnotes = []\nhints = []\n";

    #[test]
    fn a_mark_stands_above_its_line_as_deep_as_that() {
        let marked = mark("fn a() {\n    one();\n    two();\n}\n", &step(&[("two();", "More.")]));
        assert_eq!(marked.source, "fn a() {\n    one();\n    // TODO(you): More.\n    two();\n}\n");
        assert_eq!(marks(&marked.source), [(3, "More.")]);
    }

    #[test]
    fn a_mark_without_its_line_stands_at_the_top() {
        let source = "//! Mine.\n\nfn a() {}\nx\nx\n";
        let marked = mark(source, &step(&[("gone();", "More."), ("x", "Which?")]));
        assert_eq!(
            marked.source,
            "//! Mine.\n// TODO(you): More.\n// TODO(you): Which?\n\nfn a() {}\nx\nx\n"
        );
        assert_eq!(marked.homeless, 2);
    }

    #[test]
    fn an_empty_source_gets_its_marks_too() {
        assert_eq!(mark("", &step(&[("x", "More.")])).source, "// TODO(you): More.\n");
    }

    #[test]
    fn only_our_own_old_marks_go() {
        let ours = &steps::all().unwrap()[4].todo[0].text;
        let source = format!("// TODO(you): {ours}\n// TODO(you): buy milk\n");
        assert_eq!(mark(&source, &step(&[])).source, "// TODO(you): buy milk\n");
    }
}
