//! Typed reading of one table: every fault is collected, and at the end every key that
//! nobody asked for is one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::{Bound, RangeBounds};

use super::fault::Fault;
use super::node::{Entry, Node, Table, Value};
use super::span::{Located, Span};

/// Faults found so far, and which keys have one.
#[derive(Debug, Default)]
pub(super) struct Collector {
    faults: RefCell<Vec<Fault>>,
    missing: RefCell<Vec<Fault>>,
    keys: RefCell<BTreeSet<String>>,
}

impl Collector {
    pub(super) fn add(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Faults of what is written, and faults of what is not there or does not go together.
    /// The second are guesses where the text has a syntax fault.
    pub(super) fn into_faults(self) -> (Vec<Fault>, Vec<Fault>) {
        (self.faults.into_inner(), self.missing.into_inner())
    }

    /// Adds a fault of what is not there or does not go together.
    pub(super) fn add_missing(&self, fault: Fault) {
        self.missing.borrow_mut().push(fault);
    }
}

/// One table being read.
pub(super) struct Section<'a> {
    /// Dotted path; empty for the file's top.
    path: String,
    /// Header, for what is missing in it; `None` for a table that is not there.
    span: Option<Span>,
    table: Option<&'a Table>,
    asked: RefCell<Vec<&'static str>>,
    faults: &'a Collector,
}

/// A value as read, or why not.
type Converted<T> = Result<T, Refusal>;

/// Why a value cannot stand for its key.
struct Refusal {
    /// `is a string`, `is out of range`
    predicate: String,
    label: String,
    hint: Option<String>,
    span: Option<Span>,
}

impl<'a> Section<'a> {
    /// The file's top.
    pub(super) fn top(table: &'a Table, faults: &'a Collector) -> Self {
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

    /// The collector, for faults that are not one key's.
    pub(super) fn faults(&self) -> &'a Collector {
        self.faults
    }

    /// Place of the header.
    pub(super) fn span(&self) -> Option<Span> {
        self.span.clone()
    }

    /// Whether the table is written at all.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Whether a key is written, rightly or not. Does not count as asking for it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Place of a written key.
    pub(super) fn key_span(&self, key: &str) -> Option<Span> {
        Some(self.table?.get(key)?.key.clone())
    }

    /// Whether none of these keys has a fault, so that they can be compared.
    pub(super) fn sound(&self, keys: &[&str]) -> bool {
        let faulty = self.faults.keys.borrow();
        keys.iter().all(|key| !faulty.contains(&self.join(key)))
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// A key in a message: with its table.
    pub(super) fn name(&self, key: &str) -> String {
        if self.path.is_empty() {
            format!("`{key}`")
        } else {
            format!("`{key}` in `[{}]`", self.path)
        }
    }

    fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(key);
        self.table?.get(key)
    }

