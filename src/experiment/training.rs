//! Reading what every training stage has: batches, learning rate, optimizer, checkpoints.

use std::ops::Bound;

use super::recipe::TrainingDefaults;
use super::schema::Training;
use super::student::above_zero_to;
use crate::document::{Fault, Located, Section};
use crate::job::{Clipping, LossScaling, Optimizer, Precision, Schedule, ScheduleKind, Warmup};

/// Reads the common keys of a training stage.
pub(super) fn read_training(
    stage: &Section<'_>,
    defaults: &TrainingDefaults,
    precision: Precision,
) -> Training {
    let epochs = stage.integer_or("epochs", 1..=10_000, defaults.epochs);
    let batch_size: Located<u32> = stage.integer_or("batch-size", 1..=65536, defaults.batch_size);
    let steps: Located<u32> = stage.integer_or("gradient-accumulation-steps", 1..=65536, 1);
    if stage.sound(&["batch-size", "gradient-accumulation-steps"])
        && !batch_size.is_multiple_of(*steps)
    {
        let message = format!(
            "`gradient-accumulation-steps` {} does not divide `batch-size` {}",
            *steps, *batch_size
        );
        let fault = Fault::new(message, steps.span.clone());
        stage.unfit(fault.with_label("all micro-batches must have the same size"));
    }
    Training {
        seed: stage.integer("seed", 0..).map(|found| found.value),
        epochs,
        batch_size,
        gradient_accumulation_steps: steps,
        schedule: read_schedule(stage, defaults),
        optimizer: Optimizer {
            kind: stage.word_or("optimizer", defaults.optimizer),
            beta1: stage.float_or("adam-beta1", 0.0..1.0, 0.9),
            beta2: stage.float_or("adam-beta2", 0.0..1.0, 0.999),
            epsilon: stage.float_or("adam-epsilon", above_zero_to(1.0), 1e-6),
            weight_decay: stage.float_or("weight-decay", 0.0..=1.0, defaults.weight_decay),
            weight_decay_exempt: stage.strings("weight-decay-exempt").map_or_else(
                || EXEMPT.map(str::to_owned).to_vec(),
                |parts| parts.value.into_iter().map(|part| part.value).collect(),
            ),
            clipping: stage.word_or("clipping", Clipping::Tensor),
            max_grad_norm: stage.float_or("max-grad-norm", 0.0.., 1.0),
        },
        loss_scaling: read_loss_scaling(stage, defaults, precision),
        shuffle: stage.boolean_or("shuffle", defaults.shuffle).value,
        drop_last: stage.boolean_or("drop-last", defaults.drop_last).value,
        pad_to: stage.word_or("pad-to", defaults.pad_to),
        train_limit: stage.integer("train-limit", 1..).map(|found| found.value),
        log_interval: stage.integer_or("log-interval", 1.., 50).value,
        checkpoint_interval: stage.integer_or("checkpoint-interval", 0.., 0).value,
        checkpoint_seconds: stage.integer_or("checkpoint-seconds", 0.., 60).value,
        checkpoint_keep: stage.integer_or("checkpoint-keep", 1..=1000, 2).value,
        prefetch: stage.integer_or("prefetch", 0..=1000, 2).value,
    }
}

/// Parts of names of tensors that do not decay, as in every published code.
const EXEMPT: [&str; 2] = ["bias", "LayerNorm"];

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Linear,
    Polynomial,
    Constant,
}

