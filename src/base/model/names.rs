//! Names and shapes of a model's tensors, as `BertForSequenceClassification` of `transformers` has
//! them (`bert.encoder.layer.0.attention.self.query.weight` and so on), and those of other families
//! as these.

use std::collections::BTreeMap;

use super::config::{BertConfig, MAX_RELATIVE_DISTANCE};
use super::family::Family;

/// What the names of an encoder's tensors begin with, whatever family its file is of.
pub const ENCODER: &str = "bert.";

/// What those of its embeddings begin with: word, position and segment tables and their norm.
pub const EMBEDDINGS: &str = "bert.embeddings.";

/// The table of words, of which a batch uses few rows.
pub const WORDS: &str = "bert.embeddings.word_embeddings.weight";

/// The table of biases by distance, `[buckets, heads]`, where scores have them.
pub const RELATIVE_BIAS: &str = "bert.encoder.relative_attention_bias.weight";

/// The dense layer of the pooler, which the classifier reads.
pub const POOLER: &str = "bert.pooler.dense";

/// Name under which a tensor found in a file of `family` is known here, or `None` for those that no
/// model needs: buffers of positions, and the heads of pre-training.
///
/// Wrappers' `module.` falls away, a bare encoder gets its `bert.` prefix, and layer norms
/// called `gamma` and `beta`, as in models converted from TensorFlow, get their present names.
pub fn canonical(found: &str, family: &Family) -> Option<String> {
    let mut name = found;
    while let Some(inner) = name.strip_prefix("module.") {
        name = inner;
    }
    let bare = name.strip_prefix(family.prefix).unwrap_or(name);
    let is_unneeded = |start: &&str| bare.starts_with(start);
    if family.pretraining.iter().any(is_unneeded)
        || bare == "embeddings.position_ids"
        || bare == "embeddings.token_type_ids"
    {
        return None;
    }
    let berts = family.tensors.iter().map(|(bert, own)| (*own, *bert));
    let bare = renamed(bare, berts);
    let known = match bare.split('.').next() {
        Some("embeddings" | "encoder" | "pooler") => format!("{ENCODER}{bare}"),
        _ => bare,
    };
    Some(if let Some(stem) = known.strip_suffix(".LayerNorm.gamma") {
        format!("{stem}.LayerNorm.weight")
    } else if let Some(stem) = known.strip_suffix(".LayerNorm.beta") {
        format!("{stem}.LayerNorm.bias")
    } else {
        known
    })
}

/// Name that a tensor has in a file of `family`: the reverse of [`canonical`].
pub fn in_file(name: &str, family: &Family) -> String {
    let Some(bare) = name.strip_prefix(ENCODER) else {
        return renamed(name, family.tensors.iter().copied());
    };
    let own = renamed(bare, family.tensors.iter().copied());
    if name.starts_with(POOLER) && !family.pooler_in_encoder {
        return own;
    }
    format!("{}{own}", family.prefix)
}

fn renamed<'a>(name: &str, parts: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let replace = |name: String, (from, to): (&str, &str)| name.replacen(from, to, 1);
    parts.fold(name.to_owned(), replace)
}

/// What the names of a layer's tensors begin with, before its number.
const LAYER: &str = "bert.encoder.layer.";

/// The layer of a tensor and its name within it, if it is one of a layer.
pub(super) fn in_layer(name: &str) -> Option<(usize, &str)> {
    let (layer, rest) = name.strip_prefix(LAYER)?.split_once('.')?;
    Some((layer.parse().ok()?, rest))
}

/// Name of a layer's tensor: the reverse of [`in_layer`].
pub(super) fn layer_tensor(layer: usize, name: &str) -> String {
    format!("{LAYER}{layer}.{name}")
}

