//! The keys of `[matrix]`, and which of an experiment it may change.

use crate::document::node::{Node, Table, Value};
use crate::document::{Fault, Span};

/// The key of the whole table.
pub(super) const MATRIX: &str = "matrix";

/// Values of this key are one value though they are tables.
const WHOLE: &str = "layer-map";

/// What an experiment is called is not the matrix's to change.
pub(super) fn check_key(path: &[(String, Span)], faults: &mut Vec<Fault>) {
    if let [(key, span)] = path
        && (key == "name" || key == MATRIX)
    {
        let message = format!("`{key}` cannot be changed by `[{MATRIX}]`");
        faults.push(Fault::new(message, span.clone()));
    }
}

/// Paths and values of a tree, in the order of the text. A key may be written with dots, with
/// or without quotes, or as nested tables.
pub(super) fn leaves(table: &Table) -> Vec<(Vec<(String, Span)>, Node)> {
    let mut found = Vec::new();
    collect(&[], table, &mut found);
    found.sort_by_key(|(_, node)| (node.span.source, node.span.range.start));
    found
}

fn collect(before: &[(String, Span)], table: &Table, found: &mut Vec<(Vec<(String, Span)>, Node)>) {
    for (key, entry) in table {
        let mut path = before.to_vec();
        if before.first().is_some_and(|(first, _)| first == "goal") {
            // A goal's own name has a dot.
            path.push((key.clone(), entry.key.clone()));
        } else {
            let parts = key.split('.');
            path.extend(parts.map(|part| (part.to_owned(), entry.key.clone())));
        }
        match &entry.node.value {
            Value::Table(inner) if key != WHOLE => collect(&path, inner, found),
            _ => found.push((path, entry.node.clone())),
        }
    }
}
