//! Models for other programs: a file per format, and the model card that lies beside each.
//!
//! To add a format, write its file, and give [`Format`] a word and `Format::exporter` an arm.

mod card;
mod error;
mod history;
mod huggingface;
mod mindspore;
mod onnx;
mod onnx_graph;
mod onnx_proto;
mod provenance;
mod tokenizer;

use std::path::Path;

use crate::job::{HeadKind, words};
use crate::model::{LoadedModel, ModelRef, WeightDtype, is_checkpoint, load_stated, round_to};
use crate::system::write_atomic;

pub(crate) use error::ExportError;
pub(crate) use history::History;

/// File format of an exported model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A folder that `transformers` opens: `config.json`, `model.safetensors`, tokenizer files.
    HuggingFace,
    /// `model.onnx` for onnxruntime and others, with `config.json` and tokenizer files.
    Onnx,
    /// `student.ckpt` for MindSpore's TinyBERT.
    MindSpore,
}

words! {
    Format { "huggingface" => HuggingFace, "onnx" => Onnx, "mindspore" => MindSpore }
}

/// What a format says of itself.
trait Exporter {
    /// Number formats that it can hold.
    fn dtypes(&self) -> &'static [WeightDtype];

    /// Whether it cannot hold a model without a classifier.
    fn needs_classifier(&self) -> bool;

    /// Writes the model and its tokenizer (empty: none) into a folder.
    ///
    /// # Errors
    /// A tensor cannot be read, or its values are beyond the number format; the disk refuses.
    fn write(
        &self,
        export: &Export<'_>,
        model: &LoadedModel,
        folder: &Path,
    ) -> Result<(), ExportError>;

    /// What the hub calls the library that opens it; `None` where that computes something else.
    fn library(&self, model: &LoadedModel) -> Option<&'static str>;

    /// The section of the model card that shows how the model is opened, in Markdown.
    fn usage(&self, model: &LoadedModel) -> String;

    /// What the program that opens it computes otherwise than the model was trained.
    fn notes(&self, _model: &LoadedModel) -> Vec<String> {
        Vec::new()
    }
}

impl Format {
    fn exporter(self) -> &'static dyn Exporter {
        match self {
            Self::HuggingFace => &huggingface::HuggingFace,
            Self::Onnx => &onnx::Onnx,
            Self::MindSpore => &mindspore::MindSpore,
        }
    }

    /// Number formats that it can hold.
    pub(crate) fn dtypes(self) -> &'static [WeightDtype] {
        self.exporter().dtypes()
    }

    /// Whether it cannot hold a model without a classifier.
    pub(crate) fn needs_classifier(self) -> bool {
        self.exporter().needs_classifier()
    }
}

/// A model to export, and how.
pub(crate) struct Export<'a> {
    /// Its Hugging Face folder, or a checkpoint.
    pub(crate) model: &'a ModelRef,
    /// Folder of its tokenizer, or a vocabulary.
    pub(crate) tokenizer: Option<&'a Path>,
    /// Its name in the card.
    pub(crate) name: &'a str,
    /// How its classifier reads the pooled output; `None`: as its `config.json` says.
    pub(crate) head: Option<HeadKind>,
    /// How it was made, where that is known.
    pub(crate) history: Option<&'a History>,
    /// The command that exports it outside a pipeline.
    pub(crate) command: Option<String>,
    /// File format.
    pub(crate) format: Format,
    /// Number format of the weights.
    pub(crate) dtype: WeightDtype,
}

