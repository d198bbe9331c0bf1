//! What counts: the settings and inputs that a stage's result depends on
//! (docs/concepts/fingerprints.md).
//!
//! | value | counts? |
//! |---|---|
//! | stage kind and its semantics version | yes |
//! | every key that is declared as `counts`, after defaults; the layer map as resolved | yes |
//! | seed, for stages that draw from it; precision as written, for stages that train | yes |
//! | input files: names relative to their root, and the digest of their bytes | yes |
//! | artifacts of earlier stages that are read: the digest of their bytes | yes |
//! | keys that are declared as `recorded`, such as `device` and `log-interval` | no |
//! | the experiment's name, absolute paths, times, tinyrun's own version | no |
//! | defaults spelled out, the order of keys, spellings such as `1e-4` and `0.0001` | no |
//!
//! A key of a stage's own table counts for that stage. What is decided here is which keys of the
//! other tables count for it.

use std::collections::BTreeMap;

use super::graph::Node;
use crate::experiment::{
    Corpus, Experiment, Keep, Models, Origin, Scoring, Settings, StageName, StudentShape,
};
use crate::job::{Metric, Precision, WeightDtype, Word};
use crate::runs::Value;

/// Version of what a stage kind does. Bump it when the same settings and inputs come to
/// mean another result, and say why:
///
/// * 1: the first.
pub(super) fn semantics(stage: StageName) -> u32 {
    match stage {
        // 2: `labels` of a task of GLUE in another order are another order of its classes.
        StageName::DataPrep => 2,
        StageName::CorpusPrep
        | StageName::Finetune
        | StageName::GeneralDistill
        | StageName::TdPhase1
        | StageName::TdPhase2
        | StageName::Eval => 1,
    }
}

/// Settings that count for a stage, under their keys in the experiment file: those of the
/// stage's own table by name, the others with their table.
pub(super) fn settings(
    experiment: &Experiment,
    node: &Node,
    models: &Models,
) -> BTreeMap<String, Value> {
    let mut found = Counted {
        experiment,
        node,
        settings: BTreeMap::new(),
    };
    let stages = &experiment.stages;
    match node.stage {
        StageName::DataPrep => {
            found.add("", &stages.data_prep);
            found.add("task.", &experiment.task);
        }
        StageName::CorpusPrep => {
            if let Some(stage) = &stages.general_distill {
                found.add("", &stage.corpus);
            }
        }
        StageName::Finetune => {
            if let Some(stage) = &stages.finetune {
                found.trained(stage);
                found.teacher();
                found.selection(&stage.scoring, WeightDtype::Fp32);
            }
        }
        StageName::GeneralDistill => {
            if let Some(stage) = &stages.general_distill {
                found.trained(stage);
                // In the artifact of corpus-prep.
                for key in Corpus::names() {
                    found.settings.remove(key);
                }
                found.student();
                found.layer_map(models);
            }
        }
        StageName::TdPhase1 => {
            if let Some(stage) = &stages.td_phase1 {
                found.trained(stage);
                found.student();
                found.layer_map(models);
            }
        }
        StageName::TdPhase2 => {
            if let Some(stage) = &stages.td_phase2 {
                found.trained(stage);
                found.student();
                found.teacher();
                found.selection(&stage.scoring, experiment.student.dtype);
            }
        }
        StageName::Eval => {
            if let Some(stage) = &stages.eval {
                // Scores are computed in fp32 whatever models are trained in.
                found.put("precision", Precision::Fp32.as_str());
                found.add("", stage);
                found.teacher();
                if experiment.student_of(StageName::Eval).is_some() {
                    found.student();
                }
            }
        }
    }
    found.settings
}

/// Settings that count for a stage.
struct Counted<'a> {
    experiment: &'a Experiment,
    node: &'a Node,
    settings: BTreeMap<String, Value>,
}

