//! Relations of queries, keys and values against the paper's formula over models of `transformers`: the loss, and every
//! gradient by name; packed against padded batches; runs that were stopped, cached, computed in bf16.

use tch::{Device, Kind, Tensor};
use tinyrun_base::data::order::SplitMix64;
use tinyrun_base::job::{
    HiddenLoss, Job, LayerMap, Objective, PadTo, Precision, Projection, Reduction, Relations, Work,
};
use tinyrun_base::model::{BertConfig, Weights};

use super::fixture::{
    assert_close, device, intermediate, json, laid_both_ways, losses, rows, slack, tensors, weights,
};
use super::noise;
use super::resume::{column, job, left, run};
use crate::batch::{Amounts, Batch, Block, Row};
use crate::encoder::{Encoder, Linear};
use crate::losses::relation_loss;
use crate::objective::{Share, Student};
use crate::parameters::Parameters;
use crate::stop::Stop;
use crate::target::Teacher;

const TOLERANCE: f64 = 1e-5;

/// Shape of a model of `fixtures/relations.py`: layers, width, heads, inner width.
fn config([layers, width, heads, inner]: [usize; 4]) -> BertConfig {
    serde_json::from_value(serde_json::json!({
        "vocab_size": 64, "hidden_size": width, "num_hidden_layers": layers,
        "num_attention_heads": heads, "intermediate_size": inner, "max_position_embeddings": 16,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }))
    .expect("a configuration")
}

fn student(file: &Weights, kind: Kind) -> (Student, Parameters) {
    let parameters = Parameters::new(tensors(file, "student.weights.")).trainable(device());
    let projection = || Linear::new(&parameters, "fit_dense");
    let student = Student {
        encoder: Encoder::either(&parameters, &config([2, 16, 2, 20]), kind),
        classifier: None,
        projections: (0..3).map(|_| projection()).collect(),
    };
    (student, parameters)
}

fn teacher(file: &Weights, kind: Kind) -> Teacher {
    let parameters = Parameters::new(tensors(file, "teacher.weights.")).frozen(device(), kind);
    Teacher {
        encoder: Encoder::either(&parameters, &config([3, 24, 3, 28]), kind),
        classifier: None,
        dropout: false,
    }
}

fn objective(case: &serde_json::Value) -> Objective {
    let numbers = |key: &str| -> Vec<f64> {
        let list = case[key].as_array().expect("a list");
        let numbers = list.iter().map(|it| it.as_f64().expect("a number"));
        numbers.collect()
    };
    Objective::Intermediate {
        layer_map: LayerMap {
            attention: vec![0, 1],
            hidden: vec![0, 1, 3],
        },
        attention_weights: numbers("attention_weights"),
        hidden_weights: numbers("hidden_weights"),
        relations: Some(Relations {
            heads: case["heads"].as_u64().expect("a number") as usize,
            weights: numbers("weights").try_into().expect("three"),
        }),
        reduction: Reduction::Tokens,
        hidden_loss: HiddenLoss::Mse,
        projection: Projection::Shared,
        keep_projection: true,
    }
}

/// The loss, and the gradients by name.
fn gradients(
    objective: &Objective,
    (student, parameters): &(Student, Parameters),
    teacher: &Teacher,
    batch: &Batch,
    share: Share,
) -> (f64, Vec<(String, Tensor)>) {
    let found = losses(objective, student, Some(teacher), batch, share);
    let (names, leaves): (Vec<&str>, Vec<&Tensor>) = parameters.iter().unzip();
    let gradients = Tensor::run_backward(&[&found.total], &leaves, false, false);
    let names = names.into_iter().map(str::to_owned);
    (
        found.total.double_value(&[]),
        names.zip(gradients).collect(),
    )
}

/// The cases of the fixture.
fn cases() -> Vec<(String, serde_json::Value)> {
    let document = json("relations.json");
    let document = document.as_object().expect("cases").clone();
    let cases: Vec<_> = document
        .into_iter()
        .filter(|(name, _)| name != "versions")
        .collect();
    assert_eq!(cases.len(), 3);
    cases
}

#[test]
fn relations_have_the_papers_loss_and_gradients() {
    let file = weights("relations.safetensors");
    for (name, case) in cases() {
        let objective = objective(&case);
        for (way, batch) in laid_both_ways(&file, "") {
            let models = (student(&file, Kind::Float), teacher(&file, Kind::Float));
            let (loss, found) = gradients(&objective, &models.0, &models.1, &batch, Share::WHOLE);
            let wanted = case["loss"].as_f64().expect("a loss");
            assert!(
                (loss - wanted).abs() <= slack() * TOLERANCE * wanted,
                "{way} {name}: {loss} for {wanted}"
            );
            let expected = tensors(&file, &format!("{name}.gradients."));
            assert!(expected.len() > 20);
            for (tensor, gradient) in found {
                let what = format!("{way} {name}: gradient of {tensor}");
                match expected.get(&tensor) {
                    Some(expected) => assert_close(&what, &gradient, expected, 5.0 * TOLERANCE),
                    None => assert!(
                        !gradient.defined() || gradient.abs().max().double_value(&[]) == 0.0,
                        "{what}: there is none in PyTorch"
                    ),
                }
            }
        }
    }
}

