//! A model folder, opened and checked as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config::BertConfig;
use super::error::ModelError;
use super::mismatch::{MatchReport, Names, match_weights};
use super::names::{WORDS, expected_classifier, expected_encoder, in_layer, layer_tensor};
use super::open_model::{Opened, open_model};
use super::stated::Stated;
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
    let opened = open_model(path, stated)?;
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
mod tests;
