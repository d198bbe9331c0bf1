//! A network of a configuration (`BertConfig` of teacher or student), and what its stage trains with.

use std::ops::RangeInclusive;

use toml::Value;

use super::config::Config;
use super::draft::Draft;
use super::nets::{Net, SHAPE};
use crate::document::Located;
use crate::input::excerpt;

/// Further keys of a student, with their limits.
const TRAINED: [(&str, &str, RangeInclusive<f64>); 3] = [
    ("hidden_dropout_prob", "hidden-dropout-prob", 0.0..=0.999),
    (
        "attention_probs_dropout_prob",
        "attention-probs-dropout-prob",
        0.0..=0.999,
    ),
    ("initializer_range", "initializer-range", 1e-9..=1.0),
];

const LARGEST: u32 = 1_000_000;

/// Why sizes beside a checkpoint are not taken over.
const OF_CHECKPOINT: &str = "the checkpoint's tensors have it";

/// Why keys of general distillation's teacher are not taken over.
const OF_TEACHER: &str = "read from its checkpoint, or the same as in `[teacher]`";

/// A table of the experiment file that a network's keys stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A student that starts from random weights.
    Student,
    /// A student that starts from a checkpoint, which has its sizes.
    StudentModel,
    /// The teacher of `[teacher]`, from a checkpoint.
    Teacher,
    /// Nowhere: it is only compared.
    None,
}

/// Reads a network, and writes what stands beside `[student]` or `[teacher]`.
pub(super) fn read(config: &Config<'_>, table: &'static str, place: Place, draft: &mut Draft<'_>) {
    let is_student = table.contains("student");
    let mut values = shape(config, table, place, draft);
    positions_and_activation(config, table, place, draft);
    if is_student {
        student_keys(config, table, place, draft, &mut values);
    }
    let length = config.integer(&format!("{table}.seq_length"), 3..=LARGEST);
    values.extend(length.map(|found| ("seq_length", found.map(f64::from))));
    draft.nets.push(Net {
        table,
        is_student,
        values,
    });
}

/// The sizes of a network, which are written where no checkpoint has them.
fn shape(
    config: &Config<'_>,
    table: &'static str,
    place: Place,
    draft: &mut Draft<'_>,
) -> Vec<(&'static str, Located<f64>)> {
    let mut values = Vec::new();
    for (key, name) in SHAPE {
        let path = format!("{table}.{key}");
        let Some(found) = config.integer(&path, 1..=LARGEST) else {
            continue;
        };
        values.push((key, found.clone().map(f64::from)));
        // Heads cannot be read from tensors.
        let is_heads = key == "num_attention_heads";
        let written = match place {
            Place::Student => Some("student"),
            Place::StudentModel if is_heads => Some("student"),
            Place::Teacher if is_heads => Some("teacher"),
            _ => None,
        };
        // The student of task distillation is compared with that of general distillation.
        let is_compared = place == Place::None && table.contains("student");
        if let Some(to) = written {
            draft.set((to, name), Some(found), key);
        } else if !is_compared {
            let reason = if is_heads { OF_TEACHER } else { OF_CHECKPOINT };
            draft.note(found.span.as_ref(), &path, reason);
        }
    }
    values
}

/// What a table of positions and a checkpoint cannot hold.
fn positions_and_activation(
    config: &Config<'_>,
    table: &'static str,
    place: Place,
    draft: &mut Draft<'_>,
) {
    let path = |key: &str| format!("{table}.{key}");
    let [positions, activation] = ["max_position_embeddings", "hidden_act"].map(path);
    let found = config.integer(&positions, 3..=LARGEST);
    let words = [("gelu", "gelu_new"), ("relu", "relu")];
    let word = config.word(&activation, &words);
    let to = match place {
        Place::Student | Place::StudentModel => "student",
        Place::Teacher => "teacher",
        Place::None if table.contains("student") => return,
        Place::None => {
            let spans = [
                (positions, found.and_then(|found| found.span)),
                (activation, word.and_then(|word| word.span)),
            ];
            for (path, span) in spans {
                if span.is_some() {
                    draft.note(span.as_ref(), &path, OF_TEACHER);
                }
            }
            return;
        }
    };
    let key = (to, "max-position-embeddings");
    draft.set(key, found, "max_position_embeddings");
    let name = "hidden_act, GELU by its tanh formula";
    draft.set((to, "hidden-act"), word, name);
}

