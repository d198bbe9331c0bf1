//! Which columns of a file hold the answers.

use super::PredictionFault;
use crate::data::labels::LabelSet;
use crate::data::table::TableLayout;

/// How a row answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// By a probability per class, in these columns.
    Probabilities(Vec<usize>),
    /// By all of them in one column: an object or a list of JSON.
    List(usize),
    /// By a class.
    Class(usize),
    /// By a value, in a regression.
    Value(usize),
}

/// What `tinyrun predict` puts before a name that its input has too.
const OWN: &str = "predicted_";

/// What stands before the class in the name of a column with its probability, the first that is there.
const PREFIXES: [&str; 2] = ["predicted_probability_", "probability_"];

/// Columns with the answers of a file whose columns have these names. Probabilities come before a class,
/// and what is certainly an answer before what may be the task's own label.
pub(super) fn find_form(
    names: &[String],
    layout: &TableLayout,
    labels: &LabelSet,
) -> Result<Form, PredictionFault> {
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let first = |wanted: &[&str]| {
        let own = wanted.iter().map(|name| format!("{OWN}{name}"));
        let plain = wanted.iter().map(|&name| name.to_owned());
        own.chain(plain).find_map(|name| place(&name))
    };
    let label = layout.label.trim();
    if labels.names().is_empty() {
        let found = first(&["value", label]).map(Form::Value);
        return found.ok_or_else(|| PredictionFault::NoValue(label.to_owned()));
    }
    if let Some(column) = first(&["probabilities"]) {
        return Ok(Form::List(column));
    }
    for prefix in PREFIXES {
        if let Some(found) = with_prefix(names, prefix, labels)? {
            return Ok(Form::Probabilities(found));
        }
    }
    if let Some(found) = by_class(names, layout, labels) {
        return Ok(Form::Probabilities(found));
    }
    let found = first(&["label", label]).map(Form::Class);
    found.ok_or_else(|| PredictionFault::NoAnswers(label.to_owned()))
}

/// Columns that begin so, one per class; `None` where none does.
fn with_prefix(
    names: &[String],
    prefix: &str,
    labels: &LabelSet,
) -> Result<Option<Vec<usize>>, PredictionFault> {
    let prefixed = names.iter().enumerate();
    let prefixed = prefixed.filter_map(|(column, name)| Some((column, name.strip_prefix(prefix)?)));
    let prefixed: Vec<(usize, &str)> = prefixed.collect();
    if prefixed.is_empty() {
        return Ok(None);
    }
    let class = |name: &str| super::class_of(labels, name);
    if let Some((_, name)) = prefixed.iter().find(|(_, name)| class(name).is_none()) {
        return Err(PredictionFault::class(name, labels));
    }
    let column = |(index, label): (usize, &String)| {
        let mut prefixed = prefixed.iter();
        let found = prefixed.find(|(_, name)| class(name) == Some(index));
        let missing = || PredictionFault::NoProbability(label.clone());
        Ok(found.ok_or_else(missing)?.0)
    };
    let columns: Result<Vec<usize>, _> = labels.names().iter().enumerate().map(column).collect();
    columns.map(Some)
}

/// Columns that are called as the classes are, if there is one for each.
fn by_class(names: &[String], layout: &TableLayout, labels: &LabelSet) -> Option<Vec<usize>> {
    let own = [
        Some(&layout.text),
        layout.pair.as_ref(),
        Some(&layout.label),
    ];
    let is_own = |name: &String| own.iter().flatten().any(|own| own.trim() == name);
    let classes = labels.names().iter();
    classes
        .map(|class| {
            let mut names = names.iter();
            names.position(|name| name == class && !is_own(name))
        })
        .collect()
}
