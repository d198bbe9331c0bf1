//! Model folders as tensors, read and written.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tch::{Device, Kind, Tensor};
use tinyrun_base::data::store::TokenStore;
use tinyrun_base::job::{HeadKind, Projection, Student, Train, WeightDtype};
use tinyrun_base::model::names::{ENCODER, POOLER, WORDS};
use tinyrun_base::model::{
    LabelFit, LoadedModel, ModelRef, TokenMap, Weights, label_fit, load_stated, write_model_folder,
    write_safetensors,
};

use crate::check::{check_classes, check_data, check_label_order};
use crate::checkpoint::tensor_bytes;
use crate::encoder::{Classifier, Encoder};
use crate::error::KernelError;
use crate::parameters::Parameters;
use crate::score::scoring_model;

/// File of the projection beside a student's weights: kept apart, so that the weights
/// themselves open in `transformers` without an unexpected tensor.
pub(crate) const FIT_DENSE_FILE: &str = "fit_dense.safetensors";
/// Name of the projection of each of `states` hidden states, without `.weight` and `.bias`.
pub(crate) fn projection_names(projection: Projection, states: usize) -> Vec<String> {
    let name = |state: usize| match (projection, state) {
        (Projection::PerLayer, _) => format!("fit_denses.{state}"),
        (Projection::EmbeddingAndHidden, 0) => "fit_dense_embedding".to_owned(),
        _ => "fit_dense".to_owned(),
    };
    (0..states).map(name).collect()
}

/// Whether a tensor is a projection's, which only training needs.
pub(crate) fn is_projection(name: &str) -> bool {
    name.starts_with("fit_dense")
}

/// A model ready to be scored.
#[derive(Debug)]
pub(crate) struct Scorable {
    pub(crate) encoder: Encoder,
    pub(crate) classifier: Classifier,
    pub(crate) parameters: u64,
    pub(crate) size_bytes: u64,
    /// Whether its class names are those of the data, as after a fine-tuning on them.
    pub(crate) same_labels: bool,
    /// What was noticed while loading.
    pub(crate) warning: Option<String>,
}

/// Loads a fine-tuned model for the classes of `data`, to be scored in fp32.
///
/// # Errors
/// An unreadable or contradictory folder, a model that does not fit the data or has no classifier.
pub(crate) fn load_for_scoring(
    folder: &ModelRef,
    head: HeadKind,
    data: &TokenStore,
    device: Device,
) -> Result<Scorable, KernelError> {
    let model = open(folder)?;
    let warning = check_label_order(folder, &model.config, &data.meta().labels)?;
    let parameters = with_classes(folder, &model, data, data.meta().labels.len().max(1))?;
    let count = parameters.count();
    let (encoder, classifier) = scoring_model(parameters, &model.config, head, device);
    Ok(Scorable {
        encoder,
        classifier,
        parameters: count,
        same_labels: label_fit(&model.config, &data.meta().labels) == LabelFit::Same,
        size_bytes: size(folder, &model),
        warning,
    })
}

/// Bytes of a model's weights: of the file, or of those layers in it that are kept.
fn size(folder: &ModelRef, model: &LoadedModel) -> u64 {
    let weights = &model.weights;
    if folder.stated.layers.is_empty() {
        return std::fs::metadata(weights.path()).map_or(0, |file| file.len());
    }
    let bytes = |name: &str| {
        let numbers: usize = weights.shape(name)?.iter().product();
        Some((numbers * weights.dtype(name)?.size()?) as u64)
    };
    weights.names().filter_map(bytes).sum()
}

/// Opens a model folder, or a checkpoint, and checks it as a whole.
pub(crate) fn open(folder: &ModelRef) -> Result<LoadedModel, KernelError> {
    load_stated(folder, &folder.stated).map_err(|source| KernelError::Model {
        context: format!("cannot load the model in `{}`", folder.display()),
        source,
    })
}

/// Encoder, pooler and, where wanted, classifier of a model as tensors.
pub(crate) fn tensors_of(
    folder: &Path,
    model: &LoadedModel,
    with_head: bool,
) -> Result<Parameters, KernelError> {
    let mut tensors = BTreeMap::new();
    for name in model.weights.names() {
        if name.starts_with(ENCODER) || (with_head && name.starts_with("classifier.")) {
            tensors.insert(name.to_owned(), tensor(folder, &model.weights, name)?);
        }
    }
    Ok(Parameters::new(tensors))
}

