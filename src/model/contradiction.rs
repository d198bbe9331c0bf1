//! Keys of a `config.json` that its weights contradict: the short form of a long list of
//! tensors.

use super::names::MatchReport;

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
pub(super) fn contradictions(report: &MatchReport) -> Vec<String> {
    let mut found = Vec::new();
    for (name, axis, key) in AXES {
        let tensor = report.misshapen.iter().find(|tensor| tensor.name == name);
        let sizes = tensor.and_then(|tensor| {
            let sizes = (tensor.expected.get(axis)?, tensor.found.get(axis)?);
            (tensor.expected.len() == tensor.found.len()).then_some(sizes)
        });
        if let Some((said, real)) = sizes.filter(|(said, real)| said != real) {
            found.push(match key {
                "id2label" => {
                    format!("`id2label` names {said} classes, the classifier has {real}")
                }
                _ => format!("`{key}` is {said}, the weights have {real}"),
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
            found.push(format!(
                "`num_hidden_layers` is {said}, the weights have {real}"
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::config::BertConfig;
    use super::super::names::{expected_classifier, match_weights};
    use super::*;

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
}
