//! Names and shapes of a BERT's tensors, as `BertForSequenceClassification` of
//! `transformers` has them: `bert.encoder.layer.0.attention.self.query.weight` and so on.

use std::collections::BTreeMap;
use std::fmt;

use super::config::{BertConfig, MAX_RELATIVE_DISTANCE};
use super::contradiction::contradictions;
use super::family::FAMILIES;
use crate::input::excerpt;

/// What the names of an encoder's tensors begin with, whatever family its file is of.
pub const ENCODER: &str = "bert.";

/// What those of its embeddings begin with: word, position and segment tables and their norm.
pub const EMBEDDINGS: &str = "bert.embeddings.";

/// The table of words, of which a batch uses few rows.
pub const WORDS: &str = "bert.embeddings.word_embeddings.weight";

/// The dense layer of the pooler, which the classifier reads.
pub const POOLER: &str = "bert.pooler.dense";

/// Tensors of a kind that are listed one by one in a message; the rest is a count.
const LISTED: usize = 20;

/// Name under which a tensor found in a file is known here, or `None` for those that no
/// model needs: buffers of positions, and the heads of pre-training.
///
/// Wrappers' `module.` falls away, a bare encoder gets its `bert.` prefix, and layer norms
/// called `gamma` and `beta`, as in models converted from TensorFlow, get their present names.
pub fn canonical(found: &str) -> Option<String> {
    let mut name = found;
    while let Some(inner) = name.strip_prefix("module.") {
        name = inner;
    }
    let own = FAMILIES
        .iter()
        .find_map(|family| name.strip_prefix(family.prefix));
    let bare = own.unwrap_or(name);
    if bare.starts_with("cls.")
        || bare == "embeddings.position_ids"
        || bare == "embeddings.token_type_ids"
    {
        return None;
    }
    let prefix = match bare.split('.').next() {
        Some("embeddings" | "encoder" | "pooler") => ENCODER,
        _ => "",
    };
    let bare = if prefix.is_empty() { name } else { bare };
    let renamed = if let Some(stem) = bare.strip_suffix(".LayerNorm.gamma") {
        format!("{stem}.LayerNorm.weight")
    } else if let Some(stem) = bare.strip_suffix(".LayerNorm.beta") {
        format!("{stem}.LayerNorm.bias")
    } else {
        bare.to_owned()
    };
    Some(format!("{prefix}{renamed}"))
}

/// Names and shapes of a BERT's encoder: embeddings, layers and pooler.
pub fn expected_encoder(config: &BertConfig) -> BTreeMap<String, Vec<usize>> {
    let width = config.hidden_size;
    let mut expected = BTreeMap::new();
    let mut linear = |name: String, out: usize, input: usize| {
        expected.insert(format!("{name}.weight"), vec![out, input]);
        expected.insert(format!("{name}.bias"), vec![out]);
    };
    for layer in 0..config.num_hidden_layers {
        let layer = format!("bert.encoder.layer.{layer}");
        for part in ["self.query", "self.key", "self.value", "output.dense"] {
            linear(format!("{layer}.attention.{part}"), width, width);
        }
        linear(
            format!("{layer}.intermediate.dense"),
            config.intermediate_size,
            width,
        );
        linear(
            format!("{layer}.output.dense"),
            width,
            config.intermediate_size,
        );
    }
    linear("bert.pooler.dense".to_owned(), width, width);
    let norms = (0..config.num_hidden_layers)
        .flat_map(|layer| {
            ["attention.output", "output"].map(|part| format!("bert.encoder.layer.{layer}.{part}"))
        })
        .chain(["bert.embeddings".to_owned()]);
    for part in norms {
        expected.insert(format!("{part}.LayerNorm.weight"), vec![width]);
        expected.insert(format!("{part}.LayerNorm.bias"), vec![width]);
    }
    if config.use_relative_positions {
        for layer in 0..config.num_hidden_layers {
            let distances = vec![2 * MAX_RELATIVE_DISTANCE + 1, config.head_size()];
            expected.insert(relative_positions(layer), distances);
        }
    }
    let positions = ("position", config.max_position_embeddings);
    let tables = [
        ("word", config.vocab_size),
        ("token_type", config.type_vocab_size),
    ];
    let absolute = (!config.use_relative_positions).then_some(positions);
    for (table, rows) in tables.into_iter().chain(absolute) {
        expected.insert(
            format!("bert.embeddings.{table}_embeddings.weight"),
            vec![rows, width],
        );
    }
    expected
}

/// Name of a layer's table of distances, `[33, d/h]`, where positions are relative.
pub fn relative_positions(layer: usize) -> String {
    format!("bert.encoder.layer.{layer}.attention.self.relative_positions.weight")
}

/// [`expected_encoder`] with a classifier of `num_labels` classes.
pub fn expected_classifier(config: &BertConfig, num_labels: usize) -> BTreeMap<String, Vec<usize>> {
    let mut expected = expected_encoder(config);
    expected.insert(
        "classifier.weight".to_owned(),
        vec![num_labels, config.hidden_size],
    );
    expected.insert("classifier.bias".to_owned(), vec![num_labels]);
    expected
}

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

/// How found tensors differ from expected ones: all differences at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MatchReport {
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