impl Counted<'_> {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.settings.insert(key.to_owned(), value.into());
    }

    /// Keys that count, after `table`.
    fn add(&mut self, table: &str, group: &impl Settings) {
        self.add_where(table, group, |_| true);
    }

    fn add_where(&mut self, table: &str, group: &impl Settings, counts: impl Fn(&str) -> bool) {
        for entry in group.entries() {
            if let Some(value) = entry.counted.filter(|_| counts(entry.key)) {
                self.put(&format!("{table}{}", entry.key), as_setting(value));
            }
        }
    }

    /// A stage that trains: its own table, and the keys of the top.
    fn trained(&mut self, stage: &impl Settings) {
        self.add("", self.experiment);
        self.put("seed", self.experiment.seed_of(self.node.stage));
        self.add("", stage);
    }

    fn teacher(&mut self) {
        let finetunes = self.node.stage == StageName::Finetune;
        let teacher = &self.experiment.teacher;
        self.add_where("teacher.", teacher, |key| key != "classifier" || finetunes);
    }

    /// The student of a stage: its shape only where this stage gives it random weights, since a
    /// folder or an artifact says its own.
    fn student(&mut self) {
        let (experiment, stage) = (self.experiment, self.node.stage);
        let origin = experiment.student_of(stage);
        let is_drawn = origin.is_some_and(|origin| origin.value == Origin::Random);
        let shape = StudentShape::names();
        self.add_where("student.", &experiment.student, |key| match key {
            _ if stage == StageName::Eval => key == "head",
            // The stages before phase 2 write fp32 always.
            "dtype" => stage == StageName::TdPhase2,
            "projection-initializer-range" => stage != StageName::TdPhase2,
            "embedding-initializer-range" => is_drawn,
            _ => is_drawn || !shape.contains(&key),
        });
    }

    fn layer_map(&mut self, models: &Models) {
        if let Some(map) = models.layer_maps.get(&self.node.stage) {
            self.add("student.layer-map.", map);
        }
    }

    /// How the model handed on is chosen, which is written in `dtype`.
    fn selection(&mut self, scoring: &Scoring, dtype: WeightDtype) {
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
        self.put("keep", format!("{chosen}{scored}").as_str());
    }
}

