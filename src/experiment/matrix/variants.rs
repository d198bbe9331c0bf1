//! `[matrix.variants]`: named sets of changes.

use super::keys::{MATRIX, check_key, leaves};
use super::names::{StageNames, check_name};
use super::overlay::{Edit, Overlay};
use crate::document::node::{Node, Table, Value};
use crate::document::{Fault, Span, did_you_mean};
use crate::experiment::kind::StageKind;

/// The key of the table within that of the matrix.
pub(super) const VARIANTS: &str = "variants";

/// The key of a variant that names stages to leave out.
const WITHOUT: &str = "without";

/// `[matrix.variants]` in the order of the file; `None` where there is none.
pub(super) fn read_variants(
    matrix: &Table,
    stages: &StageNames,
    faults: &mut Vec<Fault>,
) -> Option<Vec<Overlay>> {
    let entry = matrix.get(VARIANTS)?;
    let Value::Table(variants) = &entry.node.value else {
        let kind = entry.node.value.kind();
        let fault = Fault::new(
            format!("`{VARIANTS}` in `[{MATRIX}]` is {kind}"),
            entry.node.span.clone(),
        );
        faults.push(fault.with_label("expected a table of named variants"));
        return Some(Vec::new());
    };
    if variants.is_empty() {
        let fault = Fault::new("`[matrix.variants]` is empty", entry.node.span.clone());
        faults.push(fault.with_label("expected at least one variant, for example `full = {}`"));
    }
    let mut named: Vec<_> = variants.iter().collect();
    named.sort_by_key(|(_, entry)| (entry.key.source, entry.key.range.start));
    let mut found = Vec::new();
    for (name, entry) in named {
        check_name(name, &entry.key, stages, faults);
        let Value::Table(changes) = &entry.node.value else {
            let kind = entry.node.value.kind();
            let fault = Fault::new(
                format!("variant `{name}` is {kind}"),
                entry.node.span.clone(),
            );
            faults.push(fault.with_label("expected a table of keys; `{}` keeps all settings"));
            continue;
        };
        let mut overlay = Overlay {
            name: name.clone(),
            group: name.clone(),
            ..Overlay::default()
        };
        let mut rest = changes.clone();
        if let Some(without) = rest.remove(WITHOUT) {
            overlay.without = read_without(&without.node, stages, faults);
        }
        for (path, node) in leaves(&rest) {
            check_key(&path, faults);
            overlay.edits.push(Edit { path, node });
        }
        found.push(overlay);
    }
    Some(found)
}

fn read_without(node: &Node, stages: &StageNames, faults: &mut Vec<Fault>) -> Vec<(String, Span)> {
    let Value::Array(items) = &node.value else {
        let message = format!("`{WITHOUT}` is {}", node.value.kind());
        faults.push(Fault::new(message, node.span.clone()).with_label("expected a list of stages"));
        return Vec::new();
    };
    let tables = stages.kinds.with_table();
    let kinds: Vec<&str> = tables.map(|(_, kind, _)| kind.name()).collect();
    let own = stages.own.iter().map(String::as_str);
    let known: Vec<&str> = kinds.into_iter().chain(own).collect();
    let mut found = Vec::new();
    for item in items {
        let name = match &item.value {
            Value::String(name) => name.as_str(),
            _ => "",
        };
        let kind = stages.kinds.get(name);
        if kind.is_some_and(StageKind::is_in_every_experiment) {
            let message = format!("`{name}` cannot be removed");
            faults.push(Fault::new(message, item.span.clone()));
        } else if known.contains(&name) {
            found.push((name.to_owned(), item.span.clone()));
        } else {
            let fault = Fault::new(format!("unknown stage `{name}`"), item.span.clone());
            faults.push(fault.with_hint(did_you_mean(name, &known)));
        }
    }
    found
}
