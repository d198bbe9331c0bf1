//! Faults of an experiment file, drawn under the lines they stand in.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::document::{Fault, Faults, Sources};
use crate::input::escape_lines;

/// Columns that a list of allowed keys is broken at.
const NOTE_WIDTH: usize = 88;

/// Every fault, with an empty line between two. Colours only where `styled`, for a terminal.
pub fn render(faults: &Faults, styled: bool) -> String {
    let drawn = faults.faults.iter();
    let drawn = drawn.map(|fault| render_fault(fault, &faults.sources, styled));
    drawn.collect::<Vec<_>>().join("\n")
}

/// One fault, with a line end.
pub fn render_fault(fault: &Fault, sources: &Sources, styled: bool) -> String {
    let fault = &escaped(fault);
    let renderer = if styled {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let title = Level::ERROR.primary_title(fault.message.as_str());
    let place = fault
        .span
        .as_ref()
        .and_then(|span| Some((span, sources.get(span)?)));
    let group = match place {
        Some((span, source)) => {
            let range = within(&source.text, &span.range);
            let annotation = AnnotationKind::Primary.span(range);
            title.element(
                Snippet::source(source.text.as_str())
                    .path(source.name.as_str())
                    .annotation(annotation.label(fault.label.as_deref())),
            )
        }
        None => title.element(annotate_snippets::Origin::path(sources.file_name())),
    };
    let mut text = renderer.render(&[with_footer(group, fault)]);
    text.push('\n');
    text
}

fn with_footer<'a>(mut group: Group<'a>, fault: &'a Fault) -> Group<'a> {
    if let Some(note) = &fault.note {
        group = group.element(Level::NOTE.message(wrap(note)));
    }
    if let Some(hint) = &fault.hint {
        group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
    }
    group
}

/// The fault with its sentences as they may be shown: they hold text of the file.
fn escaped(fault: &Fault) -> Fault {
    let escape = |text: &Option<String>| text.as_deref().map(escape_lines);
    Fault {
        message: escape_lines(&fault.message),
        span: fault.span.clone(),
        label: escape(&fault.label),
        note: escape(&fault.note),
        hint: escape(&fault.hint),
    }
}

/// A range that lies in the text, on the edges of characters.
fn within(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start);
    let end = text.ceil_char_boundary(range.end.max(start));
    start..end
}

/// Breaks a text at spaces into lines of at most [`NOTE_WIDTH`].
fn wrap(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("never empty");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= NOTE_WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Span;
    use crate::experiment::Experiment;

    const TEXT: &str = r#"[task]
name = "custom"
train = "train.tsv"
dev = "dev.tsv"

[teacher]
model = "models/teacher"

[student]
model = "models/small"

[stages.td-phase1]
learning_rte = 5e-5
"#;

    fn drawn(text: &str, overrides: &[&str]) -> String {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let faults = Experiment::read(
            crate::kinds::KINDS,
            "experiments/x.toml",
            "x",
            text,
            &overrides,
        )
        .unwrap_err();
        render(&faults, false)
    }

    #[test]
    fn an_unknown_key_is_drawn_with_what_is_allowed_and_what_was_meant() {
        let head = "\
error: unknown key `learning_rte` in `[stages.td-phase1]`
  --> experiments/x.toml:13:1
   |
13 | learning_rte = 5e-5
   | ^^^^^^^^^^^^
   |
   = note: allowed: `kind`, `seed`, `epochs`, `batch-size`,";
        let drawn = drawn(TEXT, &[]);
        assert!(drawn.starts_with(head), "{drawn}");
        assert!(
            drawn.contains("\n           `"),
            "long notes are broken: {drawn}"
        );
        assert!(drawn.lines().all(|line| line.len() <= 100), "{drawn}");
        assert!(
            drawn.ends_with("\n   = hint: did you mean `learning-rate`?\n"),
            "{drawn}"
        );
    }

    #[test]
    fn faults_stand_apart_and_those_of_overrides_show_the_override() {
        let text = TEXT
            .replace("learning_rte = 5e-5", "epochs = 0")
            .replace("model = \"models/teacher\"", "");
        let expected = "\
error: missing key `model` in `[teacher]`
 --> experiments/x.toml:6:1
  |
6 | [teacher]
  | ^^^^^^^^^ needs `model`, a Hugging Face folder

error: `epochs` in `[stages.td-phase1]` is out of range
  --> experiments/x.toml:13:10
   |
13 | epochs = 0
   |          ^ expected an integer from 1 to 10000

error: `schedule` in `[stages.td-phase1]` cannot be `liner`
 --> --set:1:27
  |
1 | stages.td-phase1.schedule=liner
  |                           ^^^^^ expected `linear`, `polynomial` or `constant`
  |
  = hint: did you mean `linear`?
";
        assert_eq!(drawn(&text, &["stages.td-phase1.schedule=liner"]), expected);
    }

    #[test]
    fn a_fault_without_a_place_names_the_file() {
        let sources = Sources::new("experiments/x.toml", TEXT, &[]);
        let fault = Fault::new("`models/teacher` does not exist", None);
        let expected = "\
error: `models/teacher` does not exist
--> experiments/x.toml
 = hint: run `make reviews`
";
        let fault = fault.with_hint("run `make reviews`".to_owned());
        assert_eq!(render_fault(&fault, &sources, false), expected);
    }

    #[test]
    fn columns_count_characters() {
        let text = "# für später\nname = \"größe ö\"\n";
        let expected = "\
error: experiment name `größe ö` may contain only letters, digits, `.`, `_`, `-` and `/`
 --> experiments/x.toml:2:8
  |
2 | name = \"größe ö\"
  |        ^^^^^^^^^ it is the name of the results folder
";
        assert!(drawn(text, &[]).contains(expected), "{}", drawn(text, &[]));
    }

    #[test]
    fn places_outside_of_the_text_do_no_harm() {
        let sources = Sources::new("x.toml", "ö", &[]);
        for range in [0..0, 1..1, 1..9, 7..9] {
            for source in [0, 5] {
                let span = Span {
                    source,
                    range: range.clone(),
                };
                let fault = Fault::new("wrong", span).with_label("here");
                let text = render_fault(&fault, &sources, false);
                assert!(text.starts_with("error: wrong\n"), "{text}");
                assert!(text.contains("--> x.toml"), "{text}");
            }
        }
        assert!(
            drawn("", &[])
                .starts_with("error: missing table `[task]`\n --> experiments/x.toml:1:1\n")
        );
    }

    #[test]
    fn colours_are_for_terminals_only() {
        let sources = Sources::new("x.toml", "seed = 1", &[]);
        let span = Span {
            source: 0,
            range: 0..4,
        };
        let fault = Fault::new("wrong", span);
        assert!(render_fault(&fault, &sources, true).contains('\u{1b}'));
        assert!(!render_fault(&fault, &sources, false).contains('\u{1b}'));
    }
}
