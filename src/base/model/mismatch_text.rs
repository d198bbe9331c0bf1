//! Differences between weights and `config.json` as a person reads them: keys that the weights
//! contradict, which is the short form of a long list of tensors, then the list.

use std::fmt;

use super::mismatch::{MatchReport, Misshapen, Names};
use super::names::in_file;
use super::tensorflow_names;
use crate::input::excerpt;

/// Tensors of a kind that are listed one by one in a message; the rest is a count.
const LISTED: usize = 20;

/// A tensor whose axis is a key of `config.json`.
const AXES: [(&str, usize, &str); 6] = [
    ("bert.embeddings.word_embeddings.weight", 0, "vocab_size"),
    ("bert.embeddings.word_embeddings.weight", 1, "hidden_size"),
    (
        "bert.embeddings.position_embeddings.weight",
        0,
        "max_position_embeddings",
    ),
    (
        "bert.embeddings.token_type_embeddings.weight",
        0,
        "type_vocab_size",
    ),
    (
        "bert.encoder.layer.0.intermediate.dense.weight",
        0,
        "intermediate_size",
    ),
    ("classifier.weight", 0, "id2label"),
];

/// One sentence for each key, in the order of the file's usual reading.
fn contradictions(report: &MatchReport) -> Vec<String> {
    let mut found = Vec::new();
    for (name, axis, key) in AXES {
        let tensor = report.misshapen.iter().find(|tensor| tensor.name == name);
        let sizes = tensor.and_then(|tensor| {
            let sizes = (tensor.expected.get(axis)?, tensor.found.get(axis)?);
            (tensor.expected.len() == tensor.found.len()).then_some(sizes)
        });
        if let Some((said, real)) = sizes.filter(|(said, real)| said != real) {
            found.push(if key == "id2label" {
                format!("`id2label` names {said} classes, the classifier has {real}")
            } else {
                let key = report.family.key(key);
                format!("`{key}` is {said}, the weights have {real}")
            });
        }
    }
    let layer = |name: &String| {
        let rest = name.strip_prefix("bert.encoder.layer.")?;
        rest.split_once('.')?.0.parse::<usize>().ok()
    };
    // Layers are counted only where they are missing or left over whole: 16 tensors each.
    let whole = |names: &[String], layer_of_name: usize| {
        let of = names
            .iter()
            .filter(|name| layer(name) == Some(layer_of_name));
        of.count() == 16
    };
    let over = report.unexpected.iter().filter_map(layer).max();
    let lacking = report.missing.iter().filter_map(layer).min();
    let real = match (over, lacking) {
        (Some(last), None) if whole(&report.unexpected, last) => Some(last + 1),
        (None, Some(first)) if first > 0 && whole(&report.missing, first) => Some(first),
        _ => None,
    };
    if let Some(real) = real {
        let said = match over {
            Some(_) => report.unexpected.iter().filter_map(layer).min(),
            None => report
                .missing
                .iter()
                .filter_map(layer)
                .max()
                .map(|last| last + 1),
        };
        if let Some(said) = said {
            let key = report.family.key("num_hidden_layers");
            found.push(format!("`{key}` is {said}, the weights have {real}"));
        }
    }
    found
}

impl MatchReport {
    /// Name that a tensor has in the file.
    pub(super) fn own(&self, name: &str) -> String {
        match &self.names {
            Names::Family => in_file(name, self.family),
            Names::MindSpore(naming) => naming.in_file(name),
            Names::TensorFlow => tensorflow_names::in_file(name),
        }
    }

    /// What the tensors are compared with.
    pub(super) fn described(&self) -> &'static str {
        match self.names {
            Names::Family => "do not match its `config.json`",
            Names::MindSpore(_) => "are not those of one BERT",
            Names::TensorFlow => "do not match its `bert_config.json`",
        }
    }

    /// What to do about the differences.
    pub fn hint(&self) -> Option<String> {
        if self.names != Names::Family {
            return None;
        }
        let all_missing = self.missing.len() > LISTED && self.misshapen.is_empty();
        if all_missing && !self.unexpected.is_empty() {
            let title = self.family.title;
            return Some(format!(
                "the tensor names are those of another architecture, not of {title}"
            ));
        }
        (!self.misshapen.is_empty() || !self.missing.is_empty())
            .then(|| "`config.json` and the weights must come from the same model".to_owned())
    }
}

/// Indented lines, one per tensor, after the sentence that [`super::ModelError::Mismatch`] begins.
impl fmt::Display for MatchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = |name: &str| excerpt(&self.own(name));
        let misshapen: Vec<String> = self
            .misshapen
            .iter()
            .map(
                |Misshapen {
                     name,
                     found,
                     expected,
                 }| {
                    format!("`{}` is {found:?}, expected {expected:?}", own(name))
                },
            )
            .collect();
        let not_floats: Vec<String> = self
            .not_floats
            .iter()
            .map(|(name, dtype)| format!("`{}` is {dtype}", own(name)))
            .collect();
        let ticked = |names: &[String]| {
            let names = names.iter().map(|name| format!("`{}`", own(name)));
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
    use std::collections::BTreeMap;

    use super::super::config::BertConfig;
    use super::super::mismatch::match_weights;
    use super::super::names::{expected_classifier, expected_encoder};
    use super::*;

    fn config() -> BertConfig {
        serde_json::from_value(serde_json::json!({
            "vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
            "intermediate_size": 40, "max_position_embeddings": 32
        }))
        .unwrap()
    }

    /// What a config with other values says of weights of 3 layers and 3 classes.
    fn against(values: &[(&str, usize)], classes: usize) -> Vec<String> {
        let mut config = serde_json::json!({
            "vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 3,
            "num_attention_heads": 4, "intermediate_size": 40, "max_position_embeddings": 32
        });
        let read = |config: &serde_json::Value| -> BertConfig {
            serde_json::from_value(config.clone()).unwrap()
        };
        let weights = expected_classifier(&read(&config), 3);
        for (key, value) in values {
            config[*key] = (*value).into();
        }
        let expected = expected_classifier(&read(&config), classes);
        contradictions(&match_weights(&weights, &expected, &[]))
    }

    #[test]
    fn a_key_that_the_weights_contradict_is_named_with_both_values() {
        assert_eq!(
            against(&[("hidden_size", 32), ("vocab_size", 65)], 3),
            [
                "`vocab_size` is 65, the weights have 64",
                "`hidden_size` is 32, the weights have 24"
            ]
        );
        assert_eq!(
            against(&[("intermediate_size", 48)], 2),
            [
                "`intermediate_size` is 48, the weights have 40",
                "`id2label` names 2 classes, the classifier has 3"
            ]
        );
    }

    #[test]
    fn layers_are_counted_in_both_directions() {
        assert_eq!(
            against(&[("num_hidden_layers", 2)], 3),
            ["`num_hidden_layers` is 2, the weights have 3"]
        );
        assert_eq!(
            against(&[("num_hidden_layers", 5)], 3),
            ["`num_hidden_layers` is 5, the weights have 3"]
        );
        assert!(against(&[], 3).is_empty());
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
    fn long_lists_end_in_a_count() {
        let report = match_weights(&BTreeMap::new(), &expected_encoder(&config()), &[]);
        let text = report.to_string();
        assert!(text.starts_with("\n  55 tensors missing:"), "{text}");
        assert!(text.ends_with("\n    and 35 more"), "{text}");
    }
}
