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
//! A key of a stage's own table counts for that stage. Which keys of the other tables count for it,
//! its kind says (`src/kinds/`).

use std::collections::BTreeMap;

use crate::experiment::{Experiment, Models, Stage, counted};
use crate::runs::Value;

/// Settings that count for a stage, under their keys in the experiment file.
pub(super) fn settings(
    experiment: &Experiment,
    stage: &Stage,
    models: &Models,
) -> BTreeMap<String, Value> {
    let counted = counted(experiment, stage, models).into_iter();
    counted
        .map(|(key, value)| (key, as_setting(value)))
        .collect()
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
    use super::*;
    use crate::experiment::check_models;
    use crate::kinds::KINDS;
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
        [stages.export]
    "#;

    fn of(stage: &str, overrides: &[&str]) -> BTreeMap<String, Value> {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let (experiment, _) =
            Experiment::read(KINDS, "x.toml", "x", FILE, &overrides).expect("no faults");
        let teacher: BertConfig = serde_json::from_str(
            r#"{"vocab_size": 100, "hidden_size": 24, "num_hidden_layers": 4,
                "num_attention_heads": 12, "intermediate_size": 48,
                "max_position_embeddings": 512}"#,
        )
        .expect("a config");
        let folders = BTreeMap::from([("teacher", &teacher)]);
        let models = check_models(&experiment, &folders).expect("no faults");
        let stage = experiment.stages.get(stage);
        settings(&experiment, stage.expect("in the file"), &models)
    }

    fn changes(stage: &str, overrides: &[&str]) -> bool {
        of(stage, overrides) != of(stage, &[])
    }

    #[test]
    fn a_key_counts_for_its_own_stage_only() {
        let key = "stages.td-phase1.epochs=7";
        for stage in KINDS.names() {
            assert_eq!(changes(stage, &[key]), stage == "td-phase1", "{stage}");
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
        for stage in KINDS.names() {
            assert!(!changes(stage, &keys), "{stage}");
        }
    }

    #[test]
    fn the_seed_counts_where_it_is_drawn_from_and_precision_where_is_trained() {
        for stage in KINDS.names() {
            let trains = !["data-prep", "corpus-prep", "eval", "export"].contains(&stage);
            assert_eq!(changes(stage, &["seed=7"]), trains, "{stage}");
            assert_eq!(changes(stage, &["precision=\"fp32\""]), trains, "{stage}");
        }
    }

    #[test]
    fn scores_are_in_fp32_and_results_of_fp32_keep_their_fingerprint() {
        let keep = |stage, overrides: &[&str]| of(stage, overrides).remove("keep");
        for stage in ["finetune", "td-phase2"] {
            let fp32 = ["precision=\"fp32\""];
            assert_eq!(keep(stage, &fp32), Some("best".into()), "{stage}");
            assert_eq!(keep(stage, &[]), Some("best in fp32".into()), "{stage}");
            let last = format!("stages.{stage}.keep=\"last\"");
            assert_eq!(keep(stage, &[&last]), Some("last".into()), "{stage}");
        }
        // Weights that are rounded when they are written are scored as they are written.
        let rounded = ["precision=\"fp32\"", "student.dtype=\"fp16\""];
        assert_eq!(keep("td-phase2", &rounded), Some("best in fp32".into()));
        assert_eq!(keep("finetune", &rounded), Some("best".into()));
        let eval = of("eval", &[]).remove("precision");
        assert_eq!(eval, Some("fp32".into()));
    }

    #[test]
    fn a_seed_of_a_stage_is_its_own_and_the_files_seed_that_of_the_others() {
        let own = "stages.td-phase1.seed=7";
        for stage in KINDS.names() {
            assert_eq!(changes(stage, &[own]), stage == "td-phase1");
        }
        // Said twice, it is the same seed.
        assert!(!changes("td-phase1", &["stages.td-phase1.seed=42"]));
        assert!(!changes(
            "td-phase1",
            &["seed=7", "stages.td-phase1.seed=42"]
        ));
    }

    #[test]
    fn a_students_shape_counts_where_it_is_made() {
        for stage in KINDS.names() {
            let made = stage == "general-distill";
            let key = ["student.intermediate-size=600"];
            assert_eq!(changes(stage, &key), made, "{stage}");
        }
    }

    #[test]
    fn a_layer_map_counts_as_what_it_comes_to() {
        let same = "student.layer-map={attention=[0,1,2,3],hidden=[0,1,2,3,4]}";
        let other = "student.layer-map={attention=[0,1,2,2],hidden=[0,1,2,3,4]}";
        assert!(!changes("td-phase1", &[same]));
        assert!(changes("td-phase1", &[other]));
        assert!(!changes("td-phase2", &[other]));
    }

    #[test]
    fn a_setting_is_explained_under_its_key_in_the_file() {
        // The resolved file leaves a default that would claim too much unsaid.
        let said = ["general-distill", "td-phase1"]
            .map(|stage| format!("stages.{stage}.keep-projection=true"));
        let (experiment, _) =
            Experiment::read(KINDS, "x.toml", "x", FILE, &said).expect("no faults");
        let text = crate::experiment::to_toml(&experiment);
        for stage in KINDS.names() {
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
        assert!(!changes("td-phase1", &[ones]));
        assert!(!changes("data-prep", &["task.format=\"auto\""]));
    }

    /// What counts for a stage of each kind under each recipe, as a fingerprint of the settings alone.
    /// A change here re-runs what users have done: it needs a reason in the changelog.
    #[test]
    fn what_counts_is_what_counted_before() {
        let mut found = String::new();
        for recipe in ["paper", "huawei", "mindspore"] {
            for precision in ["auto", "fp32"] {
                let sets = [
                    format!("recipe={recipe}"),
                    format!("precision={precision}"),
                    "student.layer-map={attention=[0,1,2,3],hidden=[0,1,2,3,4]}".to_owned(),
                ];
                let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
                for kind in KINDS.iter() {
                    let (kind, semantics) = (kind.name(), kind.semantics());
                    let key = crate::runs::Key {
                        kind: kind.to_string(),
                        semantics,
                        settings: of(kind, &sets),
                        inputs: BTreeMap::new(),
                        upstream: BTreeMap::new(),
                    };
                    let fingerprint = key.fingerprint();
                    found.extend([recipe, " ", precision, " ", kind, " "]);
                    found.extend([fingerprint.as_str(), "\n"]);
                }
            }
        }
        assert_eq!(found, include_str!("fingerprints_before.txt"));
    }
}
