//! The shape of the student.

use std::collections::BTreeMap;

use super::PAIR;
use crate::document::{Fault, Located};
use crate::experiment::top::Experiment;
use crate::model::config::BertConfig;
use crate::model::family::LEAST_BUCKETS;

/// Shape of the model, or the shape, of `[student]`; `config` gives that of a folder that could be read.
///
/// # Errors
///
/// Layers that its model does not have; no fault where its folder could not be read.
pub(super) fn student<'a>(
    experiment: &Experiment,
    teacher: &'a BertConfig,
    config: impl Fn(&Located<String>) -> Option<&'a BertConfig>,
) -> Result<BertConfig, Vec<Fault>> {
    let Some(start) = experiment.start_of_student() else {
        return Ok(from_shape(experiment, teacher));
    };
    // Without a folder it is the fine-tuned teacher.
    let folder = experiment.student_folder();
    let whole = folder.map_or(Some(teacher), config).ok_or_else(Vec::new)?;
    check_layers(experiment, whole)?;
    let mut student = whole.clone();
    experiment.stated_start(&start.value).reshape(&mut student);
    Ok(student)
}

/// Shape of `[student]`, with vocabulary, segments and padding id of the teacher.
fn from_shape(experiment: &Experiment, teacher: &BertConfig) -> BertConfig {
    let shape = &experiment.student.shape;
    let family = shape.family();
    let of_teacher = match teacher.type_vocab_size {
        // A teacher without token types.
        0 => PAIR,
        segments => segments,
    };
    let segments = shape.type_vocab_size.as_deref().copied();
    let segments = segments.unwrap_or(of_teacher);
    BertConfig {
        family,
        vocab_size: shape
            .vocab_size
            .as_deref()
            .copied()
            .unwrap_or(teacher.vocab_size),
        hidden_size: *shape.hidden_size,
        num_hidden_layers: *shape.num_hidden_layers,
        num_attention_heads: *shape.num_attention_heads,
        intermediate_size: *shape.intermediate_size,
        hidden_act: shape.hidden_act.clone(),
        hidden_dropout_prob: shape.hidden_dropout_prob,
        seq_classif_dropout: (family.classifier_dropout).map(|_| shape.hidden_dropout_prob),
        attention_probs_dropout_prob: shape.attention_probs_dropout_prob,
        max_position_embeddings: *shape.max_position_embeddings,
        relative_buckets: family.relative_bias.then_some(LEAST_BUCKETS),
        type_vocab_size: if family.token_types { segments } else { 0 },
        initializer_range: shape.initializer_range,
        layer_norm_eps: shape.layer_norm_eps,
        pad_token_id: teacher.pad_token_id,
        use_relative_positions: shape.use_relative_positions,
        id2label: BTreeMap::new(),
        problem_type: None,
        tinyrun_head: None,
        train_padding: experiment.student.train_padding,
    }
}

/// Layers of `[student]` that its model does not have.
fn check_layers(experiment: &Experiment, model: &BertConfig) -> Result<(), Vec<Fault>> {
    let there = model.num_hidden_layers;
    let layers = experiment.student.layers.as_ref();
    let missing = layers.and_then(|layers| layers.iter().find(|layer| **layer >= there));
    let (Some(layers), Some(missing)) = (layers, missing) else {
        return Ok(());
    };
    let message = format!(
        "`layers` in `[student]` has {missing}, which is out of range for `{}`",
        experiment
            .student
            .model
            .as_ref()
            .map_or("", |model| &model.value)
    );
    let last = there.saturating_sub(1);
    let fault = Fault::new(message, layers.span.clone());
    Err(vec![
        fault.with_label(format!("its layers are 0 to {last}")),
    ])
}
