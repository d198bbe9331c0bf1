//! The experiment file with every default written out.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::schema::{
    Distill, Eval, Experiment, Finetune, GateRule, GeneralDistill, Keep, LayerMapRule, ModelSource,
    RANDOM, Stages, Student, Task, TdPhase1, TdPhase2, Training,
};
use crate::document::Located;
use crate::job::{Initializer, LossScaling, Optimizer, Schedule, ScheduleKind, Warmup, Word};

/// The file as resolved: it reads as the same experiment, whatever later defaults are.
pub fn to_toml(experiment: &Experiment) -> String {
    let mut out = Writer::default();
    out.string("name", &experiment.name);
    out.word("recipe", experiment.recipe);
    out.plain("seed", experiment.seed);
    out.string("device", &experiment.device.to_string());
    out.word("precision", experiment.precision);
    out.optional("threads", experiment.threads);
    out.plain("watchdog-seconds", experiment.watchdog_seconds);
    write_task(&mut out, &experiment.task);
    out.table("teacher");
    out.string("model", &experiment.teacher.model);
    out.word("head", experiment.teacher.head);
    out.word("classifier", experiment.teacher.classifier.value);
    write_student(&mut out, &experiment.student);
    write_stages(&mut out, &experiment.stages);
    if !experiment.goals.is_empty() {
        out.table("goal");
        for goal in &experiment.goals {
            out.float(&quoted(&goal.name), goal.at_least);
        }
    }
    out.text
}

/// Every key of an experiment after defaults, by its dotted path, with its value as TOML; the
/// name is left out.
pub fn settings_of(experiment: &Experiment) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let table: toml::Table = to_toml(experiment).parse().unwrap_or_default();
    flatten("", &table, &mut found);
    found.remove("name");
    found
}

/// The values of a table and of those in it, by dotted path.
fn flatten(path: &str, table: &toml::Table, found: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let whole = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match value {
            toml::Value::Table(inner) => flatten(&whole, inner, found),
            value => {
                found.insert(whole, value.to_string());
            }
        }
    }
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

    fn word(&mut self, key: &str, value: impl Word) {
        self.string(key, value.as_str());
    }

    fn strings<'s>(&mut self, key: &str, values: impl Iterator<Item = &'s str>) {
        let values: Vec<String> = values.map(quoted).collect();
        self.plain(key, format_args!("[{}]", values.join(", ")));
    }

    fn source(&mut self, key: &str, source: Option<&Located<ModelSource>>) {
        match source.map(|source| &source.value) {
            Some(ModelSource::Stage(stage)) => self.string(key, stage.as_str()),
            Some(ModelSource::Folder(folder)) => self.string(key, folder),
            Some(ModelSource::Random) => self.string(key, RANDOM),
            None => {}
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn write_task(out: &mut Writer, task: &Task) {
    out.table("task");
    out.string("name", task.name.as_str());
    out.string("train", &task.train);
    if let Some(dev) = &task.dev {
        out.string("dev", dev);
    }
    if let Some(dev) = &task.dev_mismatched {
        out.string("dev-mismatched", dev);
    }
    if let Some(fraction) = &task.dev_fraction {
        out.float("dev-fraction", fraction.value);
    }
    out.word("format", task.format);
    match task.delimiter {
        Some(delimiter) => out.string("delimiter", &delimiter.to_string()),
        None => out.string("delimiter", "auto"),
    }
    out.word("quoting", task.quoting);
    out.word("escape", task.escape);
    out.string("text", &task.text);
    if let Some(pair) = &task.pair {
        out.string("pair", pair);
    }
    out.string("label", &task.label);
    out.plain("regression", task.regression);
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
        out.optional("vocab-size", shape.vocab_size.as_deref());
        out.optional("type-vocab-size", shape.type_vocab_size.as_deref());
        out.plain("use-relative-positions", shape.use_relative_positions);
    }
    let Initializer {
        kind,
        embedding_range,
        projection_range,
    } = &student.initializer;
    out.word("initializer", *kind);
    out.float("embedding-initializer-range", *embedding_range);
    out.float("projection-initializer-range", *projection_range);
    out.word("head", student.head);
    out.word("dtype", student.dtype);
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
        gate,
        teacher_memory,
        student,
        teacher,
    }) = &stages.td_phase1
    {
        out.table("stages.td-phase1");
        write_training(out, training);
        write_distill(out, distill);
        write_gate(out, *gate);
        out.float("teacher-memory", *teacher_memory);
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
    out.word("long-lines", *long_lines);
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
        soft_loss_weight,
        hard_label_weight,
        regression_target,
        teacher_dropout,
        gate,
        teacher_memory,
        eval_interval,
        keep,
        student,
        teacher,
    } = stage;
    out.table("stages.td-phase2");
    write_training(out, training);
    out.float("temperature", *temperature);
    out.word("soft-loss-reduction", *reduction);
    out.float("soft-loss-weight", *soft_loss_weight);
    out.float("hard-label-weight", *hard_label_weight);
    out.word("regression-target", *regression_target);
    out.plain("teacher-dropout", teacher_dropout);
    write_gate(out, *gate);
    out.float("teacher-memory", *teacher_memory);
    write_scoring(out, *eval_interval, *keep);
    out.source("student", student.as_ref());
    out.source("teacher", teacher.as_ref());
}