/// Names and shapes of an encoder: embeddings, layers and pooler.
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
    if let Some(buckets) = config.relative_buckets {
        expected.insert(
            RELATIVE_BIAS.to_owned(),
            vec![buckets, config.num_attention_heads],
        );
    }
    let positions = ("position", config.max_position_embeddings);
    let token_types = ("token_type", config.type_vocab_size);
    let absolute = (!config.use_relative_positions).then_some(positions);
    let token_types = config.family.token_types.then_some(token_types);
    let tables = [("word", config.vocab_size)].into_iter();
    for (table, rows) in tables.chain(absolute).chain(token_types) {
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

/// [`expected_encoder`] of a model that starts from random weights, with a classifier of `classes`
/// classes where there is one. A pooler that is part of the classifier comes with it.
pub fn initialized(config: &BertConfig, classes: Option<usize>) -> BTreeMap<String, Vec<usize>> {
    let Some(classes) = classes else {
        let mut expected = expected_encoder(config);
        expected.retain(|name, _| config.family.pooler_in_encoder || !name.starts_with(POOLER));
        return expected;
    };
    expected_classifier(config, classes)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Weights;

    #[test]
    fn every_known_spelling_becomes_the_same_name() {
        let name = "bert.encoder.layer.0.output.LayerNorm.weight";
        for found in [
            name,
            "encoder.layer.0.output.LayerNorm.weight",
            "module.bert.encoder.layer.0.output.LayerNorm.gamma",
            "encoder.layer.0.output.LayerNorm.gamma",
        ] {
            assert_eq!(canonical(found, Family::bert()).as_deref(), Some(name));
        }
        assert_eq!(
            canonical("classifier.bias", Family::bert()).as_deref(),
            Some("classifier.bias")
        );
        assert_eq!(
            canonical("module.fit_dense.weight", Family::bert()).as_deref(),
            Some("fit_dense.weight")
        );
    }

    /// Configuration of a fixture, and its tensors' names here; each turns into the name of the file again.
    fn known_names(folder: &str) -> (BertConfig, Vec<String>) {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
        let folder = fixtures.join(folder);
        let config = BertConfig::read(&folder).unwrap();
        let raw = Weights::open(&folder).unwrap();
        let known = raw.names().map(|name| {
            let known = canonical(name, config.family).unwrap();
            assert_eq!(in_file(&known, config.family), name);
            known
        });
        let mut known: Vec<String> = known.collect();
        known.sort();
        (config, known)
    }

    #[test]
    fn every_name_of_another_family_is_one_of_berts_and_back() {
        for folder in ["distilbert-tiny", "mpnet-tiny"] {
            let (config, known) = known_names(folder);
            let expected: Vec<String> = expected_classifier(&config, 3).into_keys().collect();
            assert_eq!(known, expected);
            let initial = initialized(&config, None);
            assert!(initial.keys().all(|name| !name.starts_with(POOLER)));
        }
    }

    #[test]
    fn names_of_an_encoder_alone_and_of_other_heads_are_told_apart() {
        let named = |name: &str, family: &str| canonical(name, Family::named(family).unwrap());
        let known = "bert.encoder.layer.2.output.dense.bias";
        let bare = named("transformer.layer.2.ffn.lin2.bias", "distilbert");
        assert_eq!(bare.as_deref(), Some(known));
        assert_eq!(named("vocab_projector.bias", "distilbert"), None);
        let bare = named("encoder.layer.2.output.dense.bias", "mpnet");
        assert_eq!(bare.as_deref(), Some(known));
        let table = named("mpnet.encoder.relative_attention_bias.weight", "mpnet");
        assert_eq!(table.as_deref(), Some(RELATIVE_BIAS));
        for unneeded in [
            "lm_head.dense.bias",
            "pooler.dense.bias",
            "mpnet.pooler.dense.weight",
        ] {
            assert_eq!(named(unneeded, "mpnet"), None);
        }
    }

    #[test]
    fn buffers_and_heads_of_pre_training_are_dropped() {
        for found in [
            "embeddings.position_ids",
            "bert.embeddings.position_ids",
            "cls.predictions.decoder.weight",
            "module.cls.seq_relationship.bias",
        ] {
            assert_eq!(canonical(found, Family::bert()), None, "{found}");
        }
    }
}
