//! A model folder, opened and checked as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config::BertConfig;
use super::error::ModelError;
use super::mindspore;
use super::mismatch::{MatchReport, Names, match_weights};
use super::names::{
    WORDS, canonical, expected_classifier, expected_encoder, in_layer, layer_tensor,
};
use super::stated::Stated;
use super::tensor::Dtype;
use super::tensorflow::find_index;
use super::tensorflow_names;
use super::weights::Weights;

/// A model whose `config.json` and weights agree. No tensor has been read yet.
#[derive(Debug)]
pub struct LoadedModel {
    /// The folder, or the checkpoint.
    pub folder: PathBuf,
    /// Its shape.
    pub config: BertConfig,
    /// Its tensors under the names of [`expected_classifier`], and those of a student's
    /// projections; all of the expected ones hold floats.
    pub weights: Weights,
    /// Whether the pooler is among them.
    pub has_pooler: bool,
    /// Classes of the classifier; `None` where there is none.
    pub num_labels: Option<usize>,
    /// Stems of the student's projections in the folder: `fit_dense`, `fit_denses.0`.
    pub projections: Vec<String>,
}

/// Opens a model folder and checks its weights against its `config.json`, by name and shape; or a
/// checkpoint of MindSpore, whose shape is that of its tensors.
///
/// A pre-trained model without classifier or pooler passes; see
/// [`LoadedModel::require_classifier`].
///
/// # Errors
/// A file is missing or damaged, or the two contradict each other: then every missing,
/// unexpected and misshapen tensor is in the one error.
pub fn load_model(folder: &Path) -> Result<LoadedModel, ModelError> {
    load_stated(folder, &Stated::default())
}

/// As [`load_model`], for a model of which something is `stated` beside its path. Where layers are stated, it is the
/// model of these layers, with all else of the model in the files.
///
/// # Errors
/// As [`load_model`]; a layer that the model does not have.
pub fn load_stated(path: &Path, stated: &Stated) -> Result<LoadedModel, ModelError> {
    let opened = if path.is_file() {
        open_mindspore(path, stated)?
    } else if is_tensorflow(path) {
        open_tensorflow(path)?
    } else {
        open_folder(path)?
    };
    let mut model = check(path, opened)?;
    if !stated.layers.is_empty() {
        let names = keep_layers(&model, &stated.layers)?;
        model.weights = model.weights.renamed(&names);
        // Those of each hidden state would be others' now.
        model.projections.clear();
    }
    if let Some(tokens) = &stated.tokens {
        model.weights = model.weights.with_rows(WORDS, &tokens.rows);
    }
    stated.reshape(&mut model.config);
    Ok(model)
}

/// The tensors of a model of some of its layers, by their new names.
fn keep_layers(
    model: &LoadedModel,
    layers: &[usize],
) -> Result<BTreeMap<String, String>, ModelError> {
    let there = model.config.num_hidden_layers;
    if let Some(layer) = layers.iter().copied().find(|layer| *layer >= there) {
        return Err(ModelError::NoLayer {
            folder: model.folder.clone(),
            layer,
            layers: there,
        });
    }
    let mut names = BTreeMap::new();
    for found in model.weights.names() {
        match in_layer(found) {
            Some((layer, rest)) => {
                let places = layers.iter().enumerate();
                for (place, _) in places.filter(|(_, kept)| **kept == layer) {
                    names.insert(layer_tensor(place, rest), found.to_owned());
                }
            }
            None if found.starts_with("fit_dense") => {}
            None => {
                names.insert(found.to_owned(), found.to_owned());
            }
        }
    }
    Ok(names)
}

/// Shape and settings of a model, as [`load_stated`] finds them, without a look at all tensors.
///
/// # Errors
/// A file is missing or damaged.
pub fn read_config(path: &Path, stated: &Stated) -> Result<BertConfig, ModelError> {
    let mut config = if path.is_file() {
        open_mindspore(path, stated)?.config
    } else if is_tensorflow(path) {
        read_bert_config(path)?
    } else {
        BertConfig::read(path)?
    };
    stated.reshape(&mut config);
    Ok(config)
}

/// A model whose tensors have their names here, and have not been compared with its shape.
struct Opened {
    config: BertConfig,
    weights: Weights,
    ambiguous: Vec<String>,
    names: Names,
}

