//! Models between their folders and the training loop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};
use tinyrun::data::store::TokenStore;
use tinyrun::job::{HeadKind, LayerMap, Objective, Train};
use tinyrun::model::names::expected_encoder;
use tinyrun::model::{
    BertConfig, LoadedModel, Weights, load_model, write_model_folder, write_safetensors,
};

use crate::bert::{Bert, Classifier, Linear};
use crate::checkpoint::{Best, Checkpoints, tensor_bytes};
use crate::device::Compute;
use crate::error::KernelError;
use crate::objective::{Student, Teacher};
use crate::parameters::{Parameters, initial_tensor};
use crate::seed::Seed;

/// File of the projection beside a student's weights: kept apart, so that the weights
/// themselves open in `transformers` without an unexpected tensor.
const FIT_DENSE_FILE: &str = "fit_dense.safetensors";
const FIT_DENSE: [&str; 2] = ["fit_dense.weight", "fit_dense.bias"];

/// The model being trained, the teacher it learns from, and the parameters of the former.
#[derive(Debug)]
pub(crate) struct Trainee {
    /// What is trained, as fp32 leaves.
    pub(crate) parameters: Parameters,
    pub(crate) student: Student,
    pub(crate) teacher: Option<Teacher>,
    warnings: Vec<String>,
}

impl Trainee {
    /// Loads or initialises everything that the job names.
    ///
    /// # Errors
    /// Unreadable or contradictory model folders, models that do not fit the data.
    pub(crate) fn load(
        train: &Train,
        data: &TokenStore,
        compute: Compute,
        seed: Seed,
    ) -> Result<Self, KernelError> {
        let mut warnings = Vec::new();
        let spec = &train.student;
        let with_head = !matches!(train.objective, Objective::Intermediate { .. });
        let mut parameters = match &spec.weights {
            Some(folder) => {
                let model = open(folder)?;
                check_data(folder, &model.config, data)?;
                if !model.has_pooler {
                    warnings.push(format!(
                        "`{}` has no pooler: it starts from random weights",
                        folder.display()
                    ));
                }
                tensors_of(folder, &model, with_head)?
            }
            None => Parameters::default(),
        };
        check_data(
            spec.weights.as_deref().unwrap_or(Path::new("the student")),
            &spec.config,
            data,
        )?;
        let classes = spec.labels.len();
        let needs_labels = match train.objective {
            Objective::Labels => true,
            Objective::Prediction {
                hard_label_weight, ..
            } => hard_label_weight > 0.0,
            Objective::Intermediate { .. } => false,
        };
        if needs_labels && data.meta().labels.is_empty() {
            return Err(KernelError::NoLabels {
                store: train.train.clone(),
            });
        }
        if with_head {
            check_classes(spec.weights.as_deref(), &parameters, classes)?;
        }
        fill(
            &mut parameters,
            &spec.config,
            with_head.then_some(classes),
            seed,
        );

        let teacher = match &train.teacher {
            Some(folder) => {
                let needs_head = with_head.then_some(classes);
                Some(load_teacher(
                    train,
                    folder,
                    needs_head,
                    data,
                    compute,
                    &mut warnings,
                )?)
            }
            None => None,
        };
        if let Some((config, _)) = teacher.as_ref().filter(|_| !with_head) {
            fill_projection(
                &mut parameters,
                spec.weights.as_deref(),
                &spec.config,
                config,
                seed,
            )?;
        }

        let parameters = parameters.trainable(compute.device);
        let student = Student {
            bert: Bert::new(&parameters, &spec.config, compute.kind),
            classifier: with_head.then(|| Classifier::new(&parameters, &spec.config, spec.head)),
            fit_dense: parameters
                .contains(FIT_DENSE[0])
                .then(|| Linear::new(&parameters, "fit_dense")),
        };
        Ok(Self {
            parameters,
            student,
            teacher: teacher.map(|(_, teacher)| teacher),
            warnings,
        })
    }

