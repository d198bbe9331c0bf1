//! Reading `[teacher]` and `[student]`.

use std::ops::Bound;

use super::recipe::StudentDefaults;
use super::schema::{ClassifierStart, LayerMapRule, Recipe, Student, StudentShape, Teacher};
use crate::document::{Fault, Located, Section, WordOrSection};
use crate::job::{Initializer, LayerMap, WeightDtype};

/// Longest input and widest layer that are taken for meant.
pub(super) const LARGEST: i64 = 1_000_000;

/// Reads `[teacher]`.
pub(super) fn read_teacher(teacher: &Section<'_>, recipe: Recipe) -> Teacher {
    let model = teacher.required_string("model", "a Hugging Face folder");
    let head = teacher.word_or("head", recipe.head());
    let classifier = Located {
        value: teacher.word_or("classifier", ClassifierStart::Auto),
        span: teacher.key_span("classifier"),
    };
    teacher.finish();
    Teacher {
        model,
        head,
        classifier,
    }
}

/// Reads `[student]`.
pub(super) fn read_student(student: &Section<'_>, recipe: Recipe) -> Student {
    let model = student.string("model");
    let defaults = recipe.student();
    let shape = read_shape(student, &defaults);
    if model.is_some() {
        check_shape_is_left_out(student);
    }
    let head = student.word_or("head", recipe.head());
    let range = |key| student.float(key, above_zero_to(1.0));
    let small = defaults.embedding_range.unwrap_or(shape.initializer_range);
    let initializer = Initializer {
        kind: student.word_or("initializer", defaults.initializer),
        embedding_range: range("embedding-initializer-range").map_or(small, |found| found.value),
        projection_range: range("projection-initializer-range").map_or(small, |found| found.value),
    };
    let layer_map = read_layer_map(student);
    let dtype = student.word_or("dtype", WeightDtype::Fp32);
    student.finish();
    Student {
        model,
        shape,
        initializer,
        head,
        layer_map,
        dtype,
    }
}

/// Keys of [`StudentShape`], which a given model's `config.json` answers.
const SHAPE_KEYS: &[&str] = &[
    "num-hidden-layers",
    "hidden-size",
    "intermediate-size",
    "num-attention-heads",
    "hidden-act",
    "hidden-dropout-prob",
    "attention-probs-dropout-prob",
    "max-position-embeddings",
    "initializer-range",
    "layer-norm-eps",
    "vocab-size",
    "type-vocab-size",
    "use-relative-positions",
];

fn check_shape_is_left_out(student: &Section<'_>) {
    for key in SHAPE_KEYS.iter().filter(|key| student.has(key)) {
        let message = format!("`model` and `{key}` in `[student]` cannot be combined");
        let fault = Fault::new(message, student.key_span(key));
        student.unfit(fault.with_label("the model's `config.json` sets it"));
    }
}

fn read_shape(student: &Section<'_>, defaults: &StudentDefaults) -> StudentShape {
    let size = |key, default| student.integer_or(key, 1..=LARGEST, default);
    StudentShape {
        num_hidden_layers: student.integer_or("num-hidden-layers", 1..=1000, 4),
        hidden_size: size("hidden-size", defaults.hidden_size),
        intermediate_size: size("intermediate-size", defaults.intermediate_size),
        num_attention_heads: student.integer_or("num-attention-heads", 1..=1000, 12),
        hidden_act: student
            .choice_or(
                "hidden-act",
                &[("gelu", "gelu"), ("gelu_new", "gelu_new"), ("relu", "relu")],
                defaults.hidden_act,
            )
            .to_string(),
        hidden_dropout_prob: student.float_or("hidden-dropout-prob", 0.0..1.0, 0.1),
        attention_probs_dropout_prob: student.float_or(
            "attention-probs-dropout-prob",
            0.0..1.0,
            0.1,
        ),
        max_position_embeddings: student.integer_or("max-position-embeddings", 3..=LARGEST, 512),
        initializer_range: student.float_or("initializer-range", above_zero_to(1.0), 0.02),
        layer_norm_eps: student.float_or(
            "layer-norm-eps",
            above_zero_to(0.1),
            defaults.layer_norm_eps,
        ),
        vocab_size: student.integer("vocab-size", 1..=LARGEST),
        type_vocab_size: student.integer("type-vocab-size", 1..=LARGEST),
        use_relative_positions: student.boolean_or("use-relative-positions", false).value,
    }
}

#[derive(Clone, Copy)]
enum MapWord {
    Uniform,
    Top,
    Bottom,
}

fn read_layer_map(student: &Section<'_>) -> Located<LayerMapRule> {
    let found = student.choice_or_section(
        "layer-map",
        &[
            ("uniform", MapWord::Uniform),
            ("top", MapWord::Top),
            ("bottom", MapWord::Bottom),
        ],
        "`{ attention = [..], hidden = [..] }`",
    );
    match found {
        None => Located::default_value(LayerMapRule::Uniform),
        Some(WordOrSection::Word(word)) => word.map(|word| match word {
            MapWord::Uniform => LayerMapRule::Uniform,
            MapWord::Top => LayerMapRule::Top,
            MapWord::Bottom => LayerMapRule::Bottom,
        }),
        Some(WordOrSection::Section(map)) => {
            let span = map.span();
            let attention = map
                .integers("attention", 0..=1000, "a list of teacher layers")
                .value;
            let hidden = map
                .integers("hidden", 0..=1000, "a list of teacher hidden states")
                .value;
            map.finish();
            Located {
                value: LayerMapRule::Explicit(LayerMap { attention, hidden }),
                span,
            }
        }
    }
}

/// More than 0, at most `high`.
pub(super) fn above_zero_to(high: f64) -> (Bound<f64>, Bound<f64>) {
    (Bound::Excluded(0.0), Bound::Included(high))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, faults, read, read_with};
    use super::*;

    #[test]
    fn a_given_student_excludes_every_key_of_the_shape() {
        for key in SHAPE_KEYS {
            let value = match *key {
                "hidden-act" => "relu",
                "use-relative-positions" => "true",
                _ => "1",
            };
            let found = faults(
                MINIMAL,
                &[
                    "student.model=models/small",
                    &format!("student.{key}={value}"),
                ],
            );
            let expected = format!("`model` and `{key}` in `[student]` cannot be combined");
            assert!(
                found.iter().any(|fault| fault.ends_with(&expected)),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_layer_map_is_a_word_or_a_table_of_both_lists() {
        let text = format!("{MINIMAL}[student]\nnum-hidden-layers = 2\n");
        let rule = |value: &str| {
            let set = format!("student.layer-map={value}");
            read_with(&text, &[&set]).map(|experiment| experiment.student.layer_map.value)
        };
        assert_eq!(read(&text).student.layer_map.value, LayerMapRule::Uniform);
        assert_eq!(rule("top").unwrap(), LayerMapRule::Top);
        assert_eq!(
            rule("{ attention = [0, 5], hidden = [0, 3, 6] }").unwrap(),
            LayerMapRule::Explicit(LayerMap {
                attention: vec![0, 5],
                hidden: vec![0, 3, 6],
            })
        );
        assert_eq!(
            rule("{ attention = [0, -5] }").unwrap_err().to_string(),
            "--set:1:19: missing key `hidden` in `[student.layer-map]`\n\
             --set:1:37: `attention` in `[student.layer-map]` is out of range"
        );
        assert_eq!(
            rule("middle").unwrap_err().to_string(),
            "--set:1:19: `layer-map` in `[student]` cannot be `middle`"
        );
    }
}
