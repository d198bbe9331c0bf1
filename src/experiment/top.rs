//! The whole file, and the keys above its first table.

use toml::Value;

use super::goal::{Goal, read_goals};
use super::kind::Kinds;
use super::recipe::StageDefaults;
use super::schema::Recipe;
use super::setting::{At, Setting, choices};
use super::settings::{key, settings};
use super::stage::Stages;
use super::stages;
use super::student::{Student, Teacher};
use super::task::Task;
use crate::document::{Fault, Located, Section};
use crate::job::{Device, DeviceError, Devices, Precision};

/// What a file is read with.
pub(crate) struct Reading {
    /// The experiment's name where the file gives none.
    pub(super) stem: String,
    pub(super) kinds: Kinds,
}

choices! { Precision }

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
        /// Device to compute on; `auto` selects the first CUDA device, otherwise the CPU. A list has
        /// a device for each of as many ranks. Changing it does not re-run stages.
        recorded device: Located<Devices> = key("device"), default Devices::one(Device::Auto);
        /// Precision of matrix multiplications; `auto` selects bf16 on devices with bf16
        /// instructions, otherwise fp32. fp16 uses dynamic loss scaling.
        counts precision: Precision = key("precision"), default Precision::Auto;
        /// Number of libtorch threads on the CPU. Changing it does not re-run stages.
        recorded threads: Option<usize> =
            key("threads").range(1..=4096).default_text("all cores, shared by the ranks");
        /// Number of processes that share each batch of a training, each on `threads` threads of
        /// this machine's CPU. `batch-size` stays the size of the whole batch. Changing it does not
        /// re-run stages; losses change by rounding.
        recorded ranks: Located<usize> =
            key("ranks").range(1..=1024).default_text("1, or the length of `device`"),
            default device.count();
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

impl Setting for Devices {
    type Limit = ();

    fn read(at: &At<'_, ()>) -> Option<Located<Self>> {
        let (section, key) = (at.section, at.key);
        let words = section.word_or_words(key)?;
        let read = |word: &Located<String>| match word.parse() {
            Ok(device) => Some(device),
            Err(error) => {
                let error: DeviceError = error;
                refuse(section, key, word, &error.to_string(), error.hint());
                None
            }
        };
        let devices: Vec<Device> = words.value.iter().map(read).collect::<Option<_>>()?;
        let is_list = devices.len() > 1;
        let other = |device: &&Device| {
            **device == Device::Auto
                || std::mem::discriminant(*device) != std::mem::discriminant(&devices[0])
        };
        if is_list && let Some(place) = devices.iter().position(|device| other(&device)) {
            let label = "the ranks of a list are all on CUDA devices, or all on the CPU";
            refuse(section, key, &words.value[place], label, None);
            return None;
        }
        Some(words.map(|_| Devices::each(devices)))
    }

    fn value(&self) -> Value {
        match self.count() {
            1 => self.of(0).to_string().into(),
            _ => Value::Array(
                self.iter()
                    .map(|device| device.to_string().into())
                    .collect(),
            ),
        }
    }

    fn kind((): &()) -> String {
        "`auto`, `cpu`, `cuda`, `cuda:N`, or a list".to_owned()
    }
}

/// Reports a word that is no device here.
fn refuse(
    section: &Section<'_>,
    key: &str,
    word: &Located<String>,
    label: &str,
    hint: Option<&str>,
) {
    let message = format!("{} cannot be `{}`", section.name(key), word.value);
    let fault = Fault::new(message, word.span.clone());
    section.wrong(
        key,
        fault.with_label(label).with_hint(hint.map(str::to_owned)),
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, read_with};
    use super::*;

    #[test]
    fn devices_are_words_or_cuda_with_an_index() {
        let device = |word: &str| read_with(MINIMAL, &[&format!("device={word}")]);
        for (word, expected) in [
            ("cuda", Device::Cuda(0)),
            ("cuda:1", Device::Cuda(1)),
            ("cpu", Device::Cpu),
            ("[\"cpu\"]", Device::Cpu),
        ] {
            let read = device(word).unwrap();
            assert_eq!(*read.device, Devices::one(expected), "{word}");
            assert_eq!(*read.ranks, 1, "{word}");
        }
        for word in ["gpu", "cuda:", "cuda:-1", "cuda:x"] {
            let faults = device(word).unwrap_err().to_string();
            assert_eq!(faults, format!("--set:1:8: `device` cannot be `{word}`"));
        }
    }

    #[test]
    fn a_list_of_devices_is_a_rank_each() {
        let lists = |sets: &[&str]| read_with(MINIMAL, sets);
        let two = r#"device=["cuda:1", "cuda:0"]"#;
        let read = lists(&[two]).unwrap();
        assert_eq!(*read.ranks, 2);
        assert_eq!(read.device.of(0), Device::Cuda(1));
        assert_eq!(read.device.of(1), Device::Cuda(0));
        assert_eq!(*lists(&[two, "ranks=2"]).unwrap().ranks, 2);
        let faults = |sets: &[&str]| lists(sets).unwrap_err().to_string();
        assert_eq!(
            faults(&[two, "ranks=3"]),
            "--set:1:7: `ranks` is 3, but `device` lists 2 devices"
        );
        for (list, at) in [
            (r#"["cpu", "cuda:0"]"#, "16: `device` cannot be `cuda:0`"),
            (r#"["auto", "auto"]"#, "9: `device` cannot be `auto`"),
            (r#"["cpu", "gpu"]"#, "16: `device` cannot be `gpu`"),
        ] {
            let found = faults(&[&format!("device={list}")]);
            assert_eq!(found, format!("--set:1:{at}"));
        }
        let found = faults(&["device=[]"]);
        assert_eq!(found, "--set:1:8: `device` is empty");
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
