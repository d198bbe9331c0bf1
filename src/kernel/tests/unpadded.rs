//! A packed batch gives what a padded one gives, in whatever format and on however many threads.

use tch::{Device, Kind, Tensor, no_grad};
use tinyrun_base::data::order::SplitMix64;
use tinyrun_base::job::{Objective, PadTo, Precision, Projection, Reduction, Work};
use tinyrun_base::model::BertConfig;
use tinyrun_base::model::names::expected_encoder;

use super::fixture::{assert_close, intermediate, losses, model, teacher};
use super::noise;
use super::resume::{column, job, run};
use crate::batch::{Amounts, Batch, Block, Row};
use crate::dropout::reseed;
use crate::encoder::{Encoder, Linear, Wanted, layout};
use crate::folder::projection_names;
use crate::objective::{Share, Student};
use crate::parameters::Parameters;
use crate::stop::Stop;
use crate::target::{Target, Teacher};

const TOLERANCE: f64 = 1e-5;

/// Rows of these lengths, one batch padded and one not.
fn both(lengths: &[usize]) -> [Batch; 2] {
    let mut random = SplitMix64::from_parts(&[3]);
    let ids: Vec<Vec<u32>> = lengths
        .iter()
        .map(|&length| {
            // Now and then the padding token, whose row of the table has no gradient.
            let mut id = || (random.below(60) as u32).saturating_sub(4);
            (0..length).map(|_| id()).collect()
        })
        .collect();
    let rows: Vec<Row<'_>> = ids
        .iter()
        .map(|ids| Row {
            ids,
            text_b_start: ids.len() / 2,
            label: None,
        })
        .collect();
    [Block::from_rows(&rows, 0, 0), Block::unpadded(&rows)].map(|b| Batch::of(&b, Device::Cpu))
}

/// The real tokens of `[B, L, d]`, one row after the other.
fn real(hidden: &Tensor, lengths: &[usize]) -> Tensor {
    let rows = lengths.iter().enumerate();
    let rows: Vec<Tensor> = rows
        .map(|(row, &length)| hidden.get(row as i64).narrow(0, 0, length as i64))
        .collect();
    Tensor::cat(&rows, 0)
}

/// The scores of real tokens of `[B, h, L, L]`, of each row `[h, length, length]`.
fn real_scores(scores: &Tensor, lengths: &[usize]) -> Tensor {
    let rows = lengths.iter().enumerate();
    let rows: Vec<Tensor> = rows
        .map(|(row, &length)| {
            let length = length as i64;
            let scores = scores.get(row as i64);
            scores
                .narrow(1, 0, length)
                .narrow(2, 0, length)
                .flatten(0, -1)
        })
        .collect();
    Tensor::cat(&rows, 0)
}

/// Of two layers.
fn config(d: usize, inner: usize, dropout: f64) -> BertConfig {
    serde_json::from_value(serde_json::json!({
        "vocab_size": 64, "hidden_size": d, "num_hidden_layers": 2, "num_attention_heads": 12,
        "intermediate_size": inner, "max_position_embeddings": 160,
        "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout,
    }))
    .expect("a configuration")
}

/// That of a student of the paper's widths (heads of 26).
fn small(dropout: f64) -> BertConfig {
    config(312, 1200, dropout)
}

/// Such a student, and the parameters of a teacher that is wider.
fn models(dropout: f64) -> (Student, Parameters, Parameters, BertConfig) {
    let (small, large) = (small(dropout), config(384, 600, dropout));
    let noise = noise(5);
    let draw = |config: &BertConfig| {
        let mut parameters = Parameters::default();
        for (name, shape) in expected_encoder(config) {
            let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
            let noise = noise(&shape) * 0.05;
            let gain = if name.ends_with("LayerNorm.weight") {
                1.0
            } else {
                0.0
            };
            parameters.insert(&name, noise + gain);
        }
        parameters
    };
    let mut parameters = draw(&small);
    let projection = projection_names(Projection::Shared, 3);
    for (part, shape) in [("weight", vec![384, 312]), ("bias", vec![384])] {
        let noise = noise(&shape) * 0.05;
        parameters.insert(&format!("{}.{part}", projection[0]), noise);
    }
    let parameters = parameters.trainable(Device::Cpu);
    let student = student(&parameters, &small, Kind::Float);
    (student, parameters, draw(&large), large)
}

fn student(parameters: &Parameters, config: &BertConfig, kind: Kind) -> Student {
    Student {
        encoder: Encoder::either(parameters, config, kind),
        classifier: None,
        projections: projection_names(Projection::Shared, 3)
            .iter()
            .map(|name| Linear::new(parameters, name))
            .collect(),
    }
}