fn open_folder(folder: &Path) -> Result<Opened, ModelError> {
    let config = BertConfig::read(folder)?;
    let weights = Weights::open(folder)?;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut ambiguous = Vec::new();
    for found in weights.names() {
        let Some(name) = canonical(found, config.family) else {
            continue;
        };
        if names.insert(name.clone(), found.to_owned()).is_some() {
            ambiguous.push(name);
        }
    }
    Ok(Opened {
        config,
        weights: weights.renamed(&names),
        ambiguous,
        names: Names::Family,
    })
}

/// `bert_config.json` of a folder of Google's.
const BERT_CONFIG: &str = "bert_config.json";

/// Whether a folder is one of Google's: with settings of their name, or none and an index of
/// TensorFlow's, and without weights that `transformers` opens.
pub fn is_tensorflow(folder: &Path) -> bool {
    let others = ["model.safetensors", "pytorch_model.bin"];
    let has = |name: &str| folder.join(name).exists();
    // Without its settings such a folder is Google's all the same, so that they are missed by name.
    let is_bare = || !has("config.json") && !matches!(find_index(folder), Ok(None));
    (has(BERT_CONFIG) || is_bare()) && !others.into_iter().any(has)
}

/// The settings of a folder of Google's. Their files do not say which GELU it is: it is the exact
/// one.
fn read_bert_config(folder: &Path) -> Result<BertConfig, ModelError> {
    BertConfig::read_file(&folder.join(BERT_CONFIG))
}

fn open_tensorflow(folder: &Path) -> Result<Opened, ModelError> {
    let config = read_bert_config(folder)?;
    let weights = Weights::open(folder)?;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut ambiguous = Vec::new();
    for own in weights.names() {
        let Some(name) = tensorflow_names::canonical(own) else {
            continue;
        };
        // Counters of training.
        let is_float = weights.dtype(own).is_some_and(Dtype::is_float);
        let is_counter = !is_float || weights.shape(own) == Some(&[]);
        if is_counter && !name.starts_with("bert.") {
            continue;
        }
        if names.insert(name.clone(), own.to_owned()).is_some() {
            ambiguous.push(name);
        }
    }
    Ok(Opened {
        config,
        weights: weights.renamed(&names),
        ambiguous,
        names: Names::TensorFlow,
    })
}

fn open_mindspore(path: &Path, stated: &Stated) -> Result<Opened, ModelError> {
    let weights = Weights::open(path)?;
    let found = mindspore::renamed(&weights)?;
    let positions = weights
        .names()
        .find(|name| name.contains("full_position_embedding"))
        .and_then(|name| weights.shape(name)?.first().copied());
    let weights = weights.renamed(&found.names);
    Ok(Opened {
        config: mindspore::config(&weights, positions, stated)?,
        weights,
        ambiguous: found.ambiguous,
        names: Names::MindSpore(found.naming),
    })
}

fn check(path: &Path, opened: Opened) -> Result<LoadedModel, ModelError> {
    let Opened {
        config,
        weights,
        ambiguous,
        names,
    } = opened;
    // The number of labels that a config.json without names of labels leaves open is the
    // classifier's own.
    let rows = weights
        .shape("classifier.weight")
        .and_then(|shape| shape.first().copied());
    let num_labels = match config.id2label.len() {
        0 => rows,
        labels => rows.map(|_| labels),
    };
    let (expected, optional): (_, &[&str]) = match num_labels {
        Some(num_labels) => (expected_classifier(&config, num_labels), &[]),
        // Every network of MindSpore has a pooler, and writes it behind its layers: without it the
        // checkpoint is cut off.
        None if matches!(names, Names::MindSpore(_)) => (expected_encoder(&config), &[]),
        None => (expected_encoder(&config), &["bert.pooler"]),
    };
    let mut report = match_weights(&weights.shapes(), &expected, optional);
    report.family = config.family;
    report.ambiguous = ambiguous;
    report.names = names;
    report.not_floats = expected
        .keys()
        .filter_map(|name| Some((name, weights.dtype(name)?)))
        .filter(|(_, dtype)| !dtype.is_float())
        .map(|(name, dtype)| (name.clone(), dtype.to_string()))
        .collect();
    if !report.is_match() {
        return Err(ModelError::Mismatch {
            folder: path.to_owned(),
            report: Box::new(report),
        });
    }
    Ok(LoadedModel {
        folder: path.to_owned(),
        config,
        weights,
        has_pooler: report.absent.is_empty(),
        num_labels,
        projections: report.projections,
    })
}

