//! The axes of a matrix: a key and the values that it takes.

use std::collections::BTreeSet;

use super::keys::{MATRIX, check_key, leaves};
use super::names::is_plain;
use super::overlay::{Edit, Overlay};
use super::variants::VARIANTS;
use crate::document::node::{Node, Table, Value};
use crate::document::{Fault, Sources, Span};

/// A key and the values it takes.
pub(super) struct Axis {
    /// As in messages and tables: `stages.td-phase1.epochs`.
    key: String,
    path: Vec<(String, Span)>,
    pub(super) values: Vec<Node>,
}

/// Every key of `[matrix]` but the variants, in the order of the file.
pub(super) fn read_axes(matrix: &Table, faults: &mut Vec<Fault>) -> Vec<Axis> {
    let mut keys = matrix.clone();
    keys.remove(VARIANTS);
    let mut axes = Vec::new();
    for (path, node) in leaves(&keys) {
        check_key(&path, faults);
        let parts: Vec<&str> = path.iter().map(|(part, _)| part.as_str()).collect();
        let key = parts.join(".");
        match node.value {
            Value::Array(values) if !values.is_empty() => {
                check_different(&key, &values, faults);
                axes.push(Axis { key, path, values });
            }
            value => {
                let what = match value {
                    Value::Array(_) => "an empty list",
                    value => value.kind(),
                };
                let fault = Fault::new(format!("`{key}` in `[{MATRIX}]` is {what}"), node.span);
                faults.push(fault.with_label("expected a list: one experiment per value"));
            }
        }
    }
    axes
}

/// A value that is listed twice would be counted twice.
fn check_different(key: &str, values: &[Node], faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for node in values {
        let value = match &node.value {
            Value::String(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            _ => continue,
        };
        if !seen.insert(value) {
            let message = format!("`{key}` in `[{MATRIX}]` has the same value twice");
            faults.push(Fault::new(message, node.span.clone()));
        }
    }
}

/// A variant with each value of an axis.
pub(super) fn along(
    overlay: &Overlay,
    axis: &Axis,
    all: &[Axis],
    sources: &Sources,
) -> Vec<Overlay> {
    let last = |axis: &Axis| axis.path.last().map(|(key, _)| key.clone());
    let is_alone = all.iter().filter(|other| last(other) == last(axis)).count() == 1;
    let short = last(axis).filter(|_| is_alone);
    let short = short.unwrap_or_else(|| axis.key.clone());
    let values = axis.values.iter().enumerate();
    let with = values.map(|(index, node)| {
        let value = written(node, sources);
        let is_plain = !value.is_empty() && value.chars().all(is_plain);
        let part = if is_plain && value.len() <= 40 {
            format!("{short}-{value}")
        } else {
            format!("{short}-{}", index + 1)
        };
        let mut next = overlay.clone();
        join(&mut next.name, &part);
        // Results that differ in a seed only are the same experiment drawn again.
        if last(axis).as_deref() != Some("seed") {
            join(&mut next.group, &part);
        }
        next.values.push((axis.key.clone(), value));
        next.edits.push(Edit {
            path: axis.path.clone(),
            node: node.clone(),
        });
        next
    });
    with.collect()
}

fn join(name: &mut String, part: &str) {
    if !name.is_empty() {
        name.push('.');
    }
    name.push_str(part);
}

/// A value as the user wrote it, a string without its quotes.
fn written(node: &Node, sources: &Sources) -> String {
    if let Value::String(text) = &node.value {
        return text.clone();
    }
    let text = sources
        .get(&node.span)
        .and_then(|source| source.text.get(node.span.range.clone()));
    let words: Vec<&str> = text.unwrap_or_default().split_whitespace().collect();
    words.join(" ")
}
