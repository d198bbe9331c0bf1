//! The experiment file with every default written out.

use std::fmt::Display;

use super::schema::{
    Distill, Eval, Experiment, Finetune, GeneralDistill, Keep, LayerMapRule, LongLines,
    ModelSource, Stages, Student, TableFormat, Task, TaskName, TdPhase1, TdPhase2, Training,
};
use super::span::Located;
use crate::job::{HeadKind, OptimizerKind, Reduction, ScheduleKind, SoftLossReduction};

/// The file as resolved: it reads as the same experiment, whatever later defaults are.
pub fn to_toml(experiment: &Experiment) -> String {
    let mut out = Writer::default();
    out.string("name", &experiment.name);
    out.plain("seed", experiment.seed);
    out.string("device", &experiment.device.to_string());
    out.string("precision", &experiment.precision.to_string());
    out.optional("threads", experiment.threads);
    write_task(&mut out, &experiment.task);
    out.table("teacher");
    out.string("model", &experiment.teacher.model);
    out.string("head", head(experiment.teacher.head));
    write_student(&mut out, &experiment.student);
    write_stages(&mut out, &experiment.stages);
    out.text
}

/// Keys and values as TOML lines.
#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    fn table(&mut self, path: &str) {
        self.line(&format!("\n[{path}]"));
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn plain(&mut self, key: &str, value: impl Display) {
        self.line(&format!("{key} = {value}"));
    }

    fn optional(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.plain(key, value);
        }
    }

    /// The shortest digits that read as the same number.
    fn float(&mut self, key: &str, value: f64) {
        self.plain(key, format_args!("{value:?}"));
    }

    fn string(&mut self, key: &str, value: &str) {
        self.plain(key, quoted(value));
    }

    fn strings<'s>(&mut self, key: &str, values: impl Iterator<Item = &'s str>) {
        let values: Vec<String> = values.map(quoted).collect();
        self.plain(key, format_args!("[{}]", values.join(", ")));
    }

    fn source(&mut self, key: &str, source: Option<&Located<ModelSource>>) {
        match source.map(|source| &source.value) {
            Some(ModelSource::Stage(stage)) => self.string(key, stage.as_str()),
            Some(ModelSource::Folder(folder)) => self.string(key, folder),
            None => {}
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn head(head: HeadKind) -> &'static str {
    match head {
        HeadKind::Plain => "plain",
        HeadKind::Relu => "relu",
    }
}

fn write_task(out: &mut Writer, task: &Task) {
    out.table("task");
    out.string(
        "name",
        match *task.name {
            TaskName::Sst2 => "sst-2",
            TaskName::Custom => "custom",
        },
    );
    out.string("train", &task.train);
    if let Some(dev) = &task.dev {
        out.string("dev", dev);
    }
    if let Some(fraction) = &task.dev_fraction {
        out.float("dev-fraction", fraction.value);
    }
    out.string(
        "format",
        match task.format {
            TableFormat::Auto => "auto",
            TableFormat::Tsv => "tsv",
            TableFormat::Csv => "csv",
        },
    );
    out.string("text", &task.text);
    if let Some(pair) = &task.pair {
        out.string("pair", pair);
    }
    out.string("label", &task.label);
    if let Some(labels) = &task.labels {
        out.strings("labels", labels.iter().map(String::as_str));
    }
    out.plain("max-seq-length", *task.max_seq_length);
}

fn write_student(out: &mut Writer, student: &Student) {
    out.table("student");
    if let Some(model) = &student.model {
        out.string("model", model);
    } else {
        let shape = &student.shape;
        out.plain("num-hidden-layers", *shape.num_hidden_layers);
        out.plain("hidden-size", *shape.hidden_size);
        out.plain("intermediate-size", *shape.intermediate_size);
        out.plain("num-attention-heads", *shape.num_attention_heads);
        out.string("hidden-act", &shape.hidden_act);
        out.float("hidden-dropout-prob", shape.hidden_dropout_prob);
        out.float(
            "attention-probs-dropout-prob",
            shape.attention_probs_dropout_prob,
        );
        out.plain("max-position-embeddings", *shape.max_position_embeddings);
        out.float("initializer-range", shape.initializer_range);
        out.float("layer-norm-eps", shape.layer_norm_eps);
    }
    out.string("head", head(student.head));
    match &student.layer_map.value {
        LayerMapRule::Uniform => out.string("layer-map", "uniform"),
        LayerMapRule::Top => out.string("layer-map", "top"),
        LayerMapRule::Bottom => out.string("layer-map", "bottom"),
        LayerMapRule::Explicit(map) => out.plain(
            "layer-map",
            format_args!(
                "{{ attention = {:?}, hidden = {:?} }}",
                map.attention, map.hidden
            ),
        ),
    }
}

fn write_stages(out: &mut Writer, stages: &Stages) {
    out.table("stages.data-prep");
    if let Some(Finetune {
        training,
        eval_interval,
        keep,
    }) = &stages.finetune
    {
        out.table("stages.finetune");
        write_training(out, training);
        write_scoring(out, *eval_interval, *keep);
    }
    if let Some(general) = &stages.general_distill {
        write_general_distill(out, general);
    }
    if let Some(TdPhase1 {
        training,
        distill,
        student,
        teacher,
    }) = &stages.td_phase1
    {
        out.table("stages.td-phase1");
        write_training(out, training);
        write_distill(out, distill);
        out.source("student", student.as_ref());
        out.source("teacher", teacher.as_ref());
    }
    if let Some(phase2) = &stages.td_phase2 {
        write_td_phase2(out, phase2);
    }
    if let Some(Eval {
        batch_size,
        student,
        teacher,
    }) = &stages.eval
    {
        out.table("stages.eval");
        out.plain("batch-size", **batch_size);
        out.source("student", student.as_ref());
        out.source("teacher", teacher.as_ref());
    }
}

fn write_general_distill(out: &mut Writer, stage: &GeneralDistill) {
    let GeneralDistill {
        training,
        distill,
        corpus,
        max_seq_length,
        long_lines,
        student,
        teacher,
    } = stage;
    out.table("stages.general-distill");
    out.strings("corpus", corpus.iter().map(|glob| glob.as_str()));
    out.plain("max-seq-length", **max_seq_length);
    out.string(
        "long-lines",
        match long_lines {
            LongLines::Split => "split",
            LongLines::Truncate => "truncate",
        },
    );
    write_training(out, training);
    write_distill(out, distill);
    out.source("student", student.as_ref());
    out.source("teacher", teacher.as_ref());
}

fn write_td_phase2(out: &mut Writer, stage: &TdPhase2) {
    let TdPhase2 {
        training,
        temperature,
        reduction,
        hard_label_weight,
        eval_interval,
        keep,
        student,
        teacher,
    } = stage;
    out.table("stages.td-phase2");
    write_training(out, training);
    out.float("temperature", *temperature);
    out.string(
        "soft-loss-reduction",
        match reduction {
            SoftLossReduction::BatchAndClasses => "batch-and-classes",
            SoftLossReduction::Batch => "batch",
        },
    );
    out.float("hard-label-weight", *hard_label_weight);
    write_scoring(out, *eval_interval, *keep);
    out.source("student", student.as_ref());
    out.source("teacher", teacher.as_ref());
}

fn write_training(out: &mut Writer, training: &Training) {
    let Training {
        epochs,
        batch_size,
        gradient_accumulation_steps,
        schedule,
        optimizer,
        train_limit,
        log_interval,
        checkpoint_interval,
        checkpoint_seconds,
    } = training;
    out.plain("epochs", **epochs);
    out.plain("batch-size", **batch_size);
    out.plain("gradient-accumulation-steps", **gradient_accumulation_steps);
    out.float("learning-rate", schedule.learning_rate);
    out.string(
        "schedule",
        match schedule.kind {
            ScheduleKind::Linear => "linear",
            ScheduleKind::Constant => "constant",
        },
    );
    out.float("warmup-proportion", schedule.warmup_proportion);
    out.string(
        "optimizer",
        match optimizer.kind {
            OptimizerKind::BertAdam => "bert-adam",
            OptimizerKind::AdamW => "adamw",
        },
    );
    out.float("adam-beta1", optimizer.beta1);
    out.float("adam-beta2", optimizer.beta2);
    out.float("adam-epsilon", optimizer.epsilon);
    out.float("weight-decay", optimizer.weight_decay);
    out.float("max-grad-norm", optimizer.max_grad_norm);
    out.optional("train-limit", *train_limit);
    out.plain("log-interval", log_interval);
    out.plain("checkpoint-interval", checkpoint_interval);
    out.plain("checkpoint-seconds", checkpoint_seconds);
}

fn write_distill(out: &mut Writer, distill: &Distill) {
    out.float("attention-weight", distill.attention_weight);
    out.float("hidden-weight", distill.hidden_weight);
    out.string(
        "reduction",
        match distill.reduction {
            Reduction::Tokens => "tokens",
            Reduction::Block => "block",
        },
    );
}

fn write_scoring(out: &mut Writer, eval_interval: u64, keep: Keep) {
    out.plain("eval-interval", eval_interval);
    out.string(
        "keep",
        match keep {
            Keep::Best => "best",
            Keep::Last => "last",
        },
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, pipeline, read, read_with};
    use super::*;

    fn assert_reads_as_the_same(experiment: &Experiment) {
        let text = to_toml(experiment);
        let again = Experiment::read("y.toml", "y", &text, &[]);
        let (again, _) = again.unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        assert_eq!(&again, experiment, "{text}");
        assert_eq!(to_toml(&again), text);
    }

    #[test]
    fn the_resolved_file_reads_as_the_same_experiment() {
        assert_reads_as_the_same(&read(MINIMAL));
        assert_reads_as_the_same(&read(&pipeline()));
    }

    #[test]
    fn nothing_that_can_be_set_is_lost() {
        // One line of the file after another.
        #[rustfmt::skip]
        let sets = [
            "name=other", "seed=1", "device=cuda:2", "precision=bf16", "threads=3",
            "task.train='a \"quoted\" \\ name'", "task.format=csv", "task.text=a", "task.pair=b",
            "task.label=c", "task.labels=['x', \"y\\tz\"]", "task.max-seq-length=77",
            "teacher.head=relu", "student.head=relu", "student.num-hidden-layers=2",
            "student.hidden-size=48", "student.intermediate-size=96",
            "student.num-attention-heads=6", "student.hidden-act=relu",
            "student.hidden-dropout-prob=0.2", "student.attention-probs-dropout-prob=0",
            "student.max-position-embeddings=256", "student.initializer-range=0.3",
            "student.layer-norm-eps=1e-5",
            "student.layer-map={ attention = [1, 2], hidden = [0, 1, 2] }",
            "stages.finetune.epochs=4", "stages.finetune.batch-size=12",
            "stages.finetune.gradient-accumulation-steps=3", "stages.finetune.learning-rate=3.5e-7",
            "stages.finetune.schedule=constant", "stages.finetune.warmup-proportion=0.25",
            "stages.finetune.optimizer=adamw", "stages.finetune.adam-beta1=0.8",
            "stages.finetune.adam-beta2=0.9", "stages.finetune.adam-epsilon=1e-8",
            "stages.finetune.weight-decay=0.02", "stages.finetune.max-grad-norm=0",
            "stages.finetune.train-limit=100", "stages.finetune.log-interval=7",
            "stages.finetune.checkpoint-interval=8", "stages.finetune.checkpoint-seconds=9",
            "stages.finetune.eval-interval=10", "stages.finetune.keep=last",
            "stages.general-distill.corpus=['a', 'b/*']", "stages.general-distill.long-lines=truncate",
            "stages.general-distill.max-seq-length=99", "stages.general-distill.student=m/s",
            "stages.general-distill.teacher=m/t", "stages.td-phase1.attention-weight=0.5",
            "stages.td-phase1.hidden-weight=0", "stages.td-phase1.reduction=block",
            "stages.td-phase1.student=m/s", "stages.td-phase1.teacher=finetune",
            "stages.td-phase2.temperature=2", "stages.td-phase2.soft-loss-reduction=batch",
            "stages.td-phase2.hard-label-weight=0.5", "stages.td-phase2.eval-interval=3",
            "stages.td-phase2.keep=last", "stages.td-phase2.student=general-distill",
            "stages.td-phase2.teacher=td-phase1", "stages.eval.batch-size=8",
            "stages.eval.student=td-phase1", "stages.eval.teacher=m/t",
        ];
        let experiment = read_with(&pipeline(), &sets).unwrap_or_else(|faults| panic!("{faults}"));
        assert_reads_as_the_same(&experiment);
        for set in sets {
            let without: Vec<&str> = sets.iter().copied().filter(|other| *other != set).collect();
            // Some cannot be left out alone; the round trip above covers them.
            if let Ok(other) = read_with(&pipeline(), &without) {
                assert_ne!(to_toml(&other), to_toml(&experiment), "{set} is lost");
            }
        }
    }

    #[test]
    fn a_given_student_and_a_dev_fraction_survive() {
        let text = MINIMAL.replace("dev = \"dev.tsv\"", "dev-fraction = 0.1");
        let sets = ["student.model=models/small", "student.layer-map=top"];
        assert_reads_as_the_same(&read_with(&text, &sets).unwrap());
    }
}
