//! `[matrix]`: one file that is many experiments.
//!
//! A key with a list of values is an axis, a table in `[matrix.variants]` a named set of
//! changes; every variant is combined with every value of every axis. What comes out is laid
//! over the file's tree as `--set` is, so a fault keeps its place in the file.

mod axes;
mod keys;
mod names;
mod overlay;
mod variants;

use self::axes::{along, read_axes};
use self::keys::MATRIX;
use self::names::StageNames;
use self::variants::read_variants;
use super::kind::Kinds;
use super::top::Experiment;
use crate::document::node::{Table, Value};
use crate::document::{Fault, Sources};

pub(super) use self::names::is_taken;
pub(super) use self::overlay::Overlay;

/// More experiments than this are taken for a slip.
const MOST: usize = 1000;

/// All experiments of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiments {
    /// Name of the folder in `runs/`.
    pub name: String,
    /// Whether the file has a `[matrix]`.
    pub is_matrix: bool,
    /// At least one, in the order of the file: the variants, and for each the values of the
    /// axes, the last axis fastest.
    pub variants: Vec<Variant>,
}

/// One of the experiments of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Name of its folder within that of the whole; empty where the file has no `[matrix]`.
    pub name: String,
    /// What is the same in all experiments that differ in their seed only: the name without it.
    pub group: String,
    /// Key and value of each axis, as written.
    pub values: Vec<(String, String)>,
    /// The experiment.
    pub experiment: Experiment,
}

impl Variant {
    /// The experiment that an overlay makes, which has the name of the file's.
    pub(super) fn of(overlay: Overlay, mut experiment: Experiment) -> Self {
        if !overlay.name.is_empty() {
            experiment.name = format!("{}/{}", experiment.name, overlay.name);
        }
        Self {
            name: overlay.name,
            group: overlay.group,
            values: overlay.values,
            experiment,
        }
    }
}

/// Takes `[matrix]` out of the tree. `None` where there is none; the faults are those of the
/// table itself.
pub(super) fn expand(
    tree: &mut Table,
    sources: &Sources,
    kinds: Kinds,
) -> (Option<Vec<Overlay>>, Vec<Fault>) {
    let Some(entry) = tree.remove(MATRIX) else {
        return (None, Vec::new());
    };
    let mut faults = Vec::new();
    let Value::Table(matrix) = entry.node.value else {
        let message = format!("`{MATRIX}` is {}", entry.node.value.kind());
        faults.push(Fault::new(message, entry.node.span).with_label("expected a table"));
        return (None, faults);
    };
    let stages = StageNames::of(tree, kinds);
    let variants = read_variants(&matrix, &stages, &mut faults);
    let axes = read_axes(&matrix, &mut faults);
    if variants.is_none() && axes.is_empty() && faults.is_empty() {
        let fault = Fault::new("`[matrix]` is empty", entry.node.span.clone());
        faults.push(fault.with_label("expected a key with a list of values, or `variants`"));
    }
    let variants = variants.unwrap_or_else(|| vec![Overlay::default()]);
    let count = axes.iter().try_fold(variants.len(), |all, axis| {
        all.checked_mul(axis.values.len())
    });
    if count.is_none_or(|count| count > MOST) {
        let fault = Fault::new("`[matrix]` has too many combinations", entry.node.span);
        faults.push(fault.with_label(format!("expected at most {MOST}")));
    }
    if !faults.is_empty() {
        return (None, faults);
    }
    let mut overlays = variants;
    for axis in &axes {
        overlays = overlays
            .iter()
            .flat_map(|overlay| along(overlay, axis, &axes, sources))
            .collect();
    }
    (Some(overlays), faults)
}

#[cfg(test)]
mod tests;
