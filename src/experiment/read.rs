//! From the text to an [`Experiment`].

use super::fault::{Fault, Faults, Sources};
use super::node;
use super::schema::{
    Experiment, LayerMapRule, Student, StudentShape, TableFormat, Task, TaskName, Teacher,
};
use super::section::{Collector, Section, WordOrSection};
use super::span::Located;
use super::stages;
use crate::job::{Device, HeadKind, LayerMap, Precision};

/// Longest input, longest list of layers and widest layer that are taken for meant.
const LARGEST: i64 = 1_000_000;

impl Experiment {
    /// Reads an experiment file.
    ///
    /// `file` names the file in messages, `stem` is the experiment's name where the file
    /// gives none, and each of `overrides` is a `key.path=value` that replaces what the
    /// file says. The [`Sources`] are what the spans in the experiment point into.
    ///
    /// # Errors
    ///
    /// Every fault of the text, together.
    pub fn read(
        file: &str,
        stem: &str,
        text: &str,
        overrides: &[String],
    ) -> Result<(Self, Sources), Faults> {
        let sources = Sources::new(file, text, overrides);
        let (table, mut faults) = node::parse(text);
        let collector = Collector::default();
        let top = Section::top(&table, &collector);
        let experiment = read_top(top, stem);
        let (written, missing) = collector.into_faults();
        faults.extend(written);
        faults.extend(missing);
        if faults.is_empty() {
            Ok((experiment, sources))
        } else {
            Err(Faults::new(faults, sources))
        }
    }
}

fn read_top(top: Section<'_>, stem: &str) -> Experiment {
    let name = top
        .string("name")
        .unwrap_or_else(|| Located::default_value(stem.to_owned()));
    let seed = top.integer_or("seed", 0.., 42).value;
    let device = read_device(&top);
    let precision = top
        .choice_or("precision", PRECISIONS, Precision::Auto)
        .value;
    let threads = top.integer("threads", 1..=4096).map(|found| found.value);
    let task = read_task(top.required_section("task"));
    let teacher = read_teacher(top.required_section("teacher"));
    let student = read_student(top.section_or_empty("student"));
    let stages = stages::read(top.section_or_empty("stages"));
    top.finish();
    Experiment {
        name: name.value,
        seed,
        device,
        precision,
        threads,
        task,
        teacher,
        student,
        stages,
    }
}

const PRECISIONS: &[(&str, Precision)] = &[
    ("auto", Precision::Auto),
    ("fp32", Precision::Fp32),
    ("bf16", Precision::Bf16),
];

const HEADS: &[(&str, HeadKind)] = &[("plain", HeadKind::Plain), ("relu", HeadKind::Relu)];

fn read_device(top: &Section<'_>) -> Device {
    let Some(word) = top.string("device") else {
        return Device::Auto;
    };
    match word.as_str() {
        "auto" => Device::Auto,
        "cpu" => Device::Cpu,
        "cuda" => Device::Cuda(0),
        other => match other.strip_prefix("cuda:").map(str::parse) {
            Some(Ok(index)) => Device::Cuda(index),
            _ => {
                top.faults().add(
                    Fault::new(format!("`device` cannot be `{other}`"), word.span.clone())
                        .with_label("expected `auto`, `cpu`, `cuda` or `cuda:N`"),
                );
                Device::Auto
            }
        },
    }
}

fn read_task(task: Section<'_>) -> Task {
    let name = task.required_choice(
        "name",
        &[("sst-2", TaskName::Sst2), ("custom", TaskName::Custom)],
    );
    let (default_labels, default_length) = match name.value {
        TaskName::Sst2 => (Some(["negative", "positive"]), 64),
        TaskName::Custom => (None, 128),
    };
    let train = task.required_string("train", "a table, or a glob of several");
    let dev = task.string("dev");
    let dev_fraction = task.float("dev-fraction", above_zero_to(0.5));
    let format = task
        .choice_or(
            "format",
            &[
                ("auto", TableFormat::Auto),
                ("tsv", TableFormat::Tsv),
                ("csv", TableFormat::Csv),
            ],
            TableFormat::Auto,
        )
        .value;
    let column = |key, default: &str| {
        task.string(key)
            .unwrap_or_else(|| Located::default_value(default.to_owned()))
    };
    let text = column("text", "sentence");
    let pair = task.string("pair");
    let label = column("label", "label");
    let labels = task
        .strings("labels")
        .map(|labels| labels.map(|list| list.into_iter().map(|label| label.value).collect()))
        .or_else(|| {
            default_labels
                .map(|labels| Located::default_value(labels.map(ToOwned::to_owned).to_vec()))
        });
    let max_seq_length = task.integer_or("max-seq-length", 3..=LARGEST, default_length);
    task.finish();
    Task {
        name,
        train,
        dev,
        dev_fraction,
        format,
        text,
        pair,
        label,
        labels,
        max_seq_length,
    }
}

fn read_teacher(teacher: Section<'_>) -> Teacher {
    let model = teacher.required_string("model", "a Hugging Face folder");
    let head = teacher.choice_or("head", HEADS, HeadKind::Plain).value;
    teacher.finish();
    Teacher { model, head }
}

fn read_student(student: Section<'_>) -> Student {
    let model = student.string("model");
    let shape = read_shape(&student);
    let head = student.choice_or("head", HEADS, HeadKind::Plain).value;
    let layer_map = read_layer_map(&student);
    student.finish();
    Student {
        model,
        shape,
        head,
        layer_map,
    }
}

fn read_shape(student: &Section<'_>) -> StudentShape {
    let size = |key, default| student.integer_or(key, 1..=LARGEST, default);
    StudentShape {
        num_hidden_layers: student.integer_or("num-hidden-layers", 1..=1000, 4),
        hidden_size: size("hidden-size", 312),
        intermediate_size: size("intermediate-size", 1200),
        num_attention_heads: student.integer_or("num-attention-heads", 1..=1000, 12),
        hidden_act: student
            .choice_or(
                "hidden-act",
                &[("gelu", "gelu"), ("gelu_new", "gelu_new"), ("relu", "relu")],
                "gelu",
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
        layer_norm_eps: student.float_or("layer-norm-eps", above_zero_to(0.1), 1e-12),
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
pub(super) fn above_zero_to(high: f64) -> (std::ops::Bound<f64>, std::ops::Bound<f64>) {
    (
        std::ops::Bound::Excluded(0.0),
        std::ops::Bound::Included(high),
    )
}
