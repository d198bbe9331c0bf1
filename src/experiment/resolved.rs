//! The experiment file with every default written out.

use std::collections::BTreeMap;

use toml::Value;

use super::declared::Entry;
use super::settings::Settings;
use super::stages;
use super::top::Experiment;

/// A table and the keys that are written there.
pub(super) type Written = (String, Vec<(String, Value)>);

/// The file as resolved: it reads as the same experiment, whatever later defaults are.
pub fn to_toml(experiment: &Experiment) -> String {
    let mut text = String::new();
    for (path, keys) in tables(experiment) {
        if !path.is_empty() {
            text.extend(["\n[", &path, "]\n"]);
        }
        for (key, value) in keys {
            text.extend([key.as_str(), " = ", &in_toml(&value), "\n"]);
        }
    }
    text
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
            Value::Table(inner) => flatten(&whole, inner, found),
            value => {
                found.insert(whole, value.to_string());
            }
        }
    }
}

/// Every table in the order of the file.
pub(super) fn tables(experiment: &Experiment) -> Vec<Written> {
    let mut tables = vec![
        (String::new(), written(experiment.entries())),
        ("task".to_owned(), written(experiment.task.entries())),
    ];
    if experiment.has_teacher() {
        tables.push(("teacher".to_owned(), written(experiment.teacher.entries())));
    }
    tables.push(("student".to_owned(), written(experiment.student.entries())));
    let stages = experiment.stages.iter().filter(|stage| stage.has_table);
    tables.extend(stages.map(|stage| {
        let path = format!("stages.{}", stage.name);
        (path, written(stages::entries(stage)))
    }));
    if !experiment.goals.is_empty() {
        let goals = experiment.goals.iter();
        let goals = goals.map(|goal| (in_toml(&goal.name.as_str().into()), goal.at_least.into()));
        tables.push(("goal".to_owned(), goals.collect()));
    }
    tables
}

fn written(entries: Vec<Entry>) -> Vec<(String, Value)> {
    let entries = entries.into_iter();
    entries
        .filter_map(|entry| Some((entry.key.to_owned(), entry.written?)))
        .collect()
}

/// A value as TOML, a number with the shortest digits that read as the same.
pub(crate) fn in_toml(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{number:?}"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(in_toml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let keys = table.iter();
            let keys: Vec<String> = keys
                .map(|(key, value)| format!("{key} = {}", in_toml(value)))
                .collect();
            format!("{{ {} }}", keys.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, pipeline, read, read_with};
    use super::*;
    use crate::kinds::KINDS;

    fn assert_reads_as_the_same(experiment: &Experiment) {
        let text = to_toml(experiment);
        let again = Experiment::read(KINDS, "y.toml", "y", &text, &[]);
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
            "stages.td-phase2.teachers=['finetune', 'm/t']", "stages.td-phase2.teacher-weights=[1, 2]",
            "stages.td-phase2.teacher-mean=probabilities", "stages.eval.batch-size=8",
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