impl LoadedModel {
    /// Whether there is a classifier.
    pub fn has_classifier(&self) -> bool {
        self.num_labels.is_some()
    }

    /// Classes of the classifier, for work that needs one.
    ///
    /// # Errors
    /// The model has no classifier.
    pub fn require_classifier(&self) -> Result<usize, ModelError> {
        self.num_labels.ok_or_else(|| ModelError::Mismatch {
            folder: self.folder.clone(),
            report: Box::new(MatchReport {
                family: self.config.family,
                missing: vec!["classifier.bias".to_owned(), "classifier.weight".to_owned()],
                ..MatchReport::default()
            }),
        })
    }

    /// Tokens of the longest input, as `transformers` reads a folder: as many as the model has
    /// positions, or fewer where `tokenizer_config.json` says so.
    pub fn longest_input(&self) -> usize {
        let positions = self.config.longest_input();
        let text = fs::read(self.folder.join("tokenizer_config.json")).unwrap_or_default();
        let config: Value = serde_json::from_slice(&text).unwrap_or_default();
        let stated = config["model_max_length"].as_u64().filter(|it| *it > 0);
        let stated = stated.and_then(|it| usize::try_from(it).ok());
        stated.map_or(positions, |stated| positions.min(stated))
    }

    /// Parameters of encoder and classifier, projections left out.
    pub fn num_parameters(&self) -> usize {
        self.weights
            .shapes()
            .iter()
            .filter(|(name, _)| !name.starts_with("fit_dense"))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;
    use crate::model::{WeightDtype, write_safetensors};

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(name)
    }