    /// Reports a key that must be there and is not.
    fn report_missing(&self, key: &'static str, what: &str) {
        self.faults.keys.borrow_mut().insert(self.join(key));
        if self.is_present() {
            let fault = Fault::new(format!("missing key {}", self.name(key)), self.span.clone());
            self.faults
                .add_missing(fault.with_label(format!("needs `{key}`: {what}")));
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
                self.faults.keys.borrow_mut().insert(self.join(key));
                let span = refusal.span.unwrap_or_else(|| entry.node.span.clone());
                let message = format!("{} {}", self.name(key), refusal.predicate);
                self.faults.add(
                    Fault::new(message, span)
                        .with_label(refusal.label)
                        .with_hint(refusal.hint),
                );
                None
            }
        }
    }

    /// A table within this one; `None` where it is not written or is no table.
    pub(super) fn section(&self, key: &'static str) -> Option<Section<'a>> {
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
            self.faults.keys.borrow_mut().insert(self.join(key));
            self.faults.add(
                Fault::new(
                    format!("`{}` is {}", self.join(key), entry.node.value.kind()),
                    entry.node.span.clone(),
                )
                .with_label("expected a table"),
            );
            None
        }
    }

    /// A table within this one that reads as empty, and without complaint, where there is none.
    pub(super) fn section_or_empty(&self, key: &'static str) -> Section<'a> {
        self.section(key).unwrap_or_else(|| Section {
            path: self.join(key),
            span: None,
            table: None,
            asked: RefCell::default(),
            faults: self.faults,
        })
    }

    /// A table that must be there.
    pub(super) fn required_section(&self, key: &'static str) -> Section<'a> {
        if !self.has(key) {
            let fault = Fault::new(format!("missing table `[{}]`", self.join(key)), self.span());
            self.faults.add_missing(fault);
        }
        self.section_or_empty(key)
    }

    /// A string that is not empty.
    pub(super) fn string(&self, key: &'static str) -> Option<Located<String>> {
        self.read(key, string)
    }

    /// A string that must be there. Stands for itself as an empty one after its fault.
    pub(super) fn required_string(&self, key: &'static str, what: &str) -> Located<String> {
        if !self.has(key) {
            self.report_missing(key, what);
        }
        self.string(key)
            .unwrap_or_else(|| Located::default_value(String::new()))
    }

    /// A list of strings.
    pub(super) fn strings(&self, key: &'static str) -> Option<Located<Vec<Located<String>>>> {
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

    /// A list of strings that must be there and hold something.
    pub(super) fn required_strings(
        &self,
        key: &'static str,
        what: &str,
    ) -> Located<Vec<Located<String>>> {
        if !self.has(key) {
            self.report_missing(key, what);
        }
        let list = self
            .strings(key)
            .unwrap_or_else(|| Located::default_value(Vec::new()));
        if list.is_empty() && list.span.is_some() {
            let message = format!("{} is an empty list", self.name(key));
            self.faults
                .add(Fault::new(message, list.span.clone()).with_label(format!("expected {what}")));
        }
        list
    }

    /// A whole number in a range.
    pub(super) fn integer<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        range: impl RangeBounds<i64>,
    ) -> Option<Located<T>> {
        self.read(key, |node| integer(node, &range))
    }

    /// A whole number in a range, or its default.
    pub(super) fn integer_or<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        range: impl RangeBounds<i64>,
        default: T,
    ) -> Located<T> {
        self.integer(key, range)
            .unwrap_or_else(|| Located::default_value(default))
    }

    /// A number in a range. A whole number will do.
    pub(super) fn float(
        &self,
        key: &'static str,
        range: impl RangeBounds<f64>,
    ) -> Option<Located<f64>> {
        self.read(key, |node| float(node, &range))
    }

    /// A number in a range, or its default.
    pub(super) fn float_or(
        &self,
        key: &'static str,
        range: impl RangeBounds<f64>,
        default: f64,
    ) -> f64 {
        self.float(key, range).map_or(default, |found| found.value)
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<Located<T>> {
        self.read(key, |node| choice(node, choices))
    }

    /// One of several words, or the default.
    pub(super) fn choice_or<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&str, T)],
        default: T,
    ) -> Located<T> {
        self.choice(key, choices)
            .unwrap_or_else(|| Located::default_value(default))
    }

    /// One of several words that must be there; the first stands in after a fault.
    pub(super) fn required_choice<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Located<T> {
        if !self.has(key) {
            self.report_missing(key, &alternatives(choices.iter().map(|choice| choice.0)));
        }
        self.choice_or(key, choices, choices[0].1)
    }

    /// One of several words, or a table.
    pub(super) fn choice_or_section<T: Copy>(
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

    /// A list of whole numbers in a range.
    pub(super) fn integers<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        range: impl RangeBounds<i64>,
        what: &str,
    ) -> Located<Vec<T>> {
        if !self.has(key) {
            self.report_missing(key, what);
        }
        self.read(key, |node| {
            items(node, what)?
                .iter()
                .map(|item| {
                    integer(item, &range).map_err(|mut refusal| {
                        refusal.span = Some(item.span.clone());
                        refusal
                    })
                })
                .collect()
        })
        .unwrap_or_else(|| Located::default_value(Vec::new()))
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self) {
        self.finish_as("key");
    }

    /// Reports every key that was not asked for, by another word for what it is.
    pub(super) fn finish_as(self, kind: &str) {
        let Some(table) = self.table else {
            return;
        };
        let asked = self.asked.into_inner();
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
            self.faults.add(
                Fault::new(message, entry.key.clone())
                    .with_note(format!("allowed: {allowed}"))
                    .with_hint(did_you_mean(key, &asked)),
            );
        }
    }
}