impl Export<'_> {
    /// Writes the model, its tokenizer and its card into a folder, which is made if it is missing; or
    /// a MindSpore checkpoint alone, where `folder` ends in `.ckpt`. What the program that opens it
    /// computes otherwise is returned.
    ///
    /// # Errors
    /// The model cannot be read or does not fit the format, or the disk refuses.
    pub(crate) fn write(&self, folder: &Path) -> Result<Vec<String>, ExportError> {
        let mut model = load_stated(self.model, &self.model.stated)?;
        match self.head {
            Some(HeadKind::Relu) => model.config.tinyrun_head = Some("relu".to_owned()),
            Some(HeadKind::Plain) => model.config.tinyrun_head = None,
            None => {}
        }
        if !self.format.dtypes().contains(&self.dtype) {
            return Err(ExportError::NoSuchNumbers {
                format: self.format,
                dtype: self.dtype,
            });
        }
        if self.format.needs_classifier() && !(model.has_classifier() && model.has_pooler) {
            return Err(ExportError::NoClassifier {
                model: model.folder,
                format: self.format,
            });
        }
        let exporter = self.format.exporter();
        if self.format == Format::MindSpore && is_checkpoint(folder) {
            mindspore::MindSpore::write_file(self, &model, folder)?;
            return Ok(exporter.notes(&model));
        }
        exporter.write(self, &model, folder)?;
        tokenizer::limit(folder, self.longest(&model))?;
        card::write(self, &model, folder)?;
        Ok(exporter.notes(&model))
    }

    /// The folder of the tokenizer, or its vocabulary; empty where there is none.
    fn tokenizer(&self) -> &Path {
        self.tokenizer.unwrap_or(Path::new(""))
    }

    /// Tokens of the longest input: as the model was trained, or else as its folder says.
    fn longest(&self, model: &LoadedModel) -> usize {
        let positions = model.config.longest_input();
        let experiment = self.history.and_then(|history| history.experiment.as_ref());
        let longest = experiment.and_then(|it| it.task.max_seq_length.as_ref());
        longest.map_or_else(|| model.longest_input(), |longest| positions.min(**longest))
    }
}

/// Writes a file whole or not at all.
fn put(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let written = write_atomic(path, |file| std::io::Write::write_all(file, bytes));
    written.map_err(|source| ExportError::Write {
        path: path.to_owned(),
        source,
    })
}

/// The `config.json` of an exported model.
fn config(model: &LoadedModel, dtype: WeightDtype) -> serde_json::Value {
    let classifies = model.has_classifier();
    let mut config = model.config.to_json(classifies, &labels(model));
    config["torch_dtype"] = dtype.torch_name().into();
    config
}

/// Name, shape and row-major bytes of a tensor.
type NamedTensor<'a> = (&'a str, Vec<usize>, Vec<u8>);

/// Every tensor of a model, without the projection, which is needed in training only.
///
/// # Errors
/// A tensor cannot be read, or has values that `dtype` cannot hold.
fn tensors(model: &LoadedModel, dtype: WeightDtype) -> Result<Vec<NamedTensor<'_>>, ExportError> {
    let names = model.weights.names();
    let names = names.filter(|name| !name.starts_with("fit_dense"));
    let tensors = names.map(|name| {
        let bytes = rounded(name, &model.weights.to_f32(name)?, dtype)?;
        let shape = model.weights.shape(name).unwrap_or_default().to_vec();
        Ok((name, shape, bytes))
    });
    tensors.collect()
}

/// Numbers of a tensor as the bytes that are written.
fn rounded(name: &str, values: &[f32], dtype: WeightDtype) -> Result<Vec<u8>, ExportError> {
    round_to(values, dtype).ok_or_else(|| ExportError::OutOfRange {
        tensor: name.to_owned(),
        dtype,
    })
}

/// The class names of a model in order; none for a regression. Classes without names are called
/// as `transformers` calls them.
fn labels(model: &LoadedModel) -> Vec<String> {
    let classes = model.num_labels.unwrap_or(0);
    if model.config.problem_type.as_deref() == Some("regression") || classes < 2 {
        return Vec::new();
    }
    let names = model.config.labels();
    if names.len() == classes {
        return names;
    }
    (0..classes).map(|class| format!("LABEL_{class}")).collect()
}