fn write_training(out: &mut Writer, training: &Training) {
    let Training {
        seed,
        epochs,
        batch_size,
        gradient_accumulation_steps,
        schedule,
        optimizer,
        loss_scaling,
        shuffle,
        drop_last,
        pad_to,
        train_limit,
        log_interval,
        checkpoint_interval,
        checkpoint_seconds,
        checkpoint_keep,
        prefetch,
    } = training;
    out.optional("seed", *seed);
    out.plain("epochs", **epochs);
    out.plain("batch-size", **batch_size);
    out.plain("gradient-accumulation-steps", **gradient_accumulation_steps);
    write_schedule(out, schedule);
    write_optimizer(out, optimizer);
    if let Some(LossScaling {
        initial,
        factor,
        window,
    }) = loss_scaling
    {
        out.float("loss-scale", *initial);
        out.float("loss-scale-factor", *factor);
        out.plain("loss-scale-window", window);
    }
    out.plain("shuffle", shuffle);
    out.plain("drop-last", drop_last);
    out.word("pad-to", *pad_to);
    out.optional("train-limit", *train_limit);
    out.plain("log-interval", log_interval);
    out.plain("checkpoint-interval", checkpoint_interval);
    out.plain("checkpoint-seconds", checkpoint_seconds);
    out.plain("checkpoint-keep", checkpoint_keep);
    out.plain("prefetch", prefetch);
}

fn write_schedule(out: &mut Writer, schedule: &Schedule) {
    let Schedule {
        kind,
        learning_rate,
        end_learning_rate,
        warmup,
        decay_from,
    } = schedule;
    out.float("learning-rate", *learning_rate);
    out.string("schedule", kind.as_str());
    if let Some(power) = kind.power() {
        out.float("power", power);
    }
    if *kind != ScheduleKind::Constant {
        out.float("end-learning-rate", *end_learning_rate);
    }
    match warmup {
        Warmup::Proportion(share) => out.float("warmup-proportion", *share),
        Warmup::Steps(steps) => out.plain("warmup-steps", steps),
        Warmup::Epochs(epochs) => out.float("warmup-epochs", *epochs),
    }
    out.word("decay-from", *decay_from);
}

fn write_optimizer(out: &mut Writer, optimizer: &Optimizer) {
    let Optimizer {
        kind,
        beta1,
        beta2,
        epsilon,
        weight_decay,
        weight_decay_exempt,
        clipping,
        max_grad_norm,
    } = optimizer;
    out.word("optimizer", *kind);
    out.float("adam-beta1", *beta1);
    out.float("adam-beta2", *beta2);
    out.float("adam-epsilon", *epsilon);
    out.float("weight-decay", *weight_decay);
    let parts = weight_decay_exempt.iter();
    out.strings("weight-decay-exempt", parts.map(String::as_str));
    out.word("clipping", *clipping);
    out.float("max-grad-norm", *max_grad_norm);
}

fn write_distill(out: &mut Writer, distill: &Distill) {
    let Distill {
        attention_weight,
        hidden_weight,
        attention_layer_weights,
        hidden_layer_weights,
        reduction,
        projection,
        keep_projection,
        teacher_dropout,
    } = distill;
    out.float("attention-weight", *attention_weight);
    out.float("hidden-weight", *hidden_weight);
    let lists = [
        ("attention-layer-weights", attention_layer_weights),
        ("hidden-layer-weights", hidden_layer_weights),
    ];
    for (key, list) in lists {
        if let Some(list) = list {
            out.plain(key, format_args!("{:?}", list.value));
        }
    }
    out.word("reduction", *reduction);
    out.word("projection", *projection);
    // Written as true it claims that there is one to keep, which the default does not.
    if keep_projection.span.is_some() || !keep_projection.value {
        out.plain("keep-projection", keep_projection.value);
    }
    out.plain("teacher-dropout", teacher_dropout);
}

fn write_gate(out: &mut Writer, gate: GateRule) {
    match gate {
        GateRule::Auto => out.string("gate", "auto"),
        GateRule::Off => out.string("gate", "off"),
        GateRule::AtLeast(least) => out.float("gate", least),
    }
}

