//! How tensors found in a file differ from those that its `config.json` describes.

use std::collections::BTreeMap;

use super::family::Family;
use super::mindspore_names::Naming;

/// A tensor whose shape is not the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshapen {
    /// Its name.
    pub name: String,
    /// Shape in the file.
    pub found: Vec<usize>,
    /// Shape by `config.json`.
    pub expected: Vec<usize>,
}

/// Whose names the tensors of a file have, where they are not those of a family in `transformers`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Names {
    /// They are.
    #[default]
    Family,
    /// A checkpoint of MindSpore.
    MindSpore(Naming),
    /// A checkpoint of TensorFlow, which has a `bert_config.json`.
    TensorFlow,
}

/// How found tensors differ from expected ones: all differences at once.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchReport {
    /// Whose names the file has. The lists below have BERT's.
    pub family: &'static Family,
    /// The names of a checkpoint, which has no `config.json`.
    pub(super) names: Names,
    /// Expected, not found.
    pub missing: Vec<String>,
    /// Found, not expected.
    pub unexpected: Vec<String>,
    /// Of another shape.
    pub misshapen: Vec<Misshapen>,
    /// Name and type of expected tensors that hold no floats.
    pub not_floats: Vec<(String, String)>,
    /// Names under which two tensors of the file are known.
    pub ambiguous: Vec<String>,
    /// Groups (`bert.pooler`, `classifier`) that may be absent, and are.
    pub absent: Vec<String>,
    /// Projections of a `TinyBERT` student to its teacher's width (`fit_dense`, `fit_denses.0`),
    /// which are allowed in a student and used in its training only.
    pub projections: Vec<String>,
}

impl Default for MatchReport {
    fn default() -> Self {
        Self {
            family: Family::bert(),
            names: Names::Family,
            missing: Vec::new(),
            unexpected: Vec::new(),
            misshapen: Vec::new(),
            not_floats: Vec::new(),
            ambiguous: Vec::new(),
            absent: Vec::new(),
            projections: Vec::new(),
        }
    }
}

/// Compares canonical names and shapes. A group in `optional` (`bert.pooler`, `classifier`)
/// may be absent as a whole; one of its tensors without the others is missing all the same.
pub(super) fn match_weights(
    found: &BTreeMap<String, Vec<usize>>,
    expected: &BTreeMap<String, Vec<usize>>,
    optional: &[&str],
) -> MatchReport {
    let mut report = MatchReport::default();
    let inside = |name: &str, group: &str| {
        name.strip_prefix(group)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    for group in optional {
        if !found.keys().any(|name| inside(name, group)) {
            report.absent.push((*group).to_owned());
        }
    }
    for (name, shape) in expected {
        match found.get(name) {
            None if report.absent.iter().any(|group| inside(name, group)) => {}
            None => report.missing.push(name.clone()),
            Some(other) if other != shape => report.misshapen.push(Misshapen {
                name: name.clone(),
                found: other.clone(),
                expected: shape.clone(),
            }),
            Some(_) => {}
        }
    }
    for name in found.keys().filter(|name| !expected.contains_key(*name)) {
        if inside(name, "fit_dense") || inside(name, "fit_denses") {
            let stem = name
                .rsplit_once('.')
                .map_or(name.as_str(), |(stem, _)| stem);
            if report.projections.last().is_none_or(|last| last != stem) {
                report.projections.push(stem.to_owned());
            }
        } else {
            report.unexpected.push(name.clone());
        }
    }
    report
}

impl MatchReport {
    /// Whether nothing is wrong: absent optional groups and projections are not.
    pub fn is_match(&self) -> bool {
        self.missing.is_empty()
            && self.unexpected.is_empty()
            && self.misshapen.is_empty()
            && self.not_floats.is_empty()
            && self.ambiguous.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::expected_encoder;
    use super::*;
    use crate::model::BertConfig;

    fn config() -> BertConfig {
        serde_json::from_value(serde_json::json!({
            "vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
            "intermediate_size": 40, "max_position_embeddings": 32
        }))
        .unwrap()
    }

    #[test]
    fn an_optional_group_may_be_absent_as_a_whole() {
        let expected = expected_encoder(&config());
        let found: BTreeMap<_, _> = expected
            .clone()
            .into_iter()
            .filter(|(name, _)| !name.starts_with("bert.pooler."))
            .collect();
        let report = match_weights(&found, &expected, &["bert.pooler"]);
        assert!(report.is_match());
        assert_eq!(report.absent, ["bert.pooler"]);
        assert_eq!(match_weights(&found, &expected, &[]).missing.len(), 2);
    }
}