/// Keys that mean something in training only.
fn student_keys(
    config: &Config<'_>,
    table: &'static str,
    place: Place,
    draft: &mut Draft<'_>,
    values: &mut Vec<(&'static str, Located<f64>)>,
) {
    let path = |key: &str| format!("{table}.{key}");
    for (key, name, limits) in TRAINED {
        let found = config.number(&path(key), limits);
        values.extend(found.clone().map(|found| (key, found)));
        let is_written = match place {
            Place::Student => true,
            // Its weights are those of the checkpoint.
            Place::StudentModel => key != "initializer_range",
            Place::Teacher | Place::None => false,
        };
        if is_written {
            draft.set(("student", name), found, key);
        }
    }
    let relative = config.flag(&path("use_relative_positions"));
    if place == Place::Student {
        draft.set(
            ("student", "use-relative-positions"),
            relative,
            "use_relative_positions",
        );
    }
}

/// The length of a network's inputs.
pub(super) fn length(config: &Config<'_>, table: &str) -> Option<Located<i64>> {
    let found = config.integer(&format!("{table}.seq_length"), 3..=LARGEST)?;
    Some(found.map(i64::from))
}

/// Sets the keys of a stage's optimizer, which stand in `AdamWeightDecay` of `table`.
pub(super) fn optimizer(
    config: &Config<'_>,
    table: &str,
    stage: &'static str,
    draft: &mut Draft<'_>,
) {
    for other in config.tables(table) {
        if other.key != "AdamWeightDecay" {
            let path = format!("{table}.{}", excerpt(&other.key));
            let label = "expected `AdamWeightDecay`";
            config.fault(
                &path,
                &other.span,
                "is not an optimizer of the scripts",
                label,
            );
        }
    }
    let path = |key: &str| format!("{table}.AdamWeightDecay.{key}");
    let rate = config.number(&path("learning_rate"), 1e-12..=1.0);
    draft.set((stage, "learning-rate"), rate, "learning_rate");
    let end = config.number(&path("end_learning_rate"), 0.0..=1.0);
    draft.set((stage, "end-learning-rate"), end, "end_learning_rate");
    if let Some(power) = config.number(&path("power"), 1e-9..=100.0) {
        let from = draft.from(power.span.as_ref(), "power");
        // Decay by a power of 1 is `linear`.
        if (power.value - 1.0).abs() > 0.0 {
            draft.put(stage, "schedule", "polynomial".into(), from.clone());
            draft.put(stage, "power", power.value.into(), from);
        } else {
            draft.put(stage, "schedule", "linear".into(), from);
        }
    }
    let decay = config.number(&path("weight_decay"), 0.0..=1.0);
    draft.set((stage, "weight-decay"), decay, "weight_decay");
    let epsilon = config.number(&path("eps"), 1e-30..=1.0);
    draft.set((stage, "adam-epsilon"), epsilon, "eps");
    let Some(filter) = config.words(&path("decay_filter")) else {
        return;
    };
    let mut words: Vec<String> = filter
        .value
        .iter()
        .map(|word| word.to_lowercase())
        .collect();
    words.sort();
    // Case does not matter; `LayerNorm` is how the default spells it.
    let exempt = if words == ["bias", "layernorm"] {
        vec!["bias".to_owned(), "LayerNorm".to_owned()]
    } else {
        filter.value
    };
    let from = draft.from(filter.span.as_ref(), "decay_filter");
    draft.put(stage, "weight-decay-exempt", Value::from(exempt), from);
}

/// Sets the keys of a stage's loss scale, which the scripts use on Ascend.
pub(super) fn loss_scale(
    config: &Config<'_>,
    table: &str,
    stage: &'static str,
    draft: &mut Draft<'_>,
) {
    for (key, name) in [
        ("loss_scale_value", "loss-scale"),
        ("scale_factor", "loss-scale-factor"),
    ] {
        let found = config.number(&format!("{table}.{key}"), 1.0..=f64::from(f32::MAX));
        draft.set((stage, name), found, key);
    }
    let window = config.integer(&format!("{table}.scale_window"), 1..=u32::MAX);
    draft.set((stage, "loss-scale-window"), window, "scale_window");
}
