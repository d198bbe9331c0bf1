//! Faults of an experiment file, drawn under the lines they stand in.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::experiment::{Fault, Faults, Sources};

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