fn read_schedule(stage: &Section<'_>, defaults: &TrainingDefaults) -> Schedule {
    let default = match defaults.schedule {
        ScheduleKind::Constant => Shape::Constant,
        ScheduleKind::Polynomial(_) => Shape::Linear,
    };
    let shape = stage.choice_or(
        "schedule",
        &[
            ("linear", Shape::Linear),
            ("polynomial", Shape::Polynomial),
            ("constant", Shape::Constant),
        ],
        default,
    );
    let power = stage.float_or("power", above_zero_to(100.0), 1.0);
    if *shape != Shape::Polynomial && stage.has("power") && stage.sound(&["schedule", "power"]) {
        let fault = Fault::new(
            format!(
                "{} requires `schedule = \"polynomial\"`",
                stage.name("power")
            ),
            stage.key_span("power"),
        );
        stage.unfit(fault.with_label("the other schedules have no exponent"));
    }
    let learning_rate = stage.float_or("learning-rate", above_zero_to(1.0), defaults.learning_rate);
    let end = stage.float("end-learning-rate", 0.0..=1.0);
    if let Some(end) = &end {
        let fault = if *shape == Shape::Constant {
            Some("a constant schedule has no end value".to_owned())
        } else if end.value > learning_rate {
            Some(format!("greater than `learning-rate` {learning_rate}"))
        } else {
            None
        };
        if let Some(label) = fault
            && stage.sound(&["schedule", "learning-rate", "end-learning-rate"])
        {
            let message = format!(
                "{} cannot be {}",
                stage.name("end-learning-rate"),
                end.value
            );
            stage.unfit(Fault::new(message, end.span.clone()).with_label(label));
        }
    }
    let default_end = match *shape {
        Shape::Constant => 0.0,
        _ => defaults.end_learning_rate.min(learning_rate),
    };
    Schedule {
        learning_rate,
        end_learning_rate: end.map_or(default_end, |end| end.value),
        kind: match *shape {
            Shape::Linear => ScheduleKind::Polynomial(1.0),
            Shape::Polynomial => ScheduleKind::Polynomial(power),
            Shape::Constant => ScheduleKind::Constant,
        },
        warmup: read_warmup(stage, defaults.warmup),
        decay_from: stage.word_or("decay-from", defaults.decay_from),
    }
}

/// The scale of the loss, which only fp16 needs.
fn read_loss_scaling(
    stage: &Section<'_>,
    defaults: &TrainingDefaults,
    precision: Precision,
) -> Option<LossScaling> {
    let LossScaling {
        initial,
        factor,
        window,
    } = defaults.loss_scaling;
    let largest = f64::from(f32::MAX);
    let found = LossScaling {
        initial: stage.float_or("loss-scale", 1.0..=largest, initial),
        factor: stage.float_or(
            "loss-scale-factor",
            (Bound::Excluded(1.0), Bound::Included(largest)),
            factor,
        ),
        window: stage.integer_or("loss-scale-window", 1.., window).value,
    };
    if precision == Precision::Fp16 {
        return Some(found);
    }
    let keys = ["loss-scale", "loss-scale-factor", "loss-scale-window"];
    for key in keys.into_iter().filter(|key| stage.has(key)) {
        let message = format!("{} requires `precision = \"fp16\"`", stage.name(key));
        let fault = Fault::new(message, stage.key_span(key));
        stage.unfit(fault.with_label("loss scaling applies to fp16 only"));
    }
    None
}

/// One of three keys says how long the warm-up is.
fn read_warmup(stage: &Section<'_>, default: Warmup) -> Warmup {
    let proportion = stage.float("warmup-proportion", 0.0..1.0);
    let steps = stage.integer("warmup-steps", 0..);
    let epochs = stage.float("warmup-epochs", 0.0..=10_000.0);
    let keys = ["warmup-proportion", "warmup-steps", "warmup-epochs"];
    let written: Vec<&str> = keys.into_iter().filter(|key| stage.has(key)).collect();
    if let [first, second, ..] = written[..] {
        let message = format!("`{first}` and {} cannot be combined", stage.name(second));
        stage.unfit(Fault::new(message, stage.key_span(second)));
    }
    let proportion = proportion.map(|found| Warmup::Proportion(found.value));
    let steps = steps.map(|found| Warmup::Steps(found.value));
    let epochs = epochs.map(|found| Warmup::Epochs(found.value));
    proportion.or(steps).or(epochs).unwrap_or(default)
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

    #[test]
    fn keys_of_a_schedule_that_contradict_each_other_are_refused() {
        let one = |sets: &[&str]| {
            let sets: Vec<String> = sets
                .iter()
                .map(|set| format!("stages.finetune.{set}"))
                .collect();
            let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
            faults(&pipeline(), &sets)
        };
        assert_eq!(
            one(&["power=2"]),
            ["--set:1:17: `power` in `[stages.finetune]` requires `schedule = \"polynomial\"`"]
        );
        assert_eq!(
            one(&["end-learning-rate=1e-3"]),
            ["--set:1:35: `end-learning-rate` in `[stages.finetune]` cannot be 0.001"]
        );
        assert_eq!(
            one(&["warmup-steps=3", "warmup-proportion=0.1"]),
            [
                "--set:1:17: `warmup-proportion` and `warmup-steps` in `[stages.finetune]` cannot be combined"
            ]
        );
        assert!(one(&["schedule=polynomial", "power=2", "warmup-epochs=0.5"]).is_empty());
    }
}
