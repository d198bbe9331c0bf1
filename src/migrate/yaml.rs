//! The first document of a YAML file; the others hold help and choices.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span as Marks};

use super::value::{DEPTH, Entry, Node, Read, Value, scalar};
use crate::document::{Fault, Span};
use crate::input::excerpt;

/// Reads the first document and checks the syntax of those that follow.
///
/// # Errors
/// The first fault, with its place: of syntax, a key that is written twice, or an alias, a merge
/// key or a tag, which no published configuration has.
pub(super) fn parse(text: &str, source: usize) -> Read<Node> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        lines: Lines::new(text, source),
    };
    let mut first = None;
    loop {
        match reader.next()?.0 {
            Event::DocumentStart(_) => {
                let (event, marks) = reader.next()?;
                let node = reader.node(event, marks, 0)?;
                first.get_or_insert(node);
            }
            Event::StreamEnd => break,
            _ => {}
        }
    }
    Ok(first.unwrap_or(Node {
        value: Value::Nothing,
        span: Span {
            source,
            range: 0..0,
        },
    }))
}

struct Reader<'a> {
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    lines: Lines<'a>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Read<(Event<'a>, Marks)> {
        match self.events.next_event() {
            Some(event) => event.map_err(|error| Box::new(self.syntax(&error))),
            None => Ok((Event::StreamEnd, Marks::default())),
        }
    }

    fn syntax(&self, error: &ScanError) -> Fault {
        let at = self.lines.byte(*error.marker());
        let message = format!("not valid YAML: {}", excerpt(error.info()));
        Fault::new(message, self.lines.span(at..at))
    }

    /// The node that begins with an event.
    fn node(&mut self, event: Event<'a>, marks: Marks, depth: usize) -> Read<Node> {
        let span = self.lines.marked(marks);
        let refuse = |what: &str| {
            let message = format!("{what} in a configuration");
            Err(Box::new(Fault::new(message, span.clone())))
        };
        if depth > DEPTH {
            return refuse(&format!("more than {DEPTH} levels"));
        }
        let (value, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = match style {
                    ScalarStyle::Plain => scalar(&text),
                    _ => Value::Text(text.into_owned()),
                };
                (value, anchor, tag.is_some())
            }
            Event::SequenceStart(anchor, tag) => (self.list(depth)?, anchor, tag.is_some()),
            Event::MappingStart(anchor, tag) => (self.map(depth)?, anchor, tag.is_some()),
            Event::Alias(_) => return refuse("an alias"),
            _ => (Value::Nothing, 0, false),
        };
        if tag {
            return refuse("a tag");
        }
        if anchor != 0 {
            return refuse("an anchor");
        }
        Ok(Node { value, span })
    }

    fn list(&mut self, depth: usize) -> Read<Value> {
        let mut items = Vec::new();
        loop {
            let (event, marks) = self.next()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                return Ok(Value::List(items));
            }
            items.push(self.node(event, marks, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Read<Value> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = std::collections::BTreeSet::new();
        loop {
            let (event, marks) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                return Ok(Value::Map(entries));
            }
            let span = self.lines.marked(marks);
            let Event::Scalar(key, ..) = event else {
                return Err(Box::new(Fault::new("a key that is not a word", span)));
            };
            let key = key.into_owned();
            if !keys.insert(key.clone()) {
                let message = format!("`{}` is written twice", excerpt(&key));
                return Err(Box::new(Fault::new(message, span)));
            }
            let (event, marks) = self.next()?;
            let node = self.node(event, marks, depth + 1)?;
            entries.push(Entry { key, span, node });
        }
    }
}

/// Bytes of a text by line and column.
struct Lines<'a> {
    text: &'a str,
    source: usize,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str, source: usize) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            source,
            starts: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// The parser counts characters; the last byte where a place lies outside.
    fn byte(&self, marker: Marker) -> usize {
        let line = self.starts.get(marker.line().saturating_sub(1));
        let start = line.copied().unwrap_or(self.text.len());
        let mut letters = self.text[start..].char_indices();
        let column = letters.nth(marker.col()).map(|(at, _)| start + at);
        column.unwrap_or(self.text.len())
    }

    fn marked(&self, marks: Marks) -> Span {
        let start = self.byte(marks.start);
        self.span(start..self.byte(marks.end).max(start))
    }

    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span {
            source: self.source,
            range,
        }
    }
}
