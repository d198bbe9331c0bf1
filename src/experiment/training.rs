//! What every training stage has: batches, learning rate, optimizer, checkpoints.

use std::ops::Bound;

use toml::Value;

use super::declared::Entry;
use super::recipe::TrainingDefaults;
use super::setting::{Range, Setting, above_zero_to, choices};
use super::settings::{Item, Settings, key, settings};
use crate::document::{Fault, Located, Section};
use crate::job::{
    Clipping, GradientExchange, LossScaling, Optimizer, OptimizerKind, PadTo, Precision, Schedule,
};

choices! { Clipping, OptimizerKind, PadTo, GradientExchange }

settings! {
    /// Settings that every training stage has, with its own defaults.
    pub struct Training(stage, defaults: TrainingDefaults)
    titled "Training stages" checked by check_parts {
        /// Seed of this stage: weight initialization, data order and dropout.
        // It counts as the stage's own or the file's: `Experiment::seed_of`.
        recorded seed: Option<u64> = key("seed").range(0..).default_text("the file's `seed`");
        /// Number of epochs. For GLUE tasks in `td-phase1` with recipe `paper`: 50 for `cola`, 10
        /// for `mnli`, `qnli` and `qqp`, 20 for the others.
        counts epochs: Located<u32> = key("epochs").range(1..=10_000), default defaults.epochs;
        /// Batch size of an optimizer step.
        counts batch_size: Located<u32> =
            key("batch-size").range(1..=65536).range_text("examples; 1 to 65536"),
            default defaults.batch_size;
        /// Number of micro-batches that a batch is split into, to save memory.
        counts gradient_accumulation_steps: Located<u32> =
            key("gradient-accumulation-steps").range(1..=65536).range_text("divides `batch-size`"),
            default 1;
        /// Parts of a batch whose gradients are computed apart and added in a fixed tree: a power of
        /// two. The result then has the same bytes on any number of ranks that divides it, one
        /// included. On the CPU in fp32 or bf16.
        counts reduction_leaves: Located<u32> =
            key("reduction-leaves").range(1..=64).range_text("a power of two, at most 64")
                .counted_as(leaves),
            default 1;
        /// Number format in which gradients travel between ranks. `bf16` takes half the bytes, for
        /// slow networks, and rounds every sum.
        counts gradient_exchange: Located<GradientExchange> =
            key("gradient-exchange").unless(GradientExchange::Fp32), default GradientExchange::Fp32;
        /// Learning rate as a function of the step.
        group schedule: Schedule = defaults;
        /// Update rule.
        group optimizer: Optimizer = defaults;
        /// With `precision = "fp16"` only.
        group loss_scaling: Option<LossScaling> = defaults;
        /// Reshuffle every epoch and bucket examples by length; if false, keep file order.
        counts shuffle: bool = key("shuffle"), default defaults.shuffle;
        /// Drop the last batch of an epoch if it is incomplete.
        counts drop_last: bool = key("drop-last"), default defaults.drop_last;
        /// Padding of a batch: `none` packs it without padding (on the CPU in fp32 or bf16, with
        /// absolute positions and reduction `tokens`; otherwise the same as `longest`), `longest`
        /// pads to its longest example, `max-seq-length` to the maximum. Changing it between `none`
        /// and `longest` does not re-run stages: the results differ by rounding, and by dropout as
        /// with another seed.
        counts pad_to: PadTo = key("pad-to").counted_as(padding), default defaults.pad_to;
        /// Train on a subset of this size, selected by the seed.
        counts train_limit: Option<u64> =
            key("train-limit").range(1..).range_text("examples; at least 1").default_text("all");
        /// Steps between two rows of `metrics.csv`. Changing it does not re-run stages.
        recorded log_interval: u64 =
            key("log-interval").range(1..).range_text("steps; at least 1"), default 50;
        /// Steps between two checkpoints. Changing it does not re-run stages.
        recorded checkpoint_interval: u64 =
            key("checkpoint-interval").range(0..).range_text("steps; 0 is off"), default 0;
        /// Time between two checkpoints. Changing it does not re-run stages.
        recorded checkpoint_seconds: u64 =
            key("checkpoint-seconds").range(0..).range_text("seconds; 0 is off"), default 60;
        /// Number of newest checkpoints to keep while the stage runs. Changing it does not re-run
        /// stages.
        recorded checkpoint_keep: u32 = key("checkpoint-keep").range(1..=1000), default 2;
        /// Number of batches to prepare ahead on a separate thread. Changing it does not re-run
        /// stages.
        recorded prefetch: u32 =
            key("prefetch").range(0..=1000).range_text("batches; 0 is off"), default 2;
    }
}

fn check_parts(training: &Training, stage: &Section<'_>) {
    let steps = &training.gradient_accumulation_steps;
    let batch_size = *training.batch_size;
    if stage.sound(&["batch-size", "gradient-accumulation-steps"])
        && !batch_size.is_multiple_of(**steps)
    {
        let message = format!(
            "`gradient-accumulation-steps` {} does not divide `batch-size` {batch_size}",
            **steps
        );
        let fault = Fault::new(message, steps.span.clone());
        stage.unfit(fault.with_label("all micro-batches must have the same size"));
    }
    let leaves = &training.reduction_leaves;
    if stage.sound(&["reduction-leaves"]) && !leaves.is_power_of_two() {
        let message = format!("`reduction-leaves` = {} is not a power of two", **leaves);
        stage.unfit(Fault::new(message, leaves.span.clone()));
    }
}