#[test]
fn shares_of_a_step_sum_to_the_whole() {
    let file = weights("relations.safetensors");
    let (_, case) = cases().swap_remove(0);
    let objective = objective(&case);
    let models = (student(&file, Kind::Float), teacher(&file, Kind::Float));
    let of = |rows: &[(Vec<u32>, usize)], is_packed: bool, all: Option<&[Amounts]>| {
        let rows: Vec<Row<'_>> = rows
            .iter()
            .map(|(ids, text_b_start)| Row {
                ids,
                text_b_start: *text_b_start,
                label: None,
            })
            .collect();
        let block = if is_packed {
            Block::unpadded(&rows)
        } else {
            Block::from_rows(&rows, 0, 0)
        };
        let share = all.map_or(Share::WHOLE, |all| Share::of(block.amounts(), all));
        let batch = Batch::of(&block, device());
        gradients(&objective, &models.0, &models.1, &batch, share)
    };
    let all = rows(&file, "");
    let amounts =
        |rows: &[(Vec<u32>, usize)]| Amounts::of(rows.iter().map(|row| row.0.len() as u64));
    for is_packed in [false, device() == Device::Cpu] {
        let whole = of(&all, is_packed, None);
        let parts = [&all[..1], &all[1..]];
        let amounts = parts.map(amounts);
        let [first, second] = parts.map(|part| of(part, is_packed, Some(&amounts)));
        assert!((first.0 + second.0 - whole.0).abs() < TOLERANCE * whole.0);
        for (((name, whole), (_, first)), (_, second)) in
            whole.1.iter().zip(&first.1).zip(&second.1)
        {
            if whole.defined() {
                assert_close(name, &(first + second), whole, 2.0 * TOLERANCE);
            }
        }
    }
}

/// Random vectors of rows of these lengths, padded and packed: `[B, L, n]` and `[T, n]`.
fn vectors(
    noise: impl Fn(&[i64]) -> Tensor,
    lengths: &[usize],
    width: i64,
    kind: Kind,
) -> [Tensor; 2] {
    let longest = *lengths.iter().max().expect("rows") as i64;
    let rows = lengths
        .iter()
        .map(|&length| noise(&[length as i64, width]).to_kind(kind));
    let rows: Vec<Tensor> = rows.collect();
    let padded: Vec<Tensor> = rows
        .iter()
        .map(|row| row.constant_pad_nd([0, 0, 0, longest - row.size()[0]]))
        .collect();
    [Tensor::stack(&padded, 0), Tensor::cat(&rows, 0)]
}

fn batches(lengths: &[usize]) -> [Batch; 2] {
    let mut random = SplitMix64::from_parts(&[5]);
    let mut ids = |length: &usize| -> Vec<u32> {
        (0..*length).map(|_| 5 + random.below(50) as u32).collect()
    };
    let ids: Vec<Vec<u32>> = lengths.iter().map(&mut ids).collect();
    let rows: Vec<Row<'_>> = ids
        .iter()
        .map(|ids| Row {
            ids,
            text_b_start: ids.len(),
            label: None,
        })
        .collect();
    [Block::from_rows(&rows, 0, 0), Block::unpadded(&rows)].map(|b| Batch::of(&b, Device::Cpu))
}

/// Losses of padded and of packed rows, and the gradients of the student's vectors of all tokens.
fn both_ways(
    lengths: &[usize],
    kind: Kind,
    [own, others]: [i64; 2],
    relations: &Relations,
) -> [(f64, Tensor); 2] {
    let noise = noise(3);
    let (student, teacher) = (
        vectors(&noise, lengths, 3 * own, kind),
        vectors(&noise, lengths, 3 * others, kind),
    );
    let [padded, packed] = batches(lengths);
    let sides = student.iter().zip(&teacher).zip([&padded, &packed]);
    let found: Vec<(f64, Tensor)> = sides
        .map(|((own, others), batch)| {
            let own = own.detach().set_requires_grad(true);
            let loss = relation_loss(&own, others, batch, relations);
            let gradient = Tensor::run_backward(&[&loss], &[&own], false, false).remove(0);
            let gradient = match &batch.token_mask {
                Some(real) => gradient
                    .flatten(0, 1)
                    .index_select(0, &real.view(-1).nonzero().view(-1)),
                None => gradient.view([-1, gradient.size()[gradient.dim() - 1]]),
            };
            (loss.double_value(&[]), gradient.to_kind(Kind::Float))
        })
        .collect();
    found.try_into().expect("two")
}

