//! Reading the fixtures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};
use tinyrun_base::job::{
    self, Clipping, HeadKind, HiddenLoss, LayerMap, Objective, Optimizer as OptimizerSettings,
    OptimizerKind, Projection, Reduction,
};
use tinyrun_base::model::{LoadedModel, Weights, load_model};

use crate::batch::{Batch, Block, Row};
use crate::device::Compute;
use crate::encoder::{Classifier, Encoder, Linear};
use crate::folder::projection_names;
use crate::objective::{self, Losses, Share, Student};
use crate::parameters::Parameters;
use crate::target::{Target, Teacher};

/// A file of `fixtures/`. A test program that was moved finds them by `TINYRUN_FIXTURES`.
pub(super) fn path(name: &str) -> PathBuf {
    let repository = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let folder = std::env::var_os("TINYRUN_FIXTURES").map_or_else(repository, PathBuf::from);
    folder.join(name)
}

/// Where models and batches of the fixtures are: `TINYRUN_TEST_DEVICE` (`cpu`, `cuda`), the processor by default.
pub(super) fn device() -> Device {
    match std::env::var("TINYRUN_TEST_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => Device::Cpu,
        Ok("cuda") => {
            let device = job::Device::Cuda(0);
            let compute = Compute::resolve(device, job::Precision::Fp32, None);
            compute
                .unwrap_or_else(|error| panic!("{error}; {:?}", error.failure().hint))
                .device
        }
        Ok(other) => panic!("`TINYRUN_TEST_DEVICE` is `{other}`, expected `cpu` or `cuda`"),
    }
}

/// How much further from the fixtures a GPU may be: it sums in another order, and contracts products with sums.
pub(super) fn slack() -> f64 {
    if device() == Device::Cpu { 1.0 } else { 10.0 }
}

/// A safetensors file of `fixtures/`.
pub(super) fn weights(name: &str) -> Weights {
    Weights::open_file(&path(name)).expect("a fixture opens")
}

/// A JSON file of `fixtures/`.
pub(super) fn json(name: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(path(name)).expect("a fixture opens");
    serde_json::from_str(&text).expect("a fixture is JSON")
}

/// A tensor of floats.
pub(super) fn tensor(weights: &Weights, name: &str) -> Tensor {
    let size: Vec<i64> = weights
        .shape(name)
        .expect(name)
        .iter()
        .map(|&n| n as i64)
        .collect();
    Tensor::from_slice(&weights.to_f32(name).expect(name))
        .view(size.as_slice())
        .to_device(device())
}

/// Every tensor of floats under `prefix`, without it.
pub(super) fn tensors(weights: &Weights, prefix: &str) -> BTreeMap<String, Tensor> {
    weights
        .names()
        .filter_map(|name| Some((name.strip_prefix(prefix)?.to_owned(), tensor(weights, name))))
        .collect()
}

/// The batch `{prefix}input_ids` and so on.
pub(super) fn batch(weights: &Weights, prefix: &str) -> Batch {
    batch_of(&rows(weights, prefix))
}

/// The batch `{prefix}input_ids` and so on, with its `{prefix}labels`.
pub(super) fn labelled_batch(weights: &Weights, prefix: &str) -> Batch {
    labelled_and_padded(weights, prefix, 0)
}

/// The same, padded at least to `length`.
pub(super) fn labelled_and_padded(weights: &Weights, prefix: &str, length: usize) -> Batch {
    labelled(weights, prefix, |rows| Block::from_rows(rows, 0, length))
}

/// The batch `{prefix}input_ids` and so on, with its labels: padded to its longest row, and on the processor not at all.
pub(super) fn laid_both_ways(weights: &Weights, prefix: &str) -> Vec<(&'static str, Batch)> {
    let padded = labelled(weights, prefix, |rows| Block::from_rows(rows, 0, 0));
    let mut ways = vec![("padded", padded)];
    if device() == Device::Cpu {
        ways.push(("unpadded", labelled(weights, prefix, Block::unpadded)));
    }
    ways
}