/// One tensor in fp32 on the processor.
pub(crate) fn tensor(folder: &Path, weights: &Weights, name: &str) -> Result<Tensor, KernelError> {
    let shape = weights
        .shape(name)
        .unwrap_or_default()
        .iter()
        .map(|&n| n as i64)
        .collect::<Vec<_>>();
    let values = weights.to_f32(name).map_err(|source| KernelError::Model {
        context: format!("cannot load the model in `{}`", folder.display()),
        source,
    })?;
    Ok(Tensor::from_slice(&values).view(shape.as_slice()))
}

/// The tensors of a model that must have a classifier of `classes` classes.
pub(crate) fn with_classes(
    folder: &Path,
    model: &LoadedModel,
    data: &TokenStore,
    classes: usize,
) -> Result<Parameters, KernelError> {
    check_data(folder, &model.config, data)?;
    let parameters = with_classifier(folder, model)?;
    check_classes(Some(folder), &parameters, classes)?;
    Ok(parameters)
}

/// The tensors of a model that must have a classifier.
pub(crate) fn with_classifier(
    folder: &Path,
    model: &LoadedModel,
) -> Result<Parameters, KernelError> {
    let parameters = tensors_of(folder, model, true)?;
    if !parameters.contains("classifier.weight")
        || !parameters.contains(&format!("{POOLER}.weight"))
    {
        return Err(KernelError::NoClassifier {
            model: folder.to_owned(),
        });
    }
    Ok(parameters)
}

/// Number format of written weights in libtorch's terms.
pub(crate) fn written_kind(dtype: WeightDtype) -> Kind {
    match dtype {
        WeightDtype::Fp32 => Kind::Float,
        WeightDtype::Fp16 => Kind::Half,
        WeightDtype::Bf16 => Kind::BFloat16,
    }
}

/// The table of words in the order of the model's own vocabulary.
fn own_rows(table: &Tensor, tokens: &TokenMap) -> Tensor {
    let rows: Vec<i64> = tokens.own.iter().map(|row| i64::from(*row)).collect();
    table.index_select(0, &Tensor::from_slice(&rows).to_device(table.device()))
}

/// The `config.json` of the student.
fn config_of(spec: &Student, with_head: bool, tokens: Option<&TokenMap>) -> Value {
    let shape = tokens.map_or_else(|| spec.config.clone(), |it| it.in_files(&spec.config));
    let mut config = shape.to_json(with_head, &spec.labels);
    if !spec.config.family.has_own_head() {
        // What it started from may have had another head.
        match (spec.head, config.as_object_mut()) {
            (HeadKind::Relu, _) => config["tinyrun_head"] = "relu".into(),
            (HeadKind::Plain, Some(config)) => drop(config.remove("tinyrun_head")),
            (HeadKind::Plain, None) => {}
        }
    }
    let dtype = match spec.dtype {
        WeightDtype::Fp32 => "float32",
        WeightDtype::Fp16 => "float16",
        WeightDtype::Bf16 => "bfloat16",
    };
    config["torch_dtype"] = dtype.into();
    config
}

/// Writes a Hugging Face folder, and the projection beside the weights where there is one.
pub(crate) fn write_folder(
    train: &Train,
    folder: &Path,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<(), KernelError> {
    let spec = &train.student;
    let tokens = spec.weights.as_ref();
    let tokens = tokens.and_then(|model| model.stated.tokens.as_ref());
    let config = config_of(spec, tensors.contains_key("classifier.weight"), tokens);
    let (projection, model): (Vec<_>, Vec<_>) =
        tensors.iter().partition(|(name, _)| is_projection(name));
    let bytes = |tensors: Vec<(&String, &Tensor)>, kind: Kind| {
        tensors
            .into_iter()
            .map(|(name, tensor)| {
                let own = tokens.filter(|_| name == WORDS);
                let tensor =
                    &own.map_or_else(|| tensor.shallow_clone(), |tokens| own_rows(tensor, tokens));
                let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
                (name.clone(), shape, tensor_bytes(tensor, kind))
            })
            .collect::<Vec<_>>()
    };
    let written = write_model_folder(
        folder,
        &config,
        spec.dtype,
        bytes(model, written_kind(spec.dtype)),
        &spec.tokenizer,
    )
    .and_then(|()| {
        if projection.is_empty() {
            return Ok(());
        }
        write_safetensors(
            &folder.join(FIT_DENSE_FILE),
            WeightDtype::Fp32,
            bytes(projection, Kind::Float),
            &BTreeMap::new(),
        )
    });
    written.map_err(|source| KernelError::Model {
        context: format!("cannot write the model to `{}`", folder.display()),
        source,
    })
}