fn write_scoring(out: &mut Writer, eval_interval: u64, keep: Keep) {
    out.plain("eval-interval", eval_interval);
    out.word("keep", keep);
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
            "task.train='a \"quoted\" \\ name'", "task.format=csv", "task.delimiter=;", "task.quoting=none",
            "task.escape=backslash", "task.text=a", "task.pair=b",
            "task.label=c", "task.labels=['x', \"y\\tz\"]", "task.max-seq-length=77",
            "teacher.head=plain", "student.head=plain", "student.num-hidden-layers=2",
            "student.hidden-size=48", "student.intermediate-size=96",
            "student.num-attention-heads=6", "student.hidden-act=relu",
            "student.hidden-dropout-prob=0.2", "student.attention-probs-dropout-prob=0",
            "student.max-position-embeddings=256", "student.initializer-range=0.3",
            "student.layer-norm-eps=1e-5",
            "student.layer-map={ attention = [1, 2], hidden = [0, 1, 2] }",
            "student.vocab-size=40000", "student.type-vocab-size=3",
            "student.use-relative-positions=true", "student.dtype=fp16",
            "stages.finetune.epochs=4", "stages.finetune.prefetch=0", "stages.finetune.batch-size=12",
            "stages.finetune.gradient-accumulation-steps=3", "stages.finetune.learning-rate=3.5e-7",
            "stages.finetune.schedule=constant", "stages.finetune.warmup-proportion=0.25",
            "stages.finetune.optimizer=adamw", "stages.finetune.adam-beta1=0.8",
            "stages.finetune.adam-beta2=0.9", "stages.finetune.adam-epsilon=1e-8",
            "stages.finetune.weight-decay=0.02", "stages.finetune.max-grad-norm=0",
            "stages.finetune.train-limit=100", "stages.finetune.log-interval=7",
            "stages.finetune.checkpoint-interval=8", "stages.finetune.checkpoint-seconds=9",
            "stages.finetune.checkpoint-keep=3", "stages.finetune.shuffle=false",
            "stages.finetune.drop-last=true", "stages.finetune.pad-to=max-seq-length",
            "stages.finetune.clipping=global", "stages.finetune.weight-decay-exempt=['bias']",
            "stages.td-phase2.schedule=polynomial", "stages.td-phase2.power=2",
            "stages.td-phase2.end-learning-rate=1e-9", "stages.td-phase2.warmup-steps=7",
            "stages.td-phase2.decay-from=warmup", "stages.td-phase2.teacher-dropout=true",
            "stages.td-phase1.warmup-epochs=0.5", "stages.td-phase1.projection=per-layer",
            "stages.td-phase1.keep-projection=true", "stages.td-phase1.teacher-dropout=true", "stages.td-phase1.gate=off",
            "stages.td-phase2.gate=0.75", "stages.td-phase2.teacher-memory=0.5", "stages.td-phase2.regression-target=teacher",
            "stages.td-phase1.attention-layer-weights=[1, 0.5]",
            "stages.general-distill.hidden-layer-weights=[1, 0, 2]",
            "recipe=mindspore", "student.initializer=normal",
            "student.embedding-initializer-range=0.03", "student.projection-initializer-range=0.04",
            "stages.finetune.eval-interval=10", "stages.finetune.keep=last",
            "stages.general-distill.corpus=['a', 'b/*']", "stages.general-distill.long-lines=truncate",
            "stages.general-distill.max-seq-length=99", "stages.general-distill.student=m/s",
            "stages.general-distill.teacher=m/t", "stages.td-phase1.attention-weight=0.5",
            "stages.td-phase1.hidden-weight=0", "stages.td-phase1.reduction=tokens",
            "stages.td-phase1.student=m/s", "stages.td-phase1.teacher=finetune",
            "stages.td-phase2.temperature=2", "stages.td-phase2.soft-loss-reduction=batch",
            "stages.td-phase2.hard-label-weight=0.5", "stages.td-phase2.soft-loss-weight=0.5",
            "stages.td-phase1.seed=3", "stages.td-phase2.eval-interval=3",
            "stages.td-phase2.keep=last", "stages.td-phase2.student=general-distill",
            "stages.td-phase2.teacher=td-phase1", "stages.eval.batch-size=8",
            "goal={ \"custom.accuracy\" = 0.9 }", "stages.eval.student=td-phase2", "stages.eval.teacher=m/t",
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
    fn both_dev_tables_of_mnli_survive() {
        let text = MINIMAL.replace("custom", "mnli");
        let set = "task.dev-mismatched=mm.tsv";
        let experiment = read_with(&text, &[set]).unwrap();
        assert!(to_toml(&experiment).contains("dev-mismatched = \"mm.tsv\""));
        assert_reads_as_the_same(&experiment);
    }

    #[test]
    fn a_given_student_and_a_dev_fraction_survive() {
        let text = MINIMAL.replace("dev = \"dev.tsv\"", "dev-fraction = 0.1");
        let sets = ["student.model=models/small", "student.layer-map=top"];
        assert_reads_as_the_same(&read_with(&text, &sets).unwrap());
    }
}
