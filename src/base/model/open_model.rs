//! The files of a model, opened: its settings, and its tensors under their names here.

use std::path::Path;

use super::config::BertConfig;
use super::error::ModelError;
use super::mindspore;
use super::mismatch::Names;
use super::names::canonical;
use super::open_weights::WEIGHTS_FILES;
use super::renaming::Renaming;
use super::stated::Stated;
use super::tensor::Dtype;
use super::tensorflow::find_index;
use super::tensorflow_names;
use super::weights::Weights;

/// `bert_config.json` of a folder of Google's.
const BERT_CONFIG: &str = "bert_config.json";

/// A model whose tensors have their names here, and have not been compared with its shape.
pub(super) struct Opened {
    pub(super) config: BertConfig,
    pub(super) weights: Weights,
    /// Names here that two tensors have.
    pub(super) ambiguous: Vec<String>,
    pub(super) names: Names,
}

/// Opens a model folder, a folder of Google's or a checkpoint of MindSpore.
///
/// # Errors
/// A file is missing or damaged.
pub(super) fn open_model(path: &Path, stated: &Stated) -> Result<Opened, ModelError> {
    if path.is_file() {
        open_mindspore(path, stated)
    } else if is_tensorflow(path) {
        open_tensorflow(path)
    } else {
        open_folder(path)
    }
}

/// Shape and settings of a model, as [`super::load_stated`] finds them, without a look at all tensors.
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

fn open_folder(folder: &Path) -> Result<Opened, ModelError> {
    let config = BertConfig::read(folder)?;
    let weights = Weights::open(folder)?;
    let found = Renaming::of(&weights, |own| canonical(own, config.family));
    Ok(Opened {
        config,
        weights: weights.renamed(&found.names),
        ambiguous: found.ambiguous,
        names: Names::Family,
    })
}

/// Whether a folder is one of Google's: with settings of their name, or none and an index of
/// TensorFlow's, and without weights that `transformers` opens.
pub fn is_tensorflow(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    // Without its settings such a folder is Google's all the same, so that they are missed by name.
    let is_bare = || !has("config.json") && !matches!(find_index(folder), Ok(None));
    (has(BERT_CONFIG) || is_bare()) && !WEIGHTS_FILES.into_iter().any(has)
}

/// The settings of a folder of Google's. Their files do not say which GELU it is: it is the exact
/// one.
fn read_bert_config(folder: &Path) -> Result<BertConfig, ModelError> {
    BertConfig::read_file(&folder.join(BERT_CONFIG))
}

fn open_tensorflow(folder: &Path) -> Result<Opened, ModelError> {
    let config = read_bert_config(folder)?;
    let weights = Weights::open(folder)?;
    let found = Renaming::of(&weights, |own| {
        let name = tensorflow_names::canonical(own)?;
        // Counters of training.
        let is_float = weights.dtype(own).is_some_and(Dtype::is_float);
        let is_counter = !is_float || weights.shape(own) == Some(&[]);
        (!is_counter || name.starts_with("bert.")).then_some(name)
    });
    Ok(Opened {
        config,
        weights: weights.renamed(&found.names),
        ambiguous: found.ambiguous,
        names: Names::TensorFlow,
    })
}

fn open_mindspore(path: &Path, stated: &Stated) -> Result<Opened, ModelError> {
    let weights = Weights::open(path)?;
    let (found, naming) = mindspore::renamed(&weights)?;
    let positions = weights
        .names()
        .find(|name| name.contains("full_position_embedding"))
        .and_then(|name| weights.shape(name)?.first().copied());
    let weights = weights.renamed(&found.names);
    Ok(Opened {
        config: mindspore::config(&weights, positions, stated)?,
        weights,
        ambiguous: found.ambiguous,
        names: Names::MindSpore(naming),
    })
}