/// What [`Section::choice_or_section`] found.
pub(super) enum WordOrSection<'a, T> {
    Word(Located<T>),
    Section(Section<'a>),
}

fn refuse_type<T>(node: &Node, expected: &str) -> Converted<T> {
    Err(Refusal {
        predicate: format!("is {}", node.value.kind()),
        label: format!("expected {expected}"),
        hint: None,
        span: Some(node.span.clone()),
    })
}

fn string(node: &Node) -> Converted<String> {
    match &node.value {
        Value::String(text) if text.is_empty() => Err(Refusal {
            predicate: "is empty".to_owned(),
            label: "expected some text".to_owned(),
            hint: None,
            span: Some(node.span.clone()),
        }),
        Value::String(text) => Ok(text.clone()),
        _ => refuse_type(node, "a string"),
    }
}

fn items<'n>(node: &'n Node, what: &str) -> Converted<&'n [Node]> {
    match &node.value {
        Value::Array(items) => Ok(items),
        _ => refuse_type(node, what),
    }
}

fn integer<T: TryFrom<i64>>(node: &Node, range: &impl RangeBounds<i64>) -> Converted<T> {
    let expected = || format!("a whole number {}", describe_range(range));
    let out_of_range = || Refusal {
        predicate: "is out of range".to_owned(),
        label: format!("expected {}", expected()),
        hint: None,
        span: None,
    };
    match node.value {
        Value::Integer(number) if range.contains(&number) => {
            T::try_from(number).map_err(|_| out_of_range())
        }
        Value::Integer(_) | Value::TooLarge => Err(out_of_range()),
        _ => refuse_type(node, &expected()),
    }
}

fn float(node: &Node, range: &impl RangeBounds<f64>) -> Converted<f64> {
    let expected = || format!("a number {}", describe_range(range));
    let number = match node.value {
        // Exact up to 2^53; no key takes a number near it.
        Value::Integer(number) => number as f64,
        Value::Float(number) => number,
        Value::TooLarge => f64::INFINITY,
        _ => return refuse_type(node, &expected()),
    };
    if number.is_finite() && range.contains(&number) {
        Ok(number)
    } else {
        Err(Refusal {
            predicate: "is out of range".to_owned(),
            label: format!("expected {}", expected()),
            hint: None,
            span: None,
        })
    }
}

fn choice<T: Copy>(node: &Node, choices: &[(&str, T)]) -> Converted<T> {
    let expected = alternatives(choices.iter().map(|choice| choice.0));
    let Value::String(word) = &node.value else {
        return refuse_type(node, &expected);
    };
    let found = choices.iter().find(|(name, _)| name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|choice| choice.0).collect();
        Refusal {
            predicate: format!("cannot be `{word}`"),
            label: format!("expected {expected}"),
            hint: did_you_mean(word, &names),
            span: None,
        }
    })
}

/// `` `a`, `b` or `c` ``
pub(super) fn alternatives<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let ticked: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match ticked.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// The likeliest of several names, as a hint.
pub(super) fn did_you_mean(word: &str, names: &[&str]) -> Option<String> {
    let lower = word.to_lowercase();
    names
        .iter()
        .map(|name| (strsim::jaro_winkler(&lower, name), name))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

/// `from 1 to 10`, `more than 0 and at most 1`, `at least 0`
fn describe_range<T: Display>(range: &impl RangeBounds<T>) -> String {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(low), Bound::Included(high)) => format!("from {low} to {high}"),
        (low, high) => {
            let low = match low {
                Bound::Included(low) => Some(format!("at least {low}")),
                Bound::Excluded(low) => Some(format!("more than {low}")),
                Bound::Unbounded => None,
            };
            let high = match high {
                Bound::Included(high) => Some(format!("at most {high}")),
                Bound::Excluded(high) => Some(format!("less than {high}")),
                Bound::Unbounded => None,
            };
            let limits: Vec<String> = low.into_iter().chain(high).collect();
            limits.join(" and ")
        }
    }
}
