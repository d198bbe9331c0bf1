//! The whole file, and the keys above its first table.

use toml::Value;

use super::goal::{Goal, read_goals};
use super::kind::Kinds;
use super::recipe::StageDefaults;
use super::schema::Recipe;
use super::setting::{At, Setting};
use super::settings::{key, settings};
use super::stage::Stages;
use super::stages;
use super::student::{Student, Teacher};
use super::task::Task;
use crate::document::{Fault, Located, Section};
use crate::job::{Device, DeviceError, Precision};

/// What a file is read with.
pub(crate) struct Reading {
    /// The experiment's name where the file gives none.
    pub(super) stem: String,
    pub(super) kinds: Kinds,
}

settings! {
    /// A whole experiment file.
    pub struct Experiment(top, reading: Reading) titled "Top level" {
        /// Name of the experiment and of its folder in `runs/`.
        recorded name: String =
            key("name")
                .range_text("letters, digits, `.`, `_`, `-`; `/` separates folders")
                .default_text("the file name without `.toml`"),
            default reading.stem.clone();
        /// Preset that supplies the defaults of omitted keys; see the recipes.
        // What it comes to is in the keys.
        recorded recipe: Recipe = key("recipe"), default Recipe::Paper;
        /// Seed of weight initialization, data order and dropout.
        // It counts as the stage has it: `Experiment::seed_of`.
        recorded seed: u64 = key("seed").range(0..), default 42;
        /// Device to compute on; `auto` selects the first CUDA device, otherwise the CPU. Changing
        /// it does not re-run stages.
        recorded device: Device = key("device"), default Device::Auto;
        /// Precision of matrix multiplications; `auto` selects bf16 on devices with bf16
        /// instructions, otherwise fp32. fp16 uses dynamic loss scaling.
        counts precision: Precision = key("precision"), default Precision::Auto;
        /// Number of libtorch threads on the CPU. Changing it does not re-run stages.
        recorded threads: Option<usize> =
            key("threads").range(1..=4096).default_text("all cores, shared by the ranks");
        /// Number of processes that share each batch of a training, each on `threads` threads of
        /// this machine's CPU. `batch-size` stays the size of the whole batch. Changing it does not
        /// re-run stages; losses change by rounding.
        recorded ranks: Located<usize> = key("ranks").range(1..=1024), default 1;
        /// Stop the kernel if it reports no progress for this long; the stage fails and its last
        /// checkpoint is kept. Training reports progress every 0.5 s, but loading and scoring
        /// report none. Changing it does not re-run stages.
        recorded watchdog_seconds: u64 =
            key("watchdog-seconds").range(0..).range_text("seconds; 0 is off"), default 0;
        /// `[task]`
        table task: Task =
            Task::read_table(&top.required_section("task", "the task data"), &recipe);
        /// `[teacher]`
        table teacher: Teacher =
            Teacher::read_table(&teacher_section(top, &task), &recipe);
        /// `[student]`
        table student: Student = Student::read_table(&top.section_or_empty("student"), &recipe);
        /// `[stages.*]`
        table stages: Stages = stages::read(
            &top.section_or_empty("stages"),
            &StageDefaults {
                recipe,
                task: *task.name,
                precision,
            },
            reading.kinds,
        );
        /// `[goal]`: what the student must reach. Not part of a fingerprint.
        table goals: Vec<Located<Goal>> = read_goals(&top.section_or_empty("goal"), &task);
    }
}

/// `[teacher]`, which may be missing where its answers are in files.
fn teacher_section<'a>(top: &Section<'a>, task: &Task) -> Section<'a> {
    match task.teacher_predictions {
        Some(_) => top.section_or_empty("teacher"),
        None => top.required_section("teacher", "the teacher model"),
    }
}

impl Setting for Device {
    type Limit = ();

    fn read(at: &At<'_, ()>) -> Option<Located<Self>> {
        let (section, key) = (at.section, at.key);
        let word = section.string(key)?;
        match word.parse() {
            Ok(device) => Some(word.map(|_| device)),
            Err(error) => {
                let error: DeviceError = error;
                let message = format!("{} cannot be `{}`", section.name(key), word.value);
                let fault = Fault::new(message, word.span.clone())
                    .with_label(error.to_string())
                    .with_hint(error.hint().map(str::to_owned));
                section.wrong(key, fault);
                None
            }
        }
    }

    fn value(&self) -> Value {
        self.to_string().into()
    }

    fn kind((): &()) -> String {
        "`auto`, `cpu`, `cuda`, `cuda:N`".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, read_with};
    use super::*;

    #[test]
    fn devices_are_words_or_cuda_with_an_index() {
        let device = |word: &str| read_with(MINIMAL, &[&format!("device={word}")]);
        assert_eq!(device("cuda").unwrap().device, Device::Cuda(0));
        assert_eq!(device("cuda:1").unwrap().device, Device::Cuda(1));
        assert_eq!(device("cpu").unwrap().device, Device::Cpu);
        for word in ["gpu", "cuda:", "cuda:-1", "cuda:x"] {
            let faults = device(word).unwrap_err().to_string();
            assert_eq!(faults, format!("--set:1:8: `device` cannot be `{word}`"));
        }
    }

    #[test]
    fn an_ascend_device_is_refused_with_what_it_would_take() {
        for word in ["npu", "npu:0", "ascend", "Ascend"] {
            let found = read_with(MINIMAL, &[&format!("device={word}")]).unwrap_err();
            let [fault] = &found.faults[..] else {
                panic!("{found}")
            };
            assert_eq!(fault.message, format!("`device` cannot be `{word}`"));
            assert!(fault.span.is_some());
            let label = fault.label.as_deref().unwrap_or_default();
            assert!(
                label.starts_with("libtorch has no Ascend device"),
                "{label}"
            );
            let hint = fault.hint.as_deref().unwrap_or_default();
            assert!(
                hint.contains("torch_npu") && hint.contains("PrivateUse1"),
                "{hint}"
            );
        }
    }
}