    /// What was noticed while loading.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// Parameters of the model itself, without the projection that only training needs.
    pub(crate) fn model_parameters(&self) -> u64 {
        let numel = |(_, tensor): (&str, &Tensor)| tensor.numel() as u64;
        self.parameters
            .iter()
            .filter(|(name, _)| !FIT_DENSE.contains(name))
            .map(numel)
            .sum()
    }

    /// Names and tensors as they are now.
    pub(crate) fn named_tensors(&self) -> Vec<(String, &Tensor)> {
        self.parameters
            .iter()
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .collect()
    }

    /// Writes `model/`, the model handed on, and `last/` where a dev set was scored.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn write(
        &self,
        train: &Train,
        output: &Path,
        best: Option<&Best>,
        checkpoints: &Checkpoints,
    ) -> Result<(), KernelError> {
        let last: BTreeMap<String, Tensor> = self
            .parameters
            .iter()
            .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
            .collect();
        let handed_on = match best.filter(|_| train.keep_best) {
            Some(best) => &checkpoints.best(best.step)?,
            None => &last,
        };
        write_folder(train, &output.join("model"), handed_on)?;
        if train.dev.is_some() {
            write_folder(train, &output.join("last"), &last)?;
        }
        Ok(())
    }
}

/// A model ready to be scored.
#[derive(Debug)]
pub(crate) struct Scorable {
    pub(crate) bert: Bert,
    pub(crate) classifier: Classifier,
    pub(crate) parameters: u64,
    pub(crate) size_bytes: u64,
    /// What was noticed while loading.
    pub(crate) warning: Option<String>,
}

/// Loads a fine-tuned model for the classes of `data`.
///
/// # Errors
/// As [`Trainee::load`]; also a model without a classifier.
pub(crate) fn load_for_scoring(
    folder: &Path,
    head: HeadKind,
    data: &TokenStore,
    compute: Compute,
) -> Result<Scorable, KernelError> {
    let model = open(folder)?;
    let warning = check_label_order(folder, &model.config, &data.meta().labels)?;
    let parameters = with_classes(folder, &model, data, data.meta().labels.len())?;
    let count = parameters.count();
    let frozen = parameters.frozen(compute.device, compute.kind);
    Ok(Scorable {
        bert: Bert::new(&frozen, &model.config, compute.kind),
        classifier: Classifier::new(&frozen, &model.config, head),
        parameters: count,
        size_bytes: std::fs::metadata(model.weights.path()).map_or(0, |file| file.len()),
        warning,
    })
}

fn load_teacher(
    train: &Train,
    folder: &Path,
    classes: Option<usize>,
    data: &TokenStore,
    compute: Compute,
    warnings: &mut Vec<String>,
) -> Result<(BertConfig, Teacher), KernelError> {
    let model = open(folder)?;
    let parameters = if let Some(classes) = classes {
        let labels = &data.meta().labels;
        warnings.extend(check_label_order(folder, &model.config, labels)?);
        with_classes(folder, &model, data, classes)?
    } else {
        check_data(folder, &model.config, data)?;
        tensors_of(folder, &model, false)?
    };
    if let Objective::Intermediate { layer_map, .. } = &train.objective {
        let reason = unfit(layer_map, &train.student.config, &model.config);
        if let Some(reason) = reason {
            let teacher = folder.to_owned();
            return Err(KernelError::LayerMap { teacher, reason });
        }
    }
    // Layers above the highest one in the map are never looked at.
    let mut config = model.config;
    if let Objective::Intermediate { layer_map, .. } = &train.objective {
        let attention = layer_map
            .attention
            .iter()
            .map(|layer| layer + 1)
            .max()
            .unwrap_or(0);
        let hidden = layer_map.hidden.iter().copied().max().unwrap_or(0);
        config.num_hidden_layers = config.num_hidden_layers.min(attention.max(hidden));
    }
    let frozen = parameters.frozen(compute.device, compute.kind);
    let teacher = Teacher {
        bert: Bert::new(&frozen, &config, compute.kind),
        classifier: classes.map(|_| Classifier::new(&frozen, &config, train.teacher_head)),
    };
    Ok((config, teacher))
}

