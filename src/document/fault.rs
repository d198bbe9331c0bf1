//! What is wrong with what the user wrote, and where.

use std::fmt;

use super::span::Span;

/// One thing that is wrong. `report::diagnostic` draws it under the line it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// One sentence, lower case, things in backticks.
    pub message: String,
    /// Where; `None` for what no place in a text stands for.
    pub span: Option<Span>,
    /// A few words under the caret.
    pub label: Option<String>,
    /// Further facts, such as every allowed key.
    pub note: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault at a place, or at none.
    pub fn new(message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self {
            message: message.into(),
            span: span.into(),
            label: None,
            note: None,
            hint: None,
        }
    }

    /// With words under the caret.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With further facts.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// With advice, if there is any.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// The texts that spans point into: the file, then every `--set` argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    texts: Vec<Source>,
}

/// One text that the user wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Name in messages: the file's path, or `--set`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Sources {
    /// The file and the `--set` arguments.
    pub fn new(file: &str, text: &str, overrides: &[String]) -> Self {
        let mut texts = vec![Source {
            name: file.to_owned(),
            text: text.to_owned(),
        }];
        texts.extend(overrides.iter().map(|argument| Source {
            name: "--set".to_owned(),
            text: argument.clone(),
        }));
        Self { texts }
    }

    /// Several texts; a span's source is the index of one.
    pub fn of(texts: Vec<Source>) -> Self {
        Self { texts }
    }

    /// Name of the experiment file in messages.
    pub fn file_name(&self) -> &str {
        self.texts.first().map_or("", |first| &first.name)
    }

    /// The text a span points into; `None` for a span of other sources.
    pub fn get(&self, span: &Span) -> Option<&Source> {
        self.texts.get(span.source)
    }

    /// Source and line of a fault.
    pub(crate) fn line(&self, fault: &Fault) -> Option<(usize, usize)> {
        let span = fault.span.as_ref()?;
        Some((span.source, self.position(span)?.0))
    }

    /// Line and column, both from 1, the column in characters.
    pub fn position(&self, span: &Span) -> Option<(usize, usize)> {
        let before = self.get(span)?.text.get(..span.range.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        Some((line, before[line_start..].chars().count() + 1))
    }
}

/// Everything that is wrong with a file, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// At least one.
    pub faults: Vec<Fault>,
    /// What their spans point into.
    pub sources: Sources,
}

impl Faults {
    /// Sorts faults into the order of the text; those without a place come first.
    pub fn new(mut faults: Vec<Fault>, sources: Sources) -> Self {
        faults.sort_by_key(|fault| {
            fault
                .span
                .as_ref()
                .map(|span| (span.source, span.range.start))
        });
        Self { faults, sources }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let place = fault.span.as_ref().and_then(|span| {
                let (line, column) = self.sources.position(span)?;
                Some((&self.sources.get(span)?.name, line, column))
            });
            match place {
                Some((name, line, column)) => write!(f, "{name}:{line}:{column}: ")?,
                None => write!(f, "{}: ", self.sources.file_name())?,
            }
            f.write_str(&fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
