//! Shape and settings of a BERT or TinyBERT in a checkpoint of MindSpore.

use std::collections::BTreeMap;

use super::config::BertConfig;
use super::error::ModelError;
use super::family::Family;
use super::mindspore_names::{Known, Naming, layer_of};
use super::names::{WORDS, relative_positions};
use super::renaming::Renaming;
use super::stated::Stated;
use super::tensor::Dtype;
use super::weights::Weights;

/// Attention heads of every BERT in MindSpore's own settings, whatever its width.
const HEADS: usize = 12;

/// `nn.GELU` of MindSpore is the tanh form.
const HIDDEN_ACT: &str = "gelu_new";

/// Epsilon of `nn.LayerNorm` in MindSpore.
const LAYER_NORM_EPS: f64 = 1e-7;

/// Positions of a model that has no table of them.
const POSITIONS: usize = 512;

/// The tensor that every such model has.
const WORD_TABLE: &str = "bert_embedding_lookup.embedding_table";

/// The names of a checkpoint's tensors. What training keeps beside the weights (counters, scalars,
/// texts, an optimizer's state) is left out; a tensor of floats that is not known keeps its name.
///
/// # Errors
/// No tensor is one of a BERT.
pub(super) fn renamed(weights: &Weights) -> Result<(Renaming, Naming), ModelError> {
    let naming = Naming::of(&weights.names()).ok_or_else(|| ModelError::NoBert {
        path: weights.path().to_owned(),
        program: "MindSpore",
        wanted: WORD_TABLE,
        found: weights.names().take(3).map(str::to_owned).collect(),
    })?;
    let mut found = Renaming::of(weights, |own| match naming.known(own) {
        Known::Tensor(name) => Some(name),
        Known::Unneeded => None,
        Known::Unknown => {
            let is_float = weights.dtype(own).is_some_and(Dtype::is_float);
            let numbers = weights.shape(own).unwrap_or_default().iter();
            (is_float && numbers.product::<usize>() > 1).then(|| own.to_owned())
        }
    });
    let distances = |name: &String| name.ends_with(".relative_positions.weight");
    if found.names.keys().any(distances) {
        // The table of positions is in the file all the same, and is not used.
        found
            .names
            .remove("bert.embeddings.position_embeddings.weight");
    }
    Ok((found, naming))
}

/// Shape and settings of the model in a checkpoint, by its tensors under their names here. What
/// cannot be read from them is as in MindSpore's own settings, unless it is stated.
///
/// `positions` are the rows of the table of positions.
///
/// # Errors
/// The heads do not divide the width, or a number is one that no model has.
pub(super) fn config(
    weights: &Weights,
    positions: Option<usize>,
    stated: &Stated,
) -> Result<BertConfig, ModelError> {
    let size = |name: &str, axis: usize| weights.shape(name)?.get(axis).copied();
    let norm = "bert.embeddings.LayerNorm.weight";
    let width = size(WORDS, 1).or_else(|| size(norm, 0)).unwrap_or(1);
    let layers = weights
        .names()
        .filter_map(|name| layer_of(name, "bert.encoder.layer."))
        .map(|(layer, _)| layer.saturating_add(1));
    let is_relative = weights.contains(&relative_positions(0));
    // A relative position has a number for each of a head's: only with them are heads in the file.
    let head_width = size(&relative_positions(0), 1);
    let head_width =
        head_width.filter(|head_width| *head_width > 0 && width.is_multiple_of(*head_width));
    let family = if is_relative {
        Family::relative()
    } else {
        Family::bert()
    };
    let mut config = BertConfig {
        family,
        // Where a table is missing, it is listed as missing whatever its size.
        vocab_size: size(WORDS, 0).unwrap_or(1),
        hidden_size: width,
        num_hidden_layers: layers.max().unwrap_or(1),
        num_attention_heads: head_width.map_or(HEADS, |head_width| width / head_width),
        intermediate_size: size("bert.encoder.layer.0.intermediate.dense.weight", 0).unwrap_or(1),
        hidden_act: HIDDEN_ACT.to_owned(),
        hidden_dropout_prob: 0.1,
        seq_classif_dropout: None,
        attention_probs_dropout_prob: 0.1,
        max_position_embeddings: positions.unwrap_or(POSITIONS),
        type_vocab_size: size("bert.embeddings.token_type_embeddings.weight", 0).unwrap_or(2),
        initializer_range: 0.02,
        layer_norm_eps: LAYER_NORM_EPS,
        pad_token_id: 0,
        id2label: BTreeMap::new(),
        problem_type: None,
        tinyrun_head: Some("relu".to_owned()),
        use_relative_positions: is_relative,
        relative_buckets: None,
        train_padding: false,
    };
    stated.apply(&mut config);
    let heads = config.num_attention_heads;
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(ModelError::Heads {
            path: weights.path().to_owned(),
            width,
            heads,
            stated: stated.num_attention_heads.is_some(),
        });
    }
    config.check(weights.path())?;
    Ok(config)
}
