//! A model folder, opened and checked as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::config::BertConfig;
use super::error::ModelError;
use super::names::{MatchReport, canonical, expected_classifier, expected_encoder, match_weights};
use super::weights::Weights;

/// A BERT whose `config.json` and weights agree. No tensor has been read yet.
#[derive(Debug)]
pub struct LoadedModel {
    /// The folder.
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

/// Opens a model folder and checks its weights against its `config.json`, by name and shape.
///
/// A pre-trained model without classifier or pooler passes; see
/// [`LoadedModel::require_classifier`].
///
/// # Errors
/// A file is missing or damaged, or the two contradict each other: then every missing,
/// unexpected and misshapen tensor is in the one error.
pub fn load_model(folder: &Path) -> Result<LoadedModel, ModelError> {
    let config = BertConfig::read(folder)?;
    let weights = Weights::open(folder)?;

    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut ambiguous = Vec::new();
    for found in weights.names() {
        let Some(name) = canonical(found) else {
            continue;
        };
        if names.insert(name.clone(), found.to_owned()).is_some() {
            ambiguous.push(name);
        }
    }
    let weights = weights.renamed(&names);

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
        None => (expected_encoder(&config), &["bert.pooler"]),
    };
    let mut report = match_weights(&weights.shapes(), &expected, optional);
    report.ambiguous = ambiguous;
    report.not_floats = expected
        .keys()
        .filter_map(|name| Some((name, weights.dtype(name)?)))
        .filter(|(_, dtype)| !dtype.is_float())
        .map(|(name, dtype)| (name.clone(), dtype.to_string()))
        .collect();
    if !report.is_match() {
        return Err(ModelError::Mismatch {
            folder: folder.to_owned(),
            report: Box::new(report),
        });
    }
    Ok(LoadedModel {
        folder: folder.to_owned(),
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
                missing: vec!["classifier.bias".to_owned(), "classifier.weight".to_owned()],
                ..MatchReport::default()
            }),
        })
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