fn labelled(weights: &Weights, prefix: &str, lay: impl Fn(&[Row<'_>]) -> Block) -> Batch {
    let labels = weights.to_f32(&format!("{prefix}labels")).ok();
    let rows = rows(weights, prefix);
    let rows = rows.iter().enumerate().map(|(index, (ids, start))| Row {
        ids,
        text_b_start: *start,
        label: labels.as_ref().map(|labels| labels[index]),
    });
    Batch::of(&lay(&rows.collect::<Vec<_>>()), device())
}

/// Rows without their padding: ids, and where the second text begins.
pub(super) fn rows(weights: &Weights, prefix: &str) -> Vec<(Vec<u32>, usize)> {
    let integers = |name: &str| -> Vec<i64> {
        let bytes = weights
            .tensor(&format!("{prefix}{name}"))
            .expect(name)
            .bytes
            .into_owned();
        bytes
            .chunks_exact(8)
            .map(|eight| i64::from_le_bytes(eight.try_into().expect("8")))
            .collect()
    };
    let shape = weights
        .shape(&format!("{prefix}input_ids"))
        .expect("a batch")
        .to_vec();
    let (ids, types, mask) = (
        integers("input_ids"),
        integers("token_type_ids"),
        integers("attention_mask"),
    );
    (0..shape[0])
        .map(|row| {
            let real = (0..shape[1]).filter(|&at| mask[row * shape[1] + at] == 1);
            let row_ids: Vec<u32> = real
                .clone()
                .map(|at| ids[row * shape[1] + at] as u32)
                .collect();
            let second = real.filter(|&at| types[row * shape[1] + at] == 1).count();
            let first = row_ids.len() - second;
            (row_ids, first)
        })
        .collect()
}

/// Rows as a batch, padded to the longest.
pub(super) fn batch_of(rows: &[(Vec<u32>, usize)]) -> Batch {
    Batch::of(&block_of(rows), device())
}

/// Rows as a block, padded to the longest.
pub(super) fn block_of(rows: &[(Vec<u32>, usize)]) -> Block {
    let rows: Vec<Row<'_>> = rows
        .iter()
        .map(|(ids, text_b_start)| Row {
            ids,
            text_b_start: *text_b_start,
            label: None,
        })
        .collect();
    Block::from_rows(&rows, 0, 0)
}

/// All tensors of a model folder of `fixtures/`.
pub(super) fn model(folder: &str) -> (LoadedModel, Parameters) {
    let model = load_model(&path(folder)).expect("a fixture model opens");
    let parameters = tensors(&model.weights, "");
    (model, Parameters::new(parameters))
}

/// The teacher in fp32.
pub(super) fn teacher(folder: &str) -> (Teacher, usize) {
    teacher_in(folder, Kind::Float)
}

/// The teacher in a format.
pub(super) fn teacher_in(folder: &str, kind: Kind) -> (Teacher, usize) {
    let (model, parameters) = model(folder);
    let parameters = parameters.frozen(device(), kind);
    let teacher = Teacher {
        encoder: Encoder::either(&parameters, &model.config, kind),
        classifier: Some(Classifier::new(&parameters, &model.config, HeadKind::Plain)),
        dropout: false,
    };
    (teacher, model.config.num_hidden_layers)
}

/// The student with its projection, as trainable leaves.
pub(super) fn student() -> (Student, Parameters) {
    student_in(Kind::Float)
}

/// The same, computing in a format.
pub(super) fn student_in(kind: Kind) -> (Student, Parameters) {
    let (model, parameters) = model("bert-student");
    let parameters = parameters.trainable(device());
    let student = Student {
        encoder: Encoder::either(&parameters, &model.config, kind),
        classifier: Some(Classifier::new(&parameters, &model.config, HeadKind::Plain)),
        projections: projection_names(Projection::Shared, 3)
            .iter()
            .map(|name| Linear::new(&parameters, name))
            .collect(),
    };
    (student, parameters)
}

/// The intermediate objective of the fixtures.
pub(super) fn intermediate(reduction: Reduction) -> Objective {
    Objective::Intermediate {
        layer_map: LayerMap {
            attention: vec![0, 2],
            hidden: vec![0, 1, 3],
        },
        attention_weights: vec![1.0; 2],
        hidden_weights: vec![1.0; 3],
        relations: None,
        reduction,
        hidden_loss: HiddenLoss::Mse,
        projection: Projection::Shared,
        keep_projection: true,
    }
}

/// Below this a tensor is compared as if its largest number were this: the gradient of a key's
/// bias, for one, is zero but for rounding.
const SMALLEST_SCALE: f64 = 1e-3;

/// Fails where `found` is further from `expected` than `relative` times its largest number.
pub(super) fn assert_close(what: &str, found: &Tensor, expected: &Tensor, relative: f64) {
    assert_eq!(found.size(), expected.size(), "shape of {what}");
    let scale = expected.abs().max().double_value(&[]).max(SMALLEST_SCALE);
    let distance = (found - expected).abs().max().double_value(&[]);
    assert!(
        distance <= slack() * relative * scale,
        "{what}: off by {distance:e} where the largest is {scale:e}"
    );
}

/// An Adam as every source has it, clipping each tensor.
pub(super) fn adam(
    kind: OptimizerKind,
    weight_decay: f64,
    max_grad_norm: f64,
) -> OptimizerSettings {
    OptimizerSettings {
        kind,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-6,
        weight_decay,
        weight_decay_exempt: ["bias", "LayerNorm"].map(str::to_owned).to_vec(),
        clipping: Clipping::Tensor,
        max_grad_norm,
    }
}

/// Losses of a batch, its teacher asked first.
pub(super) fn losses(
    objective: &Objective,
    student: &Student,
    teacher: Option<&Teacher>,
    batch: &Batch,
    share: Share,
) -> Losses {
    let target = Target::of(objective, teacher, batch);
    objective::losses(objective, student, &target, batch, share)
}
