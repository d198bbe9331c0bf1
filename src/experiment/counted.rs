//! Which keys of the file count for a stage. A kind chooses among the tables; within them each key
//! says for itself whether it counts.

use std::collections::BTreeMap;

use toml::Value;

use super::checkpoint_keys::names_checkpoint;
use super::declared::Entry;
use super::distill::Teaching;
use super::kind::Counts;
use super::models::Models;
use super::origin::Origin;
use super::ports::Role;
use super::predictions::learns_from_predictions;
use super::setting::Setting;
use super::settings::Settings;
use super::stage::Stage;
use super::student::StudentShape;
use super::top::Experiment;
use super::unlabelled::UnlabelledUse;
use crate::job::{Keep, Metric, Precision, Scoring, WeightDtype};

/// Settings that count for a stage, under their keys in the experiment file: those of the stage's own
/// table by name, the others with their table.
pub(crate) fn counted(
    experiment: &Experiment,
    stage: &Stage,
    models: &Models,
) -> BTreeMap<String, Value> {
    let mut found = Counted {
        experiment,
        stage,
        models,
        settings: BTreeMap::new(),
    };
    for part in stage.kind.counts() {
        found.part(part);
    }
    found.stated();
    found.without_unlabelled();
    found.without_teacher();
    found.settings
}

struct Counted<'a> {
    experiment: &'a Experiment,
    stage: &'a Stage,
    models: &'a Models,
    settings: BTreeMap<String, Value>,
}

impl Counted<'_> {
    fn part(&mut self, part: Counts) {
        let experiment = self.experiment;
        let (teacher, student) = (&experiment.teacher, &experiment.student);
        match part {
            Counts::Own => self.add("", self.stage.settings.entries()),
            Counts::Trained => {
                self.add("", experiment.entries());
                self.put("seed", experiment.seed_of(self.stage).value());
                self.add("", self.stage.settings.entries());
            }
            Counts::Without(keys) => {
                for key in keys() {
                    self.settings.remove(key);
                }
            }
            Counts::Task => self.add("task.", experiment.task.entries()),
            Counts::Vocabulary(is_counted) => {
                if is_counted(&experiment.task, &*self.stage.settings) {
                    let model = &self.models.teacher;
                    let whole = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
                    self.put("teacher.vocab-size", whole(model.vocab_size));
                    self.put("teacher.pad-token-id", whole(model.pad_token_id));
                }
            }
            Counts::Teacher => {
                if experiment.origin_of(self.stage, Role::Teacher).is_some() {
                    self.add_where("teacher.", teacher, |key| key != "classifier");
                }
            }
            Counts::AnsweredTexts => {
                if experiment.answers_unlabelled() {
                    self.put("task.teacher-predictions", "train and unlabelled");
                }
            }
            Counts::TeacherInTraining => self.add("teacher.", teacher.entries()),
            Counts::StudentHead => {
                if experiment.origin_of(self.stage, Role::Student).is_some() {
                    self.add_where("student.", student, |key| key == "head");
                }
            }
            Counts::StudentInTraining { without } => self.student_in_training(without),
            Counts::LayerMap => {
                if let Some(map) = self.models.layer_maps.get(&self.stage.name) {
                    self.add("student.layer-map.", map.entries());
                }
            }
            Counts::Selection(Role::Teacher) => self.selection(WeightDtype::Fp32),
            Counts::Selection(Role::Student) => self.selection(student.dtype),
            Counts::Fixed(key, value) => self.put(key, value),
        }
    }

    /// How a model is run does not matter to a stage that learns from answers in files.
    fn without_teacher(&mut self) {
        if learns_from_predictions(&self.experiment.task, &*self.stage.settings) {
            for key in Teaching::names() {
                self.settings.remove(key);
            }
        }
    }

    /// How much unlabelled text is used does not matter to a stage that uses none.
    fn without_unlabelled(&mut self) {
        if UnlabelledUse::of_stage(&self.experiment.task, self.stage).is_none() {
            for key in UnlabelledUse::names() {
                self.settings.remove(key);
            }
        }
    }

    /// What is stated of the models that the stage takes.
    fn stated(&mut self) {
        let experiment = self.experiment;
        for (port, origin) in experiment.models_of(self.stage) {
            let role = port.of;
            let mut stated = experiment.stated_as(role, origin.value);
            if role == Role::Student && !self.counts_dropouts() {
                stated = stated.without_dropouts();
            }
            if let Ok(Value::Table(stated)) = Value::try_from(stated) {
                for (key, value) in stated {
                    let key = key.replace('_', "-");
                    self.put(&format!("{}.{key}", port.role()), value);
                }
            }
        }
    }

    /// Whether the dropouts of the student that the stage takes count. A stage that only reads it does not need them,
    /// but those of a checkpoint have always counted.
    fn counts_dropouts(&self) -> bool {
        let Some(origin) = self.experiment.origin_of(self.stage, Role::Student) else {
            return true;
        };
        let is_checkpoint =
            matches!(origin.value.whole(), Origin::Folder(path) if names_checkpoint(&path));
        is_checkpoint || self.stage.makes_model_of() == Some(Role::Student)
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.settings.insert(key.to_owned(), value.into());
    }

    /// Keys that count, after the name of their `table`.
    fn add(&mut self, table: &str, entries: Vec<Entry>) {
        for entry in entries {
            if let Some(value) = entry.counted {
                self.put(&format!("{table}{}", entry.key), value);
            }
        }
    }

    fn add_where(&mut self, table: &str, group: &impl Settings, counts: impl Fn(&str) -> bool) {
        let mut entries = group.entries();
        entries.retain(|entry| counts(entry.key));
        self.add(table, entries);
    }

    /// Its shape counts only where this stage gives it random weights, since a folder or an artifact
    /// says its own.
    fn student_in_training(&mut self, without: &str) {
        let experiment = self.experiment;
        let origin = experiment.origin_of(self.stage, Role::Student);
        let is_drawn = origin.is_some_and(|origin| origin.value == Origin::Random);
        let shape = StudentShape::names();
        self.add_where("student.", &experiment.student, |key| match key {
            _ if key == without => false,
            "embedding-initializer-range" => is_drawn,
            _ => is_drawn || !shape.contains(&key),
        });
        // Random weights in the shape of a model, which no key states.
        if is_drawn && experiment.student.model.is_some() {
            let drawn = &self.models.student;
            let text = drawn.to_json(false, &[]).to_string();
            self.put("student.drawn", text);
        }
    }

    /// How the model handed on is chosen, which is written in `dtype`.
    fn selection(&mut self, dtype: WeightDtype) {
        let scoring: &Scoring = self.stage.keys();
        if scoring.keep == Keep::Last {
            return;
        }
        let chosen = match self.experiment.task.metric() {
            Metric::MatthewsCorr => "best by matthews_corr",
            Metric::Correlation => "best by correlation",
            Metric::Accuracy => "best",
        };
        // Scores in fp32 of the written weights may not be those of the model in training: versions
        // that scored dev in the format of training may have kept the model of another epoch.
        let as_trained = self.experiment.precision == Precision::Fp32 && dtype == WeightDtype::Fp32;
        let scored = if as_trained { "" } else { " in fp32" };
        self.put("keep", format!("{chosen}{scored}"));
    }
}