fn frozen(parameters: Parameters, config: &BertConfig, pad_to: PadTo, kind: Kind) -> Teacher {
    let parameters = parameters.frozen(Device::Cpu, kind);
    Teacher {
        encoder: match pad_to {
            PadTo::None => Encoder::frozen(&parameters, config, kind, Wanted::Everything, pad_to),
            _ => Encoder::either(&parameters, config, kind),
        },
        classifier: None,
        dropout: false,
    }
}

fn copy(parameters: &Parameters) -> Parameters {
    let each = parameters.iter();
    Parameters::new(
        each.map(|(n, t)| (n.to_owned(), t.shallow_clone()))
            .collect(),
    )
}

/// The objective of two layers.
fn objective() -> Objective {
    let mut objective = intermediate(Reduction::Tokens);
    if let Objective::Intermediate { layer_map, .. } = &mut objective {
        layer_map.attention = vec![0, 1];
        layer_map.hidden = vec![0, 1, 2];
    }
    objective
}

/// Gradients by name, and the loss.
fn gradients(
    batch: &Batch,
    teacher: &Teacher,
    student: &Student,
    parameters: &Parameters,
) -> Vec<(String, Tensor)> {
    reseed(11, Amounts::NONE);
    let found = losses(&objective(), student, Some(teacher), batch, Share::WHOLE);
    let (names, leaves): (Vec<&str>, Vec<&Tensor>) = parameters.iter().unzip();
    let gradients = Tensor::run_backward(&[&found.total], &leaves, false, false);
    let owned = names.into_iter().map(str::to_owned);
    let loss = ("loss".to_owned(), found.total.detach());
    owned
        .zip(gradients)
        .chain([loss])
        .filter(|(_, t)| t.defined())
        .collect()
}

fn assert_all_close(found: &[(String, Tensor)], expected: &[(String, Tensor)]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.len() > 30);
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        assert_close(name, found, expected, TOLERANCE);
    }
}

#[test]
fn hidden_states_and_scores_are_those_of_padded_rows() {
    let (teacher, layers) = teacher("bert-tiny");
    let lengths = [1, 9, 12, 2, 7];
    let [padded, unpadded] = both(&lengths);
    let run = |batch| no_grad(|| teacher.encoder.forward_t(batch, Wanted::Everything, false));
    let (expected, found) = (run(&padded), run(&unpadded));
    for state in 0..=layers {
        let wanted = real(&expected.hidden_states[state], &lengths);
        let what = format!("hidden state {state}");
        assert_close(&what, &found.hidden_states[state], &wanted, TOLERANCE);
    }
    for layer in 0..layers {
        let wanted = real_scores(&expected.attention_scores[layer], &lengths);
        let what = format!("scores {layer}");
        assert_close(&what, &found.attention_scores[layer], &wanted, TOLERANCE);
    }
    let run = |batch| no_grad(|| teacher.encoder.forward_t(batch, Wanted::First, false));
    let (expected, found) = (run(&padded), run(&unpadded));
    assert_close("first token", found.last(), expected.last(), TOLERANCE);
}

#[test]
fn losses_and_gradients_are_those_of_padded_rows() {
    let (student, parameters, large, config) = models(0.0);
    let teacher = frozen(large, &config, PadTo::Longest, Kind::Float);
    // More rows of tokens than a tile, than a vector, than a block of queries.
    for lengths in [&[3, 1, 20][..], &[130, 17, 64, 33], &[16]] {
        let [padded, unpadded] = both(lengths);
        let expected = gradients(&padded, &teacher, &student, &parameters);
        let found = gradients(&unpadded, &teacher, &student, &parameters);
        assert_all_close(&found, &expected);
    }
}

#[test]
fn rows_of_one_length_drop_out_the_same_numbers_either_way() {
    let (student, parameters, large, config) = models(0.1);
    let teacher = frozen(large, &config, PadTo::Longest, Kind::Float);
    let [padded, unpadded] = both(&[19; 5]);
    let expected = gradients(&padded, &teacher, &student, &parameters);
    let found = gradients(&unpadded, &teacher, &student, &parameters);
    assert_all_close(&found, &expected);
}