/// Why the layers of two models cannot be compared; `None` where they can.
fn unfit(map: &LayerMap, student: &BertConfig, teacher: &BertConfig) -> Option<String> {
    let (layers, heads) = (teacher.num_hidden_layers, teacher.num_attention_heads);
    if heads != student.num_attention_heads {
        let own = student.num_attention_heads;
        return Some(format!("it has {heads} attention heads, the student {own}"));
    }
    let own = student.num_hidden_layers;
    if (map.attention.len(), map.hidden.len()) != (own, own + 1) {
        let mapped = map.attention.len();
        return Some(format!(
            "the layer map is of {mapped} layers, the student has {own}"
        ));
    }
    let attention = map.attention.iter().find(|&&layer| layer >= layers);
    let hidden = map.hidden.iter().find(|&&state| state > layers);
    let layer = attention.or(hidden)?;
    Some(format!(
        "the layer map names its layer {layer}, it has {layers}"
    ))
}

fn open(folder: &Path) -> Result<LoadedModel, KernelError> {
    load_model(folder).map_err(|source| KernelError::Model {
        context: format!("cannot load the model in `{}`", folder.display()),
        source,
    })
}

/// Encoder, pooler and, where wanted, classifier of a model as tensors.
fn tensors_of(
    folder: &Path,
    model: &LoadedModel,
    with_head: bool,
) -> Result<Parameters, KernelError> {
    let mut tensors = BTreeMap::new();
    for name in model.weights.names() {
        if name.starts_with("bert.") || (with_head && name.starts_with("classifier.")) {
            tensors.insert(name.to_owned(), tensor(folder, &model.weights, name)?);
        }
    }
    Ok(Parameters::new(tensors))
}

