//! `[matrix]`: one file that is many experiments.
//!
//! A key with a list of values is an axis, a table in `[matrix.variants]` a named set of
//! changes; every variant is combined with every value of every axis. What comes out is laid
//! over the file's tree as `--set` is, so a fault keeps its place in the file.

use std::collections::BTreeSet;

use super::kind::{Kinds, StageKind};
use super::top::Experiment;
use crate::document::node::{Node, Table, Value};
use crate::document::overrides::insert;
use crate::document::{Fault, Sources, Span, did_you_mean};

/// The key of the whole table.
const MATRIX: &str = "matrix";

/// The table of named variants within it.
const VARIANTS: &str = "variants";

/// The key of a variant that names stages to leave out.
const WITHOUT: &str = "without";

/// More experiments than this are taken for a slip.
const MOST: usize = 1000;

/// Values of this key are one value though they are tables.
const WHOLE: &str = "layer-map";

/// Names in an experiment's folder that no variant may have, beside those of stages.
const FILES: [&str; 4] = [
    "experiment.toml",
    "results.csv",
    "matrix.csv",
    "summary.csv",
];

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

/// Changes to the file's tree that make one experiment of it.
#[derive(Debug, Default, Clone)]
pub(super) struct Overlay {
    pub(super) name: String,
    pub(super) group: String,
    pub(super) values: Vec<(String, String)>,
    edits: Vec<Edit>,
    without: Vec<(String, Span)>,
}

/// A key's new value.
#[derive(Debug, Clone)]
struct Edit {
    path: Vec<(String, Span)>,
    node: Node,
}

/// A key and the values it takes.
struct Axis {
    /// As in messages and tables: `stages.td-phase1.epochs`.
    key: String,
    path: Vec<(String, Span)>,
    values: Vec<Node>,
}