fn packed_rows_give_what_padded_ones_give(kind: Kind, tolerance: f64) {
    // Heads of 26, of 6 and of 64; more tokens than a block of queries.
    for (lengths, widths, heads) in [
        (&[3, 1, 20][..], [312, 768], 12),
        (&[130, 17, 64, 33], [24, 40], 4),
        (&[5, 12], [64, 128], 1),
    ] {
        let relations = Relations {
            heads,
            weights: [1.0, 0.25, 2.0],
        };
        let [(wanted, expected), (loss, gradient)] = both_ways(lengths, kind, widths, &relations);
        assert!(
            (loss - wanted).abs() < tolerance * wanted,
            "{loss} for {wanted}"
        );
        assert_close("gradient", &gradient, &expected, tolerance);
    }
}

#[test]
fn packed_rows_give_the_relations_of_padded_ones() {
    packed_rows_give_what_padded_ones_give(Kind::Float, 3.0 * TOLERANCE);
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn in_bf16_packed_rows_give_the_relations_of_padded_ones() {
    // The gradient is rounded to 8 bits.
    packed_rows_give_what_padded_ones_give(Kind::BFloat16, 5e-3);
}

#[test]
fn equal_vectors_are_at_no_distance() {
    let lengths = [7, 40];
    let relations = Relations {
        heads: 3,
        weights: [1.0; 3],
    };
    let [padded, packed] = vectors(noise(4), &lengths, 36, Kind::Float);
    for (vectors, batch) in [padded, packed].iter().zip(&batches(&lengths)) {
        let own = vectors.detach().set_requires_grad(true);
        let loss = relation_loss(&own, vectors, batch, &relations);
        assert!(loss.double_value(&[]).abs() < 1e-6);
        let gradient = Tensor::run_backward(&[&loss], &[&own], false, false).remove(0);
        assert!(gradient.abs().max().double_value(&[]) < 1e-6);
    }
}

#[test]
fn threads_change_no_bit_of_relations() {
    let relations = Relations {
        heads: 4,
        weights: [1.0; 3],
    };
    let lengths: Vec<usize> = (0..40).map(|i| 1 + i * 7 % 50).collect();
    let threads = tch::get_num_threads();
    let found = [1, 2, 3].map(|threads| {
        tch::set_num_threads(threads);
        let [_, packed] = both_ways(&lengths, Kind::Float, [24, 32], &relations);
        packed
    });
    tch::set_num_threads(threads);
    for other in &found[1..] {
        assert_eq!(other.0.to_bits(), found[0].0.to_bits());
        assert_eq!(other.1, found[0].1);
    }
}

/// Relations in the fixtures' objective.
pub(super) fn of_relations() -> Objective {
    let mut objective = intermediate(Reduction::Tokens);
    if let Objective::Intermediate { relations, .. } = &mut objective {
        *relations = Some(Relations {
            heads: 2,
            weights: [1.0, 0.5, 2.0],
        });
    }
    objective
}

fn trained(folder: &std::path::Path, change: impl Fn(&mut Job)) -> Job {
    let mut job = job(folder, of_relations());
    change(&mut job);
    run(&job, &Stop::default()).expect("it trains");
    job
}

fn cache_bytes(job: &mut Job, bytes: u64) {
    let Work::Train(train) = &mut job.work else {
        panic!("a training job")
    };
    train.teacher.as_mut().expect("a teacher").cache_bytes = bytes;
}

#[test]
fn cached_or_computed_in_every_step_relations_are_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let losses = [0, 1_000_000_000].map(|bytes| {
        let folder = folder.path().join(bytes.to_string());
        let job = trained(&folder, |job| cache_bytes(job, bytes));
        (column(&job.output, "attention_loss"), left(&job.output))
    });
    assert!(losses[0].0.iter().all(|loss| *loss > 0.0));
    for (one, other) in losses[0].0.iter().zip(&losses[1].0) {
        assert!((one - other).abs() < TOLERANCE * one, "{one} {other}");
    }
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn in_bf16_relations_are_near_those_of_fp32() {
    let folder = tempfile::tempdir().expect("a folder");
    let losses = [Precision::Fp32, Precision::Bf16].map(|precision| {
        let folder = folder.path().join(format!("{precision:?}"));
        let job = trained(&folder, |job| job.precision = precision);
        column(&job.output, "attention_loss")
    });
    for (single, half) in losses[0].iter().zip(&losses[1]) {
        assert!((single - half).abs() < 2e-2 * single, "{losses:?}");
    }
}

#[test]
fn padded_and_packed_runs_learn_relations_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let losses = [PadTo::None, PadTo::Longest].map(|pad_to| {
        let folder = folder.path().join(format!("{pad_to:?}"));
        let job = trained(&folder, |job| {
            let Work::Train(train) = &mut job.work else {
                panic!("a training job")
            };
            train.data.pad_to = pad_to;
            let student = &mut train.student.config;
            (
                student.hidden_dropout_prob,
                student.attention_probs_dropout_prob,
            ) = (0.0, 0.0);
        });
        column(&job.output, "loss")
    });
    assert!(!losses[0].is_empty());
    for (packed, padded) in losses[0].iter().zip(&losses[1]) {
        assert!((packed - padded).abs() < 1e-4 * padded, "{losses:?}");
    }
}