fn tensor(folder: &Path, weights: &Weights, name: &str) -> Result<Tensor, KernelError> {
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
fn with_classes(
    folder: &Path,
    model: &LoadedModel,
    data: &TokenStore,
    classes: usize,
) -> Result<Parameters, KernelError> {
    check_data(folder, &model.config, data)?;
    let parameters = tensors_of(folder, model, true)?;
    if !parameters.contains("classifier.weight") || !parameters.contains("bert.pooler.dense.weight")
    {
        return Err(KernelError::NoClassifier {
            model: folder.to_owned(),
        });
    }
    check_classes(Some(folder), &parameters, classes)?;
    Ok(parameters)
}

fn check_classes(
    folder: Option<&Path>,
    parameters: &Parameters,
    expected: usize,
) -> Result<(), KernelError> {
    if !parameters.contains("classifier.weight") {
        return Ok(());
    }
    let found = parameters.get("classifier.weight").size()[0] as usize;
    if found == expected {
        return Ok(());
    }
    Err(KernelError::Classes {
        model: folder.map(Path::to_owned).unwrap_or_default(),
        found,
        expected,
    })
}

/// Refuses a model whose named classes are the data's in another order: it would be read
/// with its answers swapped. Names that are all different are a warning.
fn check_label_order(
    folder: &Path,
    config: &BertConfig,
    labels: &[String],
) -> Result<Option<String>, KernelError> {
    let named: Vec<String> = (0..config.id2label.len())
        .filter_map(|class| {
            config
                .id2label
                .get(&class.to_string())
                .map(|name| name.to_lowercase())
        })
        .collect();
    let expected: Vec<String> = labels.iter().map(|name| name.to_lowercase()).collect();
    let generic = named.iter().all(|name| name.starts_with("label_"));
    if named.is_empty() || generic || named == expected {
        return Ok(None);
    }
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    let list = |names: &[String]| names.join(", ");
    if sorted(&named) == sorted(&expected) {
        return Err(KernelError::LabelOrder {
            model: folder.to_owned(),
            found: list(&named),
            expected: list(&expected),
        });
    }
    Ok(Some(format!(
        "`{}` calls its classes {}, the data {}: they are taken to mean the same, in this order",
        folder.display(),
        list(&named),
        list(&expected)
    )))
}

/// Whether a model can read the rows of a store.
fn check_data(model: &Path, config: &BertConfig, data: &TokenStore) -> Result<(), KernelError> {
    let meta = data.meta();
    if meta.vocab_size > config.vocab_size {
        return Err(KernelError::Vocabulary {
            data: meta.vocab_size,
            model: model.to_owned(),
            vocabulary: config.vocab_size,
        });
    }
    if meta.max_seq_length > config.max_position_embeddings {
        return Err(KernelError::TooLong {
            longest: meta.max_seq_length,
            positions: config.max_position_embeddings,
        });
    }
    Ok(())
}

/// Gives every tensor that the model lacks its initial values.
fn fill(parameters: &mut Parameters, config: &BertConfig, classes: Option<usize>, seed: Seed) {
    let mut expected = expected_encoder(config);
    if let Some(classes) = classes {
        expected.insert(
            "classifier.weight".to_owned(),
            vec![classes, config.hidden_size],
        );
        expected.insert("classifier.bias".to_owned(), vec![classes]);
    }
    for (name, shape) in expected {
        if !parameters.contains(&name) {
            let initial = initial_tensor(&name, &shape, config.initializer_range, seed);
            parameters.insert(&name, initial);
        }
    }
}

/// Takes the projection over from the student's folder, or initialises it.
fn fill_projection(
    parameters: &mut Parameters,
    folder: Option<&Path>,
    student: &BertConfig,
    teacher: &BertConfig,
    seed: Seed,
) -> Result<(), KernelError> {
    let shapes = [
        vec![teacher.hidden_size, student.hidden_size],
        vec![teacher.hidden_size],
    ];
    let kept: Option<(PathBuf, Weights)> = match folder.map(|folder| folder.join(FIT_DENSE_FILE)) {
        Some(path) if path.exists() => {
            let weights = Weights::open_file(&path).map_err(|source| KernelError::Model {
                context: "cannot load the projection".to_owned(),
                source,
            })?;
            Some((path, weights))
        }
        _ => None,
    };
    for (name, shape) in FIT_DENSE.into_iter().zip(shapes) {
        let value = match &kept {
            Some((path, weights)) if weights.shape(name) == Some(&shape) => {
                tensor(path, weights, name)?
            }
            // A teacher of another width: the old projection has no meaning there.
            _ => initial_tensor(name, &shape, student.initializer_range, seed),
        };
        parameters.insert(name, value);
    }
    Ok(())
}

/// Writes a Hugging Face folder, and the projection beside the weights where there is one.
fn write_folder(
    train: &Train,
    folder: &Path,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<(), KernelError> {
    let spec = &train.student;
    let with_head = tensors.contains_key("classifier.weight");
    let architecture = if with_head {
        "BertForSequenceClassification"
    } else {
        "BertModel"
    };
    let mut config = spec.config.to_json(architecture, &spec.labels);
    if spec.head == HeadKind::Relu {
        config["tinyrun_head"] = "relu".into();
    }
    let (projection, model): (Vec<_>, Vec<_>) = tensors
        .iter()
        .partition(|(name, _)| FIT_DENSE.contains(&name.as_str()));
    let bytes = |tensors: Vec<(&String, &Tensor)>| {
        tensors
            .into_iter()
            .map(|(name, tensor)| {
                let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
                (
                    name.clone(),
                    shape,
                    tensor_bytes(&tensor.to_kind(Kind::Float)),
                )
            })
            .collect::<Vec<_>>()
    };
    let written =
        write_model_folder(folder, &config, bytes(model), &spec.tokenizer).and_then(|()| {
            if projection.is_empty() {
                return Ok(());
            }
            write_safetensors(
                &folder.join(FIT_DENSE_FILE),
                bytes(projection),
                &BTreeMap::new(),
            )
        });
    written.map_err(|source| KernelError::Model {
        context: format!("cannot write the model to `{}`", folder.display()),
        source,
    })
}
