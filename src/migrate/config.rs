//! Typed reading of a configuration: what is read is noted, faults have their places.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::value::{Entry, Node, Value};
use crate::document::{Fault, Located, Span};
use crate::input::excerpt;

/// A configuration and what was read of it.
pub(super) struct Config<'a> {
    root: &'a Node,
    read: RefCell<BTreeSet<String>>,
    faults: &'a RefCell<Vec<Fault>>,
}

/// A value that nobody reads.
pub(super) struct Unread {
    pub(super) path: String,
    pub(super) span: Span,
}

impl<'a> Config<'a> {
    pub(super) fn new(root: &'a Node, faults: &'a RefCell<Vec<Fault>>) -> Self {
        Self {
            root,
            read: RefCell::default(),
            faults,
        }
    }

    /// The node at a dotted path, if it is there and is a value.
    pub(super) fn node(&self, path: &str) -> Option<&'a Node> {
        let mut node = self.root;
        for key in path.split('.') {
            node = node.value.get(key)?;
        }
        if matches!(node.value, Value::Nothing | Value::Code) {
            return None;
        }
        self.read.borrow_mut().insert(path.to_owned());
        Some(node)
    }

    /// Adds a fault of a value.
    pub(super) fn fault(&self, path: &str, span: &Span, message: &str, label: &str) {
        let fault = Fault::new(format!("`{path}` {message}"), span.clone());
        self.faults.borrow_mut().push(fault.with_label(label));
    }

    /// Adds a fault of the whole configuration.
    pub(super) fn refuse(&self, message: &str, label: &str, hint: String) {
        let fault = Fault::new(message, self.root.span.clone()).with_label(label);
        self.faults.borrow_mut().push(fault.with_hint(hint));
    }

    /// Tables in the table at a path.
    pub(super) fn tables(&self, path: &str) -> Vec<&'a Entry> {
        let Some(Value::Map(entries)) = self.node(path).map(|node| &node.value) else {
            return Vec::new();
        };
        let is_table = |entry: &&Entry| matches!(entry.node.value, Value::Map(_));
        entries.iter().filter(is_table).collect()
    }

    fn found<T>(
        &self,
        path: &str,
        node: &Node,
        value: Option<T>,
        expected: &str,
    ) -> Option<Located<T>> {
        if value.is_none() {
            let is = match &node.value {
                Value::Number(_) => "is out of range".to_owned(),
                Value::Text(text) => format!("cannot be `{}`", excerpt(text)),
                other => format!("is {}", other.kind()),
            };
            self.fault(path, &node.span, &is, &format!("expected {expected}"));
        }
        let span = Some(node.span.clone());
        value.map(|value| Located { value, span })
    }

    /// A whole number.
    pub(super) fn integer(&self, path: &str, range: RangeInclusive<u32>) -> Option<Located<u32>> {
        let node = self.node(path)?;
        let value = match node.value {
            Value::Number(number) => whole(number).filter(|number| range.contains(number)),
            _ => None,
        };
        let (least, most) = (range.start(), range.end());
        self.found(path, node, value, &format!("an integer, {least} to {most}"))
    }

    /// A number.
    pub(super) fn number(&self, path: &str, range: RangeInclusive<f64>) -> Option<Located<f64>> {
        let node = self.node(path)?;
        let value = match node.value {
            Value::Number(number) => Some(number).filter(|number| range.contains(number)),
            _ => None,
        };
        let (least, most) = (range.start(), range.end());
        self.found(path, node, value, &format!("a number, {least} to {most}"))
    }

    /// A boolean, which the scripts take as a word.
    pub(super) fn flag(&self, path: &str) -> Option<Located<bool>> {
        let node = self.node(path)?;
        let value = match &node.value {
            Value::Flag(flag) => Some(*flag),
            Value::Text(word) if word.eq_ignore_ascii_case("true") => Some(true),
            Value::Text(word) if word.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        };
        self.found(path, node, value, "`true` or `false`")
    }

    /// Text that is not empty.
    pub(super) fn text(&self, path: &str) -> Option<Located<String>> {
        let node = self.node(path)?;
        let value = match &node.value {
            Value::Text(text) if text.trim().is_empty() => return None,
            Value::Text(text) => Some(text.trim().to_owned()),
            // A name of digits.
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        self.found(path, node, value, "a string")
    }

    /// One of several words, whatever the case of their letters.
    pub(super) fn word<T: Copy>(&self, path: &str, words: &[(&str, T)]) -> Option<Located<T>> {
        let found = self.text(path)?;
        let node = self.node(path)?;
        let mut known = words.iter();
        let value = known.find(|(word, _)| word.eq_ignore_ascii_case(&found.value));
        let names: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let value = value.map(|(_, value)| *value);
        self.found(path, node, value, &names.join(", "))
    }

    /// A list of words.
    pub(super) fn words(&self, path: &str) -> Option<Located<Vec<String>>> {
        let node = self.node(path)?;
        let text = |item: &Node| match &item.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        let value = match &node.value {
            Value::List(items) => items.iter().map(text).collect(),
            _ => None,
        };
        self.found(path, node, value, "a list of strings")
    }

    /// Values that were not read, in the order of the file.
    pub(super) fn unread(&self) -> Vec<Unread> {
        let mut found = Vec::new();
        self.unread_of(self.root, "", &mut found);
        found
    }

    fn unread_of(&self, node: &Node, path: &str, found: &mut Vec<Unread>) {
        let Value::Map(entries) = &node.value else {
            return;
        };
        for Entry { key, span, node } in entries {
            let whole = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            match node.value {
                Value::Map(_) => self.unread_of(node, &whole, found),
                _ if self.read.borrow().contains(&whole) => {}
                _ => found.push(Unread {
                    path: whole,
                    span: span.clone(),
                }),
            }
        }
    }
}

/// A number without a fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked before"
)]
fn whole(number: f64) -> Option<u32> {
    let fits = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    fits.then_some(number as u32)
}