fn as_setting(value: toml::Value) -> Value {
    match value {
        toml::Value::Boolean(value) => Value::Bool(value),
        // No key takes a number below 0.
        toml::Value::Integer(value) => Value::Integer(value.unsigned_abs()),
        toml::Value::Float(value) => Value::Float(value),
        toml::Value::Array(items) => Value::List(items.into_iter().map(as_setting).collect()),
        other => Value::Text(match other {
            toml::Value::String(text) => text,
            other => other.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::graph;
    use super::*;
    use crate::experiment::check_models;
    use crate::model::BertConfig;

    const FILE: &str = r#"
        [task]
        name = "custom"
        train = "train.tsv"
        dev = "dev.tsv"
        text = "text"
        label = "label"
        [teacher]
        model = "teacher"
        [stages.finetune]
        [stages.general-distill]
        corpus = ["*.txt"]
        [stages.td-phase1]
        [stages.td-phase2]
        [stages.eval]
    "#;

    fn of(stage: StageName, overrides: &[&str]) -> BTreeMap<String, Value> {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let (experiment, _) = Experiment::read("x.toml", "x", FILE, &overrides).expect("no faults");
        let teacher: BertConfig = serde_json::from_str(
            r#"{"vocab_size": 100, "hidden_size": 24, "num_hidden_layers": 4,
                "num_attention_heads": 12, "intermediate_size": 48,
                "max_position_embeddings": 512}"#,
        )
        .expect("a config");
        let folders = BTreeMap::from([("teacher", &teacher)]);
        let models = check_models(&experiment, &folders).expect("no faults");
        let nodes = graph(&experiment);
        let node = nodes.iter().find(|node| node.stage == stage);
        settings(&experiment, node.expect("in the graph"), &models)
    }

    fn changes(stage: StageName, overrides: &[&str]) -> bool {
        of(stage, overrides) != of(stage, &[])
    }

    #[test]
    fn a_key_counts_for_its_own_stage_only() {
        let key = "stages.td-phase1.epochs=7";
        for stage in StageName::ALL {
            assert_eq!(
                changes(stage, &[key]),
                stage == StageName::TdPhase1,
                "{stage}"
            );
        }
    }

    #[test]
    fn what_changes_no_result_does_not_count() {
        let keys = [
            "name=\"other\"",
            "device=\"cpu\"",
            "threads=1",
            "stages.td-phase1.log-interval=7",
            "stages.td-phase1.checkpoint-interval=7",
            "stages.td-phase1.checkpoint-seconds=7",
        ];
        for stage in StageName::ALL {
            assert!(!changes(stage, &keys), "{stage}");
        }
    }

    #[test]
    fn the_seed_counts_where_it_is_drawn_from_and_precision_where_is_trained() {
        use StageName::{CorpusPrep, DataPrep, Eval};
        for stage in StageName::ALL {
            let draws = !matches!(stage, DataPrep | CorpusPrep | Eval);
            assert_eq!(changes(stage, &["seed=7"]), draws, "{stage}");
            let trains = !matches!(stage, DataPrep | CorpusPrep | Eval);
            assert_eq!(changes(stage, &["precision=\"fp32\""]), trains, "{stage}");
        }
    }

    #[test]
    fn scores_are_in_fp32_and_results_of_fp32_keep_their_fingerprint() {
        use StageName::{Eval, Finetune, TdPhase2};
        let keep = |stage, overrides: &[&str]| of(stage, overrides).remove("keep");
        for stage in [Finetune, TdPhase2] {
            let fp32 = ["precision=\"fp32\""];
            assert_eq!(keep(stage, &fp32), Some("best".into()), "{stage}");
            assert_eq!(keep(stage, &[]), Some("best in fp32".into()), "{stage}");
            let last = format!("stages.{stage}.keep=\"last\"");
            assert_eq!(keep(stage, &[&last]), Some("last".into()), "{stage}");
        }
        // Weights that are rounded when they are written are scored as they are written.
        let rounded = ["precision=\"fp32\"", "student.dtype=\"fp16\""];
        assert_eq!(keep(TdPhase2, &rounded), Some("best in fp32".into()));
        assert_eq!(keep(Finetune, &rounded), Some("best".into()));
        let eval = of(Eval, &[]).remove("precision");
        assert_eq!(eval, Some("fp32".into()));
    }

    #[test]
    fn a_seed_of_a_stage_is_its_own_and_the_files_seed_that_of_the_others() {
        let own = "stages.td-phase1.seed=7";
        for stage in StageName::ALL {
            assert_eq!(changes(stage, &[own]), stage == StageName::TdPhase1);
        }
        // Said twice, it is the same seed.
        assert!(!changes(StageName::TdPhase1, &["stages.td-phase1.seed=42"]));
        assert!(!changes(
            StageName::TdPhase1,
            &["seed=7", "stages.td-phase1.seed=42"]
        ));
    }

    #[test]
    fn a_students_shape_counts_where_it_is_made() {
        for stage in StageName::ALL {
            let made = stage == StageName::GeneralDistill;
            let key = ["student.intermediate-size=600"];
            assert_eq!(changes(stage, &key), made, "{stage}");
        }
    }

    #[test]
    fn a_layer_map_counts_as_what_it_comes_to() {
        let same = "student.layer-map={attention=[0,1,2,3],hidden=[0,1,2,3,4]}";
        let other = "student.layer-map={attention=[0,1,2,2],hidden=[0,1,2,3,4]}";
        assert!(!changes(StageName::TdPhase1, &[same]));
        assert!(changes(StageName::TdPhase1, &[other]));
        assert!(!changes(StageName::TdPhase2, &[other]));
    }

    #[test]
    fn a_setting_is_explained_under_its_key_in_the_file() {
        // The resolved file leaves a default that would claim too much unsaid.
        let said = ["general-distill", "td-phase1"]
            .map(|stage| format!("stages.{stage}.keep-projection=true"));
        let (experiment, _) = Experiment::read("x.toml", "x", FILE, &said).expect("no faults");
        let text = crate::experiment::to_toml(&experiment);
        for stage in StageName::ALL {
            for key in of(stage, &[]).keys() {
                // A rule such as `uniform` is explained by the layers it comes to.
                let key = key
                    .strip_prefix("student.layer-map.")
                    .map_or(key.as_str(), |_| "student.layer-map");
                let name = key.rsplit('.').next().unwrap_or(key);
                let line = format!("\n{name} = ");
                assert!(text.contains(&line), "`{key}` of {stage} in:\n{text}");
            }
        }
    }

    #[test]
    fn spelling_a_default_out_changes_nothing() {
        let ones = "stages.td-phase1.attention-layer-weights=[1, 1, 1.0, 1]";
        assert!(!changes(StageName::TdPhase1, &[ones]));
        assert!(!changes(StageName::DataPrep, &["task.format=\"auto\""]));
    }
}
