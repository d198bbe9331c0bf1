//! Typed reading of one table: every fault is collected, and at the end every key that
//! nobody asked for is one.

use std::cell::RefCell;
use std::ops::RangeBounds;

use super::collector::Collector;
use super::convert::{
    Converted, Refusal, alternatives, boolean, choice, did_you_mean, float, integer, items, string,
};
use super::fault::Fault;
use super::node::{Entry, Node, Table, Value};
use super::span::{Located, Span};

/// One table being read.
pub(crate) struct Section<'a> {
    /// Dotted path; empty for the file's top.
    path: String,
    /// Header, for what is missing in it; `None` for a table that is not there.
    span: Option<Span>,
    table: Option<&'a Table>,
    asked: RefCell<Vec<String>>,
    faults: &'a Collector,
}

impl<'a> Section<'a> {
    /// The file's top.
    pub(crate) fn top(table: &'a Table, faults: &'a Collector) -> Self {
        Self {
            path: String::new(),
            span: Some(Span {
                source: 0,
                range: 0..0,
            }),
            table: Some(table),
            asked: RefCell::default(),
            faults,
        }
    }

    /// Where faults go.
    pub(crate) fn faults(&self) -> &'a Collector {
        self.faults
    }

    /// Adds a fault of what a key says.
    pub(crate) fn wrong(&self, key: &str, fault: Fault) {
        self.faults.wrong(&self.join(key), fault);
    }

    /// Adds a fault of keys that do not go together.
    pub(crate) fn unfit(&self, fault: Fault) {
        self.faults.unfit(fault);
    }

    /// Place of the header.
    pub(crate) fn span(&self) -> Option<Span> {
        self.span.clone()
    }

    /// Whether the table is written at all.
    pub(crate) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Whether a key is written, rightly or not. Does not count as asking for it.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Place of what is written as a key's value; a table's is its header.
    pub(crate) fn value_span(&self, key: &str) -> Option<Span> {
        Some(self.table?.get(key)?.node.span.clone())
    }

    /// Place of a written key.
    pub(crate) fn key_span(&self, key: &str) -> Option<Span> {
        Some(self.table?.get(key)?.key.clone())
    }

    /// Place of a key's value in a table within this one.
    pub(crate) fn span_within(&self, table: &str, key: &str) -> Option<Span> {
        match &self.table?.get(table)?.node.value {
            Value::Table(table) => Some(table.get(key)?.node.span.clone()),
            _ => None,
        }
    }

    /// Place of an item of a list.
    pub(crate) fn item_span(&self, key: &str, index: usize) -> Option<Span> {
        match &self.table?.get(key)?.node.value {
            Value::Array(items) => Some(items.get(index)?.span.clone()),
            _ => None,
        }
    }

    /// Whether none of these keys has a fault, so that they can be compared.
    pub(crate) fn sound(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.faults.sound(&[&self.join(key)]))
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Every entry of a table whose keys are the user's own, in the order of their names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Entry)> + use<'a> {
        let entries = self.table.into_iter().flatten();
        entries.map(|(key, entry)| (key.as_str(), entry))
    }

    /// Dotted path of the table.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// A key in a message: with its table.
    pub(crate) fn name(&self, key: &str) -> String {
        if self.path.is_empty() {
            format!("`{key}`")
        } else {
            format!("`{key}` in `[{}]`", self.path)
        }
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(key.to_owned());
        self.table?.get(key)
    }

    /// Reports a key that must be there, where it is not.
    pub(crate) fn require(&self, key: &str, what: &str) {
        if self.is_present() && !self.has(key) {
            let message = format!("missing key {}", self.name(key));
            let fault = Fault::new(message, self.span.clone());
            self.faults.missing(
                &self.join(key),
                fault.with_label(format!("needs `{key}`, {what}")),
            );
        }
    }

    /// Reads a key by a conversion; a fault is reported and gives `None`.
    fn read<T>(
        &self,
        key: &'static str,
        convert: impl FnOnce(&Node) -> Converted<T>,
    ) -> Option<Located<T>> {
        let entry = self.entry(key)?;
        match convert(&entry.node) {
            Ok(value) => Some(Located {
                value,
                span: Some(entry.node.span.clone()),
            }),
            Err(refusal) => {
                let span = refusal.span.unwrap_or_else(|| entry.node.span.clone());
                let message = format!("{} {}", self.name(key), refusal.predicate);
                let fault = Fault::new(message, span).with_label(refusal.label);
                self.wrong(key, fault.with_hint(refusal.hint));
                None
            }
        }
    }

    /// A table within this one; `None` where it is not written or is no table.
    pub(crate) fn section(&self, key: &str) -> Option<Section<'a>> {
        let entry = self.entry(key)?;
        if let Value::Table(table) = &entry.node.value {
            Some(Section {
                path: self.join(key),
                span: Some(entry.node.span.clone()),
                table: Some(table),
                asked: RefCell::default(),
                faults: self.faults,
            })
        } else {
            let message = format!("`{}` is {}", self.join(key), entry.node.value.kind());
            let fault = Fault::new(message, entry.node.span.clone());
            self.wrong(key, fault.with_label("expected a table"));
            None
        }
    }

    /// A table within this one that reads as empty, and without complaint, where there is none.
    pub(crate) fn section_or_empty(&self, key: &str) -> Section<'a> {
        self.section(key).unwrap_or_else(|| Section {
            path: self.join(key),
            span: None,
            table: None,
            asked: RefCell::default(),
            faults: self.faults,
        })
    }

    /// A table that must be there.
    pub(crate) fn required_section(&self, key: &'static str, what: &str) -> Section<'a> {
        if !self.has(key) {
            let path = self.join(key);
            let fault = Fault::new(format!("missing table `[{path}]`"), self.span());
            self.faults.missing(
                &path,
                fault.with_label(format!("the file needs `[{path}]`, {what}")),
            );
        }
        self.section_or_empty(key)
    }

    /// A string that is not empty.
    pub(crate) fn string(&self, key: &'static str) -> Option<Located<String>> {
        self.read(key, string)
    }

    /// A list of strings.
    pub(crate) fn strings(&self, key: &'static str) -> Option<Located<Vec<Located<String>>>> {
        self.read(key, |node| {
            items(node, "a list of strings")?
                .iter()
                .map(|item| {
                    Ok(Located {
                        value: string(item)?,
                        span: Some(item.span.clone()),
                    })
                })
                .collect()
        })
    }

    /// A string that is not empty, or a list of such that is not empty.
    pub(crate) fn word_or_words(&self, key: &'static str) -> Option<Located<Vec<Located<String>>>> {
        self.read(key, |node| {
            let items = match &node.value {
                Value::Array(items) => items,
                _ => std::slice::from_ref(node),
            };
            let words = items.iter().map(|item| {
                Ok(Located {
                    value: string(item)?,
                    span: Some(item.span.clone()),
                })
            });
            match items {
                [] => Err(Refusal {
                    predicate: "is empty".to_owned(),
                    label: "expected at least one item".to_owned(),
                    hint: None,
                    span: Some(node.span.clone()),
                }),
                _ => words.collect(),
            }
        })
    }

    /// A whole number in a range.
    pub(crate) fn integer<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        range: impl RangeBounds<i64>,
    ) -> Option<Located<T>> {
        self.read(key, |node| integer(node, &range))
    }

    /// A number in a range. A whole number will do.
    pub(crate) fn float(
        &self,
        key: &'static str,
        range: impl RangeBounds<f64>,
    ) -> Option<Located<f64>> {
        self.read(key, |node| float(node, &range))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, key: &'static str) -> Option<Located<bool>> {
        self.read(key, boolean)
    }

    /// A list of numbers in a range.
    pub(crate) fn floats(
        &self,
        key: &'static str,
        range: impl RangeBounds<f64>,
    ) -> Option<Located<Vec<f64>>> {
        self.read(key, |node| {
            numbers(node, "a list of numbers", |item| float(item, &range))
        })
    }

    /// One of several words.
    pub(crate) fn choice<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<Located<T>> {
        self.read(key, |node| choice(node, choices))
    }

    /// One of several words, or a table.
    pub(crate) fn choice_or_section<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&str, T)],
        table: &str,
    ) -> Option<WordOrSection<'a, T>> {
        if let Some(Value::Table(_)) = self.table?.get(key).map(|entry| &entry.node.value) {
            return self.section(key).map(WordOrSection::Section);
        }
        self.read(key, |node| {
            choice(node, choices).map_err(|mut refusal| {
                refusal.label = format!("{}, or {table}", refusal.label);
                refusal
            })
        })
        .map(WordOrSection::Word)
    }

    /// One of several words, or a number in a range.
    pub(crate) fn choice_or_float<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&str, T)],
        range: impl RangeBounds<f64>,
    ) -> Option<Located<WordOrNumber<T>>> {
        self.read(key, |node| {
            if matches!(node.value, Value::String(_)) {
                return choice(node, choices).map(WordOrNumber::Word);
            }
            float(node, &range)
                .map(WordOrNumber::Number)
                .map_err(|mut refusal| {
                    let words = alternatives(choices.iter().map(|choice| choice.0));
                    refusal.label = format!("{}, or {words}", refusal.label);
                    refusal
                })
        })
    }

    /// A list of whole numbers in a range.
    pub(crate) fn integers<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        range: impl RangeBounds<i64>,
        what: &str,
    ) -> Option<Located<Vec<T>>> {
        self.read(key, |node| {
            numbers(node, what, |item| integer(item, &range))
        })
    }

    /// Reports every key that was not asked for.
    pub(crate) fn finish(&self) {
        self.finish_as("key", "");
    }

    /// Reports every key that was not asked for, by another word for what it is; `more` is what is
    /// allowed beside those that were.
    pub(crate) fn finish_as(&self, kind: &str, more: &str) {
        let Some(table) = self.table else {
            return;
        };
        let asked = self.asked.take();
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        for (key, entry) in table {
            if asked.contains(&key.as_str()) {
                continue;
            }
            let place = if self.path.is_empty() || kind != "key" {
                String::new()
            } else {
                format!(" in `[{}]`", self.path)
            };
            let message = format!("unknown {kind} `{key}`{place}");
            let allowed = asked
                .iter()
                .map(|key| format!("`{key}`"))
                .collect::<Vec<_>>()
                .join(", ");
            let fault = Fault::new(message, entry.key.clone());
            let fault = fault.with_note(format!("allowed: {allowed}{more}"));
            self.faults
                .wrong(&self.join(key), fault.with_hint(did_you_mean(key, &asked)));
        }
    }
}

/// A list of numbers; a fault is at the number that has it.
fn numbers<T>(node: &Node, what: &str, read: impl Fn(&Node) -> Converted<T>) -> Converted<Vec<T>> {
    let numbers = items(node, what)?.iter().map(|item| {
        read(item).map_err(|mut refusal| {
            refusal.span = Some(item.span.clone());
            refusal
        })
    });
    numbers.collect()
}

/// What [`Section::choice_or_float`] found.
pub(crate) enum WordOrNumber<T> {
    Word(T),
    Number(f64),
}

/// What [`Section::choice_or_section`] found.
pub(crate) enum WordOrSection<'a, T> {
    Word(Located<T>),
    Section(Section<'a>),
}