    /// The teacher of the fixtures with other values in its `config.json`, and with those of
    /// its tensors that `keep` keeps.
    fn changed(values: &[(&str, Value)], keep: impl Fn(&str) -> bool) -> TempDir {
        let folder = TempDir::new().unwrap();
        let text = fs::read_to_string(fixture("bert-tiny/config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        for (key, value) in values {
            config[*key] = value.clone();
        }
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let weights = Weights::open(&fixture("bert-tiny")).unwrap();
        let tensors = weights.names().filter(|name| keep(name)).map(|name| {
            let tensor = weights.tensor(name).unwrap();
            (name, tensor.shape, tensor.bytes)
        });
        write_safetensors(
            &folder.path().join("model.safetensors"),
            WeightDtype::Fp32,
            tensors,
            &BTreeMap::new(),
        )
        .unwrap();
        folder
    }

    /// The bytes of one tensor.
    fn bytes(model: &LoadedModel, name: &str) -> Vec<u8> {
        model.weights.tensor(name).unwrap().bytes.to_vec()
    }

    #[test]
    fn a_model_of_some_layers_has_their_tensors_and_all_that_is_no_layers() {
        let whole = load_model(&fixture("bert-tiny")).unwrap();
        let stated = Stated {
            layers: vec![2, 0],
            hidden_dropout_prob: Some(0.25),
            ..Stated::default()
        };
        let cut = load_stated(&fixture("bert-tiny"), &stated).unwrap();
        assert_eq!(cut.config.num_hidden_layers, 2);
        assert_eq!(cut.config.hidden_dropout_prob.to_string(), "0.25");
        assert_eq!(cut.num_labels, whole.num_labels);
        let expected = expected_classifier(&cut.config, 3);
        assert!(cut.weights.names().eq(expected.keys().map(String::as_str)));
        for (own, of) in [(0, 2), (1, 0)] {
            let tensor = |layer| format!("bert.encoder.layer.{layer}.attention.self.key.weight");
            assert_eq!(bytes(&cut, &tensor(own)), bytes(&whole, &tensor(of)));
        }
        for name in [
            "classifier.weight",
            "bert.embeddings.word_embeddings.weight",
        ] {
            assert_eq!(bytes(&cut, name), bytes(&whole, name));
        }
        let read = read_config(&fixture("bert-tiny"), &stated).unwrap();
        assert_eq!(read, cut.config);
    }

    #[test]
    fn a_layer_that_the_model_does_not_have_is_named() {
        let stated = Stated {
            layers: vec![0, 9],
            ..Stated::default()
        };
        let error = load_stated(&fixture("bert-tiny"), &stated).unwrap_err();
        assert!(error.to_string().contains("has no layer 9"), "{error}");
    }

    fn report(folder: &TempDir) -> MatchReport {
        match load_model(folder.path()) {
            Err(ModelError::Mismatch { report, .. }) => *report,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_forms_of_the_same_model_load_alike() {
        let new = load_model(&fixture("bert-tiny")).unwrap();
        let old = load_model(&fixture("bert-tiny-bin")).unwrap();
        assert_eq!(new.weights.shapes(), old.weights.shapes());
        for model in [new, old] {
            assert!(model.has_pooler);
            assert_eq!(model.num_labels, Some(3));
            assert_eq!(model.config.labels(), ["negative", "neutral", "positive"]);
        }
    }

    #[test]
    fn a_students_projection_is_reported_and_not_counted() {
        let student = load_model(&fixture("bert-student")).unwrap();
        assert_eq!(student.projections, ["fit_dense"]);
        assert_eq!(
            student.weights.shape("fit_dense.weight"),
            Some(&[24, 20][..])
        );
        let expected: usize = expected_classifier(&student.config, 3)
            .values()
            .map(|shape| shape.iter().product::<usize>())
            .sum();
        assert_eq!(student.num_parameters(), expected);
    }

    #[test]
    fn a_pre_trained_model_without_pooler_and_classifier_loads() {
        let folder = changed(&[("id2label", json!({}))], |name| {
            !name.starts_with("classifier") && !name.contains("pooler")
        });
        let model = load_model(folder.path()).unwrap();
        assert!(!model.has_pooler && !model.has_classifier());
        let error = model.require_classifier().unwrap_err().to_string();
        assert!(error.contains("`classifier.weight`"), "{error}");
    }

    #[test]
    fn a_classifier_without_its_pooler_lacks_it() {
        let folder = changed(&[], |name| !name.contains("pooler"));
        assert_eq!(
            report(&folder).missing,
            ["bert.pooler.dense.bias", "bert.pooler.dense.weight"]
        );
    }

    #[test]
    fn a_config_that_contradicts_the_weights_is_answered_with_every_tensor() {
        let folder = changed(
            &[("num_hidden_layers", json!(4)), ("vocab_size", json!(65))],
            |_| true,
        );
        let found = report(&folder);
        assert_eq!(found.missing.len(), 16);
        assert_eq!(found.misshapen.len(), 1);
        assert_eq!(
            found.misshapen[0].name,
            "bert.embeddings.word_embeddings.weight"
        );
        assert_eq!(found.misshapen[0].expected, [65, 24]);

        let folder = changed(&[("num_hidden_layers", json!(2))], |_| true);
        assert_eq!(report(&folder).unexpected.len(), 16);

        let folder = changed(&[("id2label", json!({"0": "no", "1": "yes"}))], |_| true);
        assert_eq!(report(&folder).misshapen.len(), 2);
    }

    #[test]
    fn a_tensor_under_two_spellings_is_ambiguous() {
        let folder = changed(&[], |_| true);
        let weights = Weights::open(folder.path()).unwrap();
        let twice: Vec<_> = ["classifier.bias", "module.classifier.bias"]
            .into_iter()
            .map(|name| {
                (
                    name,
                    vec![3],
                    weights.tensor("classifier.bias").unwrap().bytes,
                )
            })
            .chain(
                weights
                    .names()
                    .filter(|name| *name != "classifier.bias")
                    .map(|name| {
                        let tensor = weights.tensor(name).unwrap();
                        (name, tensor.shape, tensor.bytes)
                    }),
            )
            .collect();
        write_safetensors(
            &folder.path().join("model.safetensors"),
            WeightDtype::Fp32,
            twice,
            &BTreeMap::new(),
        )
        .unwrap();
        assert_eq!(report(&folder).ambiguous, ["classifier.bias"]);
    }
}
