//! The learning-rate schedule: its keys in the file, and what they come to.

use super::declared::Entry;
use super::recipe::TrainingDefaults;
use super::setting::{above_zero_to, choices};
use super::settings::{Item, Settings, key, settings};
use crate::document::{Fault, Located, Section};
use crate::job::{DecayFrom, Schedule, ScheduleKind, Warmup, words};

/// A schedule by its name in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A polynomial of power 1.
    Linear,
    /// Of any power.
    Polynomial,
    /// No decay.
    Constant,
}

words! {
    Shape { "linear" => Linear, "polynomial" => Polynomial, "constant" => Constant }
}

choices! { Shape, DecayFrom }

settings! {
    /// A [`Schedule`] as it is written in the file.
    struct ScheduleKeys(stage, defaults: TrainingDefaults) checked by check_schedule {
        /// Peak learning rate.
        counts learning_rate: f64 =
            key("learning-rate").range(above_zero_to(1.0)), default defaults.learning_rate;
        /// Learning-rate schedule after the warmup: linear or polynomial decay, or constant.
        counts schedule: Shape = key("schedule"), default shape_of(defaults.schedule);
        /// Exponent of the polynomial decay.
        counts power: Option<f64> =
            key("power")
                .range(above_zero_to(100.0))
                .range_text("more than 0, at most 100; `polynomial` only")
                .default_text("1");
        /// Learning rate at the last step.
        counts end_learning_rate: Option<Located<f64>> =
            key("end-learning-rate")
                .range(0.0..=1.0)
                .range_text("0 to `learning-rate`; not with `constant`")
                .default_text("0");
        /// Length of the warmup, in which the learning rate rises linearly from 0.
        counts warmup_proportion: Option<f64> =
            key("warmup-proportion")
                .range(0.0..1.0)
                .range_text("fraction of all steps; at least 0, less than 1");
        /// Length of the warmup in steps.
        counts warmup_steps: Option<u64> =
            key("warmup-steps")
                .range(0..)
                .range_text("steps; replaces `warmup-proportion`");
        /// Length of the warmup in epochs, rounded down to steps.
        counts warmup_epochs: Option<f64> =
            key("warmup-epochs")
                .range(0.0..=10_000.0)
                .range_text("epochs; replaces `warmup-proportion`");
        /// Start of the decay; with `start` the decay includes the warmup steps, so the learning
        /// rate drops at the end of the warmup, as in MindSpore's code.
        counts decay_from: DecayFrom = key("decay-from"), default defaults.decay_from;
    }
}

impl Settings for Schedule {
    type Defaults = TrainingDefaults;
    const TITLE: Option<&'static str> = None;

    fn read_from(stage: &Section<'_>, defaults: &TrainingDefaults) -> Self {
        let keys = ScheduleKeys::read_from(stage, defaults);
        let default_end = match keys.schedule {
            Shape::Constant => 0.0,
            _ => defaults.end_learning_rate.min(keys.learning_rate),
        };
        let proportion = keys.warmup_proportion.map(Warmup::Proportion);
        let steps = keys.warmup_steps.map(Warmup::Steps);
        let epochs = keys.warmup_epochs.map(Warmup::Epochs);
        Self {
            learning_rate: keys.learning_rate,
            end_learning_rate: keys.end_learning_rate.map_or(default_end, |end| end.value),
            kind: match keys.schedule {
                Shape::Linear => ScheduleKind::Polynomial(1.0),
                Shape::Polynomial => ScheduleKind::Polynomial(keys.power.unwrap_or(1.0)),
                Shape::Constant => ScheduleKind::Constant,
            },
            warmup: proportion.or(steps).or(epochs).unwrap_or(defaults.warmup),
            decay_from: keys.decay_from,
        }
    }

    fn entries(&self) -> Vec<Entry> {
        let is_constant = self.kind == ScheduleKind::Constant;
        let end = Located::default_value(self.end_learning_rate);
        let mut keys = ScheduleKeys {
            learning_rate: self.learning_rate,
            schedule: shape_of(self.kind),
            power: self.kind.power(),
            end_learning_rate: Some(end).filter(|_| !is_constant),
            warmup_proportion: None,
            warmup_steps: None,
            warmup_epochs: None,
            decay_from: self.decay_from,
        };
        match self.warmup {
            Warmup::Proportion(share) => keys.warmup_proportion = Some(share),
            Warmup::Steps(steps) => keys.warmup_steps = Some(steps),
            Warmup::Epochs(epochs) => keys.warmup_epochs = Some(epochs),
        }
        let mut entries = keys.entries();
        // What does not decay has no place to start from.
        for entry in entries.iter_mut().filter(|entry| entry.key == "decay-from") {
            entry.counted = entry.counted.take().filter(|_| !is_constant);
        }
        entries
    }

    fn items() -> Vec<Item> {
        ScheduleKeys::items()
    }
}

fn shape_of(kind: ScheduleKind) -> Shape {
    match kind {
        ScheduleKind::Constant => Shape::Constant,
        ScheduleKind::Polynomial(_) if kind.power().is_some() => Shape::Polynomial,
        ScheduleKind::Polynomial(_) => Shape::Linear,
    }
}

fn check_schedule(keys: &ScheduleKeys, stage: &Section<'_>) {
    if keys.schedule != Shape::Polynomial
        && stage.has("power")
        && stage.sound(&["schedule", "power"])
    {
        let fault = Fault::new(
            format!(
                "{} requires `schedule = \"polynomial\"`",
                stage.name("power")
            ),
            stage.key_span("power"),
        );
        stage.unfit(fault.with_label("the other schedules have no exponent"));
    }
    if let Some(end) = &keys.end_learning_rate {
        check_end(keys, end, stage);
    }
    // One of three keys says how long the warm-up is.
    let warmup = ["warmup-proportion", "warmup-steps", "warmup-epochs"];
    let written: Vec<&str> = warmup.into_iter().filter(|key| stage.has(key)).collect();
    if let [first, second, ..] = written[..] {
        let message = format!("`{first}` and {} cannot be combined", stage.name(second));
        stage.unfit(Fault::new(message, stage.key_span(second)));
    }
}

fn check_end(keys: &ScheduleKeys, end: &Located<f64>, stage: &Section<'_>) {
    let label = if keys.schedule == Shape::Constant {
        "a constant schedule has no end value".to_owned()
    } else if end.value > keys.learning_rate {
        format!("greater than `learning-rate` {}", keys.learning_rate)
    } else {
        return;
    };
    if stage.sound(&["schedule", "learning-rate", "end-learning-rate"]) {
        let message = format!(
            "{} cannot be {}",
            stage.name("end-learning-rate"),
            end.value
        );
        stage.unfit(Fault::new(message, end.span.clone()).with_label(label));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, pipeline};

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