impl Overlay {
    /// The tree of this experiment.
    pub(super) fn apply(&self, base: &Table) -> Result<Table, Vec<Fault>> {
        let mut tree = base.clone();
        let mut faults = Vec::new();
        for edit in &self.edits {
            if let Err(found) = insert(&mut tree, &edit.path, edit.node.clone()) {
                faults.extend(found);
            }
        }
        for (stage, span) in &self.without {
            let removed = match tree.get_mut("stages").map(|entry| &mut entry.node.value) {
                Some(Value::Table(stages)) => stages.remove(stage).is_some(),
                _ => false,
            };
            if !removed {
                let message =
                    format!("`without` removes `{stage}`, but that stage is not in the file");
                faults.push(Fault::new(message, span.clone()));
            }
        }
        if faults.is_empty() {
            Ok(tree)
        } else {
            Err(faults)
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

/// A variant with each value of an axis.
fn along(overlay: &Overlay, axis: &Axis, all: &[Axis], sources: &Sources) -> Vec<Overlay> {
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

fn is_plain(character: char) -> bool {
    character.is_alphanumeric() || "._-".contains(character)
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

/// `[matrix.variants]` in the order of the file; `None` where there is none.
fn read_variants(
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

/// Names that mean a stage.
struct StageNames {
    kinds: Kinds,
    /// Those of tables with another name than their kind's.
    own: Vec<String>,
}

impl StageNames {
    fn of(tree: &Table, kinds: Kinds) -> Self {
        let stages = match tree.get("stages").map(|entry| &entry.node.value) {
            Some(Value::Table(stages)) => stages.keys(),
            _ => {
                return Self {
                    kinds,
                    own: Vec::new(),
                };
            }
        };
        let own = stages.filter(|name| kinds.get(name).is_none());
        Self {
            kinds,
            own: own.cloned().collect(),
        }
    }
}

/// Whether an experiment's folder holds something else of this name.
pub(super) fn is_taken(name: &str, kinds: Kinds) -> bool {
    kinds.get(name).is_some() || FILES.contains(&name)
}

fn check_name(name: &str, span: &Span, stages: &StageNames, faults: &mut Vec<Fault>) {
    let is_stage = stages.own.iter().any(|stage| stage == name);
    let problem = if is_stage || is_taken(name, stages.kinds) {
        "is reserved in the experiment's folder"
    } else if !name.chars().all(is_plain) {
        "may contain only letters, digits, `.`, `_` and `-`"
    } else if !name.starts_with(char::is_alphanumeric) {
        "must start with a letter or digit"
    } else if name.len() > 60 {
        "is longer than 60 bytes"
    } else {
        return;
    };
    let fault = Fault::new(format!("variant name `{name}` {problem}"), span.clone());
    faults.push(fault.with_label("it is the name of the results folder"));
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

/// Every key of `[matrix]` but the variants, in the order of the file.
fn read_axes(matrix: &Table, faults: &mut Vec<Fault>) -> Vec<Axis> {
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

/// What an experiment is called is not the matrix's to change.
fn check_key(path: &[(String, Span)], faults: &mut Vec<Fault>) {
    if let [(key, span)] = path
        && (key == "name" || key == MATRIX)
    {
        let message = format!("`{key}` cannot be changed by `[{MATRIX}]`");
        faults.push(Fault::new(message, span.clone()));
    }
}

/// Paths and values of a tree, in the order of the text. A key may be written with dots, with
/// or without quotes, or as nested tables.
fn leaves(table: &Table) -> Vec<(Vec<(String, Span)>, Node)> {
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

#[cfg(test)]
mod tests {
    use super::super::testing::{pipeline, read_all};
    use super::*;
    use crate::experiment::{Distill, LayerMapRule, Origin, Role, Training};

    fn all(matrix: &str) -> Experiments {
        read_all(&format!("{}\n{matrix}", pipeline()), &[]).unwrap_or_else(|it| panic!("{it}"))
    }

    fn names(experiments: &Experiments) -> Vec<&str> {
        let variants = experiments.variants.iter();
        variants.map(|variant| variant.name.as_str()).collect()
    }

    fn faults(matrix: &str) -> Vec<String> {
        let text = format!("{}\n{matrix}", pipeline());
        let faults = read_all(&text, &[]).expect_err("has faults");
        faults.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_file_without_a_matrix_is_one_experiment_of_its_own_name() {
        let found = all("");
        assert!(!found.is_matrix);
        assert_eq!(names(&found), [""]);
        assert_eq!(found.variants[0].experiment.name, "x");
    }

    #[test]
    fn every_variant_meets_every_value_in_the_order_of_the_file() {
        let found = all("[matrix]\nseed = [2, 1]\nstages.td-phase1.epochs = [5]\n\
             [matrix.variants]\nfull = {}\nb = { \"stages.td-phase1.attention-weight\" = 0 }\n\
             a = { stages.td-phase1.hidden-weight = 0.5 }");
        let expected = [
            "full.seed-2.epochs-5",
            "full.seed-1.epochs-5",
            "b.seed-2.epochs-5",
            "b.seed-1.epochs-5",
            "a.seed-2.epochs-5",
            "a.seed-1.epochs-5",
        ];
        assert_eq!(names(&found), expected);
        let groups: Vec<&str> = found.variants.iter().map(|it| it.group.as_str()).collect();
        assert_eq!(groups[0], "full.epochs-5");
        assert_eq!(groups[0], groups[1]);
        assert_ne!(groups[1], groups[2]);
        let b = &found.variants[2];
        assert_eq!(b.experiment.name, "x/b.seed-2.epochs-5");
        assert_eq!(b.experiment.seed, 2);
        let stage = |variant: &Variant, name: &str| variant.experiment.stages.get(name).cloned();
        let phase1 = stage(b, "td-phase1").unwrap();
        assert_eq!(*phase1.keys::<Training>().epochs, 5);
        assert!(phase1.keys::<Distill>().attention_weight.abs() < f64::EPSILON);
        let values = [("seed", "2"), ("stages.td-phase1.epochs", "5")];
        let values = values.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(b.values, values);
    }

    #[test]
    fn a_variant_may_leave_stages_out() {
        let found = all("[matrix.variants.no-gd]\nwithout = [\"general-distill\"]\n\
             stages.td-phase1.student = \"random\"");
        let experiment = &found.variants[0].experiment;
        assert!(experiment.stages.get("general-distill").is_none());
        let student =
            experiment.origin_of(experiment.stages.get("td-phase1").unwrap(), Role::Student);
        let student = student.unwrap();
        assert_eq!(student.value, Origin::Random);
    }

    #[test]
    fn values_may_be_lists_and_tables() {
        let found = all(
            "[matrix]\nstudent.layer-map = [\"uniform\", { attention = [0, 1, 2, 3], hidden = [0, 1, 2, 3, 4] }]",
        );
        assert_eq!(names(&found), ["layer-map-uniform", "layer-map-2"]);
        let rule = &found.variants[1].experiment.student.layer_map.value;
        assert!(matches!(rule, LayerMapRule::Explicit(_)));
        assert!(found.variants[1].values[0].1.starts_with("{ attention"));
    }

    #[test]
    fn axes_of_the_same_last_word_are_named_in_full() {
        let found =
            all("[matrix]\nstages.td-phase1.epochs = [1, 2]\nstages.td-phase2.epochs = [3]");
        let expected = ["stages.td-phase1.epochs-1.stages.td-phase2.epochs-3"];
        assert_eq!(names(&found)[..1], expected);
    }

    #[test]
    fn a_matrix_that_makes_no_sense_is_refused_at_its_place() {
        let header = pipeline().lines().count() + 2;
        let at = |line: usize, rest: &str| format!("x.toml:{}:{rest}", header + line);
        let cases = [
            ("[matrix]", 0, "1: `[matrix]` is empty"),
            (
                "[matrix]\nseed = 3",
                1,
                "8: `seed` in `[matrix]` is an integer",
            ),
            (
                "[matrix]\nseed = []",
                1,
                "8: `seed` in `[matrix]` is an empty list",
            ),
            (
                "[matrix]\nseed = [1, 2, 1]",
                1,
                "15: `seed` in `[matrix]` has the same value twice",
            ),
            (
                "[matrix]\nname = [\"a\"]",
                1,
                "1: `name` cannot be changed by `[matrix]`",
            ),
            (
                "[matrix]\nvariants = 3",
                1,
                "12: `variants` in `[matrix]` is an integer",
            ),
            ("[matrix.variants]", 0, "1: `[matrix.variants]` is empty"),
            (
                "[matrix.variants]\na = 1",
                1,
                "5: variant `a` is an integer",
            ),
            (
                "[matrix.variants]\neval = {}",
                1,
                "1: variant name `eval` is reserved in the experiment's folder",
            ),
            (
                "[matrix.variants]\n\"a b\" = {}",
                1,
                "1: variant name `a b` may contain only letters, digits, `.`, `_` and `-`",
            ),
            (
                "[matrix.variants]\na = { without = [\"evil\"] }",
                1,
                "18: unknown stage `evil`",
            ),
        ];
        for (matrix, line, rest) in cases {
            assert_eq!(faults(matrix), [at(line, rest)], "{matrix}");
        }
    }

    #[test]
    fn a_value_that_a_key_does_not_take_is_a_fault_in_the_matrix() {
        let found = faults("[matrix]\nseed = [1, -2]\nstages.td-phase1.epohcs = [1]");
        let line = pipeline().lines().count() + 3;
        assert_eq!(
            found,
            [
                format!("x.toml:{line}:12: `seed` is out of range"),
                format!(
                    "x.toml:{}:18: unknown key `epohcs` in `[stages.td-phase1]`",
                    line + 1
                )
            ]
        );
    }

    #[test]
    fn a_fault_of_one_variant_names_it() {
        let matrix = "[matrix.variants]\nfull = {}\nno-gd = { without = [\"general-distill\"] }";
        let faults = read_all(&format!("{}\n{matrix}", pipeline()), &[]).expect_err("no student");
        assert_eq!(faults.faults.len(), 1);
        let fault = &faults.faults[0];
        assert_eq!(fault.message, "`td-phase1` has no student to start from");
        assert_eq!(fault.note.as_deref(), Some("in variant `no-gd`"));
    }

    #[test]
    fn a_matrix_can_be_given_and_narrowed_on_the_command_line() {
        let text = format!("{}\n[matrix]\nseed = [1, 2]\n", pipeline());
        let found = read_all(&text, &["matrix.seed=[7]"]).unwrap();
        assert_eq!(names(&found), ["seed-7"]);
        let found = read_all(&pipeline(), &["matrix.seed=[7, 8]"]).unwrap();
        assert_eq!(names(&found), ["seed-7", "seed-8"]);
    }
}