#[test]
fn a_packed_model_answers_as_it_does_unpacked() {
    let [_, unpadded] = both(&[3, 40, 1, 20]);
    let (_, _, large, config) = models(0.0);
    let answers = [PadTo::Longest, PadTo::None].map(|pad_to| {
        let teacher = frozen(copy(&large), &config, pad_to, Kind::Float);
        let target = Target::of(&objective(), Some(&teacher), &unpadded);
        let Target::Layers {
            attention, hidden, ..
        } = target
        else {
            panic!("layers")
        };
        attention.into_iter().chain(hidden).collect::<Vec<_>>()
    });
    for (index, (found, expected)) in answers[1].iter().zip(&answers[0]).enumerate() {
        assert_eq!(found, expected, "{index}");
    }
}

#[test]
fn threads_change_no_bit() {
    threads_change_no_bit_of(Kind::Float);
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn in_bf16_threads_change_no_bit() {
    threads_change_no_bit_of(Kind::BFloat16);
}

fn threads_change_no_bit_of(kind: Kind) {
    let (_, parameters, large, config) = models(0.1);
    let student = student(&parameters, &small(0.1), kind);
    let teacher = frozen(large, &config, PadTo::None, kind);
    // Rows enough for every thread, and so few that threads share a row's heads.
    let lengths: Vec<usize> = (0..40).map(|i| 1 + i * 7 % 50).collect();
    let threads = tch::get_num_threads();
    for lengths in [&lengths[..], &[70, 33]] {
        let [_, batch] = both(lengths);
        let found = [1, 2, 3].map(|threads| {
            tch::set_num_threads(threads);
            gradients(&batch, &teacher, &student, &parameters)
        });
        tch::set_num_threads(threads);
        for other in &found[1..] {
            for ((name, first), (_, other)) in found[0].iter().zip(other) {
                assert_eq!(first, other, "{name} in {kind:?}");
            }
        }
    }
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn in_bf16_the_loss_is_near_that_of_fp32() {
    let folder = tempfile::tempdir().expect("a folder");
    let losses = [Precision::Fp32, Precision::Bf16].map(|precision| {
        let mut job = job(
            &folder.path().join(format!("{precision:?}")),
            intermediate(Reduction::Tokens),
        );
        job.precision = precision;
        run(&job, &Stop::default()).expect("it trains");
        column(&job.output, "loss")
    });
    for (single, half) in losses[0].iter().zip(&losses[1]) {
        assert!((single - half).abs() < 1e-2 * single, "{losses:?}");
    }
}

#[test]
fn a_model_reads_rows_without_padding_in_fp32_and_not_in_fp16() {
    let config = model("bert-tiny").0.config;
    let laid = |kind| layout(PadTo::None, &config, kind, Device::Cpu);
    assert_eq!(laid(Kind::Float), PadTo::None);
    assert_eq!(laid(Kind::Half), PadTo::Longest);
}

#[test]
fn a_student_of_relative_positions_pads_its_teachers_rows_too() {
    pads_its_teachers_rows(
        |student| student.use_relative_positions = true,
        Precision::Fp32,
    );
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn in_bf16_a_student_of_odd_width_pads_its_teachers_rows_too() {
    // bf16 is multiplied two numbers at a time.
    pads_its_teachers_rows(|student| student.intermediate_size = 33, Precision::Bf16);
}

fn pads_its_teachers_rows(change: impl Fn(&mut BertConfig), precision: Precision) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(folder.path(), intermediate(Reduction::Tokens));
    job.precision = precision;
    let Work::Train(train) = &mut job.work else {
        panic!("a training job")
    };
    train.student.weights = None;
    change(&mut train.student.config);
    run(&job, &Stop::default()).expect("it trains");
    let padding = column(&job.output, "padding");
    assert!(padding.iter().all(|share| *share > 0.0), "{padding:?}");
}

#[test]
fn a_token_beyond_the_table_is_told_in_a_sentence() {
    let (loaded, parameters) = model("bert-tiny");
    let encoder = Encoder::trained(
        &parameters.frozen(Device::Cpu, Kind::Float),
        &loaded.config,
        Kind::Float,
        PadTo::None,
    );
    let [_, mut batch] = both(&[3, 4]);
    batch.input_ids = Tensor::full([7], 1_000_000, (Kind::Int64, Device::Cpu));
    let asked = std::panic::AssertUnwindSafe(|| encoder.forward_t(&batch, Wanted::First, false));
    let told = std::panic::catch_unwind(asked).expect_err("there is no such word");
    let told = told.downcast_ref::<String>().expect("words");
    assert!(
        told.contains(&format!(
            "argument `ids` must be below the {} rows of words, is 1000000 for token 0",
            loaded.config.vocab_size
        )),
        "{told}"
    );
}