/// One leaf is the sum as it always was.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form of what says how a value is counted"
)]
fn leaves(leaves: &u32) -> Option<Value> {
    (*leaves != 1).then(|| Value::Integer(i64::from(*leaves)))
}

/// Without padding a result is that of the longest row's but for rounding, and dropout as of
/// another seed.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::unnecessary_wraps,
    reason = "the form of what says how a value is counted"
)]
fn padding(pad_to: &PadTo) -> Option<Value> {
    let counted = match pad_to {
        PadTo::None => PadTo::Longest,
        other => *other,
    };
    Some(counted.value())
}

/// Parts of names of tensors that do not decay, as in every published code.
const EXEMPT: [&str; 2] = ["bias", "LayerNorm"];

settings! {
    impl Optimizer(stage, defaults: TrainingDefaults) {
        /// `bert-adam` is BERT's Adam without bias correction; `adamw` has it. Recipes `huawei` and
        /// `mindspore` use `bert-adam` in every stage.
        counts kind: OptimizerKind = key("optimizer"), default defaults.optimizer;
        /// Decay rate of Adam's first moment.
        counts beta1: f64 = key("adam-beta1").range(0.0..1.0), default 0.9;
        /// Decay rate of Adam's second moment.
        counts beta2: f64 = key("adam-beta2").range(0.0..1.0), default 0.999;
        /// Epsilon added to the square root of Adam's second moment.
        counts epsilon: f64 = key("adam-epsilon").range(above_zero_to(1.0)), default 1e-6;
        /// Decoupled weight decay.
        counts weight_decay: f64 =
            key("weight-decay").range(0.0..=1.0), default defaults.weight_decay;
        /// Tensors without weight decay.
        counts weight_decay_exempt: Vec<String> =
            key("weight-decay-exempt").range_text("substrings of tensor names, case-insensitive"),
            default EXEMPT.map(str::to_owned).to_vec();
        /// Gradient clipping: per tensor, by global norm, or off.
        counts clipping: Clipping = key("clipping"), default Clipping::Tensor;
        /// Maximum gradient norm.
        counts max_grad_norm: f64 =
            key("max-grad-norm").range(0.0..).range_text("at least 0; 0 is off"), default 1.0;
    }
}

settings! {
    impl LossScaling(stage, defaults: LossScaling) {
        /// Initial loss scale. Steps whose gradients overflow are skipped and counted in
        /// `metrics.csv`.
        counts initial: f64 =
            key("loss-scale")
                .range(1.0..=f64::from(f32::MAX))
                .range_text("at least 1; requires `precision = \"fp16\"`")
                .default_text("65536; 256 in `td-phase1` with recipe `mindspore`"),
            default defaults.initial;
        /// Factor to divide the loss scale by after an overflow (to at least 1), and to multiply it
        /// by after a window without overflow.
        counts factor: f64 =
            key("loss-scale-factor")
                .range(Range(Bound::Excluded(1.0), Bound::Included(f64::from(f32::MAX))))
                .range_text("more than 1; requires `fp16`")
                .default_text("2"),
            default defaults.factor;
        /// Steps without overflow before the loss scale grows.
        counts window: u64 =
            key("loss-scale-window")
                .range(1..)
                .range_text("steps; requires `fp16`")
                .default_text("1000; 50 in both phases with recipe `mindspore`"),
            default defaults.window;
    }
}

/// The scale of the loss, which only fp16 needs.
impl Settings for Option<LossScaling> {
    type Defaults = TrainingDefaults;
    const TITLE: Option<&'static str> = None;

    fn read_from(stage: &Section<'_>, defaults: &TrainingDefaults) -> Self {
        let found = LossScaling::read_from(stage, &defaults.loss_scaling);
        if defaults.precision == Precision::Fp16 {
            return Some(found);
        }
        let keys = LossScaling::names();
        for key in keys.into_iter().filter(|key| stage.has(key)) {
            let message = format!("{} requires `precision = \"fp16\"`", stage.name(key));
            let fault = Fault::new(message, stage.key_span(key));
            stage.unfit(fault.with_label("loss scaling applies to fp16 only"));
        }
        None
    }

    fn entries(&self) -> Vec<Entry> {
        self.as_ref().map(Settings::entries).unwrap_or_default()
    }

    fn items() -> Vec<Item> {
        LossScaling::items()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, pipeline};

    #[test]
    fn accumulation_divides_the_batch() {
        let keys = |steps: &str| {
            faults(
                &pipeline(),
                &[&format!(
                    "stages.finetune.gradient-accumulation-steps={steps}"
                )],
            )
        };
        assert!(keys("8").is_empty());
        assert_eq!(
            keys("5"),
            ["--set:1:45: `gradient-accumulation-steps` 5 does not divide `batch-size` 32"]
        );
    }

    #[test]
    fn a_scaled_loss_is_for_fp16_alone() {
        let key = "stages.td-phase1.loss-scale=256";
        assert_eq!(
            faults(&pipeline(), &[key]),
            ["--set:1:18: `loss-scale` in `[stages.td-phase1]` requires `precision = \"fp16\"`"]
        );
        assert!(faults(&pipeline(), &["precision=fp16", key]).is_empty());
    }
}