/// Compares canonical names and shapes. A group in `optional` (`bert.pooler`, `classifier`)
/// may be absent as a whole; one of its tensors without the others is missing all the same.
pub fn match_weights(
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

    /// What to do about the differences.
    pub fn hint(&self) -> Option<String> {
        let all_missing = self.missing.len() > LISTED && self.misshapen.is_empty();
        if all_missing && !self.unexpected.is_empty() {
            return Some(
                "the tensor names are those of another architecture, not of BERT".to_owned(),
            );
        }
        (!self.misshapen.is_empty() || !self.missing.is_empty())
            .then(|| "`config.json` and the weights must come from the same model".to_owned())
    }
}

/// Indented lines, one per tensor, after the sentence that [`super::ModelError::Mismatch`] begins.
impl fmt::Display for MatchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let misshapen: Vec<String> = self
            .misshapen
            .iter()
            .map(
                |Misshapen {
                     name,
                     found,
                     expected,
                 }| {
                    format!("`{}` is {found:?}, expected {expected:?}", excerpt(name))
                },
            )
            .collect();
        let not_floats: Vec<String> = self
            .not_floats
            .iter()
            .map(|(name, dtype)| format!("`{}` is {dtype}", excerpt(name)))
            .collect();
        let ticked = |names: &[String]| {
            let names = names.iter().map(|name| format!("`{}`", excerpt(name)));
            names.collect()
        };
        let kinds: [(&str, Vec<String>); 5] = [
            ("missing", ticked(&self.missing)),
            ("unexpected", ticked(&self.unexpected)),
            ("of another shape", misshapen),
            ("of another type than float", not_floats),
            ("duplicated under equivalent names", ticked(&self.ambiguous)),
        ];
        for line in contradictions(self) {
            write!(f, "\n  {line}")?;
        }
        for (kind, lines) in kinds.iter().filter(|(_, lines)| !lines.is_empty()) {
            let noun = if lines.len() == 1 {
                "tensor"
            } else {
                "tensors"
            };
            write!(f, "\n  {} {noun} {kind}:", lines.len())?;
            for line in lines.iter().take(LISTED) {
                write!(f, "\n    {line}")?;
            }
            if lines.len() > LISTED {
                write!(f, "\n    and {} more", lines.len() - LISTED)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> BertConfig {
        serde_json::from_value(serde_json::json!({
            "vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
            "intermediate_size": 40, "max_position_embeddings": 32
        }))
        .unwrap()
    }

    #[test]
    fn every_known_spelling_becomes_the_same_name() {
        let name = "bert.encoder.layer.0.output.LayerNorm.weight";
        for found in [
            name,
            "encoder.layer.0.output.LayerNorm.weight",
            "module.bert.encoder.layer.0.output.LayerNorm.gamma",
            "encoder.layer.0.output.LayerNorm.gamma",
        ] {
            assert_eq!(canonical(found).as_deref(), Some(name));
        }
        assert_eq!(
            canonical("classifier.bias").as_deref(),
            Some("classifier.bias")
        );
        assert_eq!(
            canonical("module.fit_dense.weight").as_deref(),
            Some("fit_dense.weight")
        );
    }

    #[test]
    fn buffers_and_heads_of_pre_training_are_dropped() {
        for found in [
            "embeddings.position_ids",
            "bert.embeddings.position_ids",
            "cls.predictions.decoder.weight",
            "module.cls.seq_relationship.bias",
        ] {
            assert_eq!(canonical(found), None, "{found}");
        }
    }

    #[test]
    fn all_differences_come_at_once() {
        let expected = expected_classifier(&config(), 3);
        let mut found = expected.clone();
        found.remove("bert.pooler.dense.bias");
        found.insert("classifier.weight".to_owned(), vec![2, 24]);
        found.insert(
            "bert.encoder.layer.3.output.dense.bias".to_owned(),
            vec![24],
        );
        found.insert("fit_dense.weight".to_owned(), vec![30, 24]);
        found.insert("fit_dense.bias".to_owned(), vec![30]);
        found.insert("fit_denses.0.weight".to_owned(), vec![30, 24]);
        let report = match_weights(&found, &expected, &["bert.pooler"]);
        assert!(!report.is_match());
        assert_eq!(report.missing, ["bert.pooler.dense.bias"]);
        assert_eq!(
            report.unexpected,
            ["bert.encoder.layer.3.output.dense.bias"]
        );
        assert_eq!(report.misshapen.len(), 1);
        assert_eq!(report.projections, ["fit_dense", "fit_denses.0"]);
        assert_eq!(
            report.to_string(),
            "\n  `id2label` names 3 classes, the classifier has 2\
             \n  1 tensor missing:\n    `bert.pooler.dense.bias`\
             \n  1 tensor unexpected:\n    `bert.encoder.layer.3.output.dense.bias`\
             \n  1 tensor of another shape:\n    `classifier.weight` is [2, 24], expected [3, 24]"
        );
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

    #[test]
    fn long_lists_end_in_a_count() {
        let report = match_weights(&BTreeMap::new(), &expected_encoder(&config()), &[]);
        let text = report.to_string();
        assert!(text.starts_with("\n  55 tensors missing:"), "{text}");
        assert!(text.ends_with("\n    and 35 more"), "{text}");
    }
}
