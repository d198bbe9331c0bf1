//! What is trained and what it learns from, loaded or initialised.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Tensor, no_grad};
use tinyrun::data::store::TokenStore;
use tinyrun::job::{
    Keep, Objective, PadTo, Reduction, Student as StudentSpec, Teacher as TeacherSpec, Train,
};
use tinyrun::model::names::initialized;
use tinyrun::model::{BertConfig, Weights};

use crate::batch::Amounts;
use crate::check::{check_classes, check_data, check_label_order, unfit};
use crate::checkpoint::{Best, Checkpoints};
use crate::device::Compute;
use crate::encoder::{Classifier, Encoder, Linear, Wanted, layout};
use crate::error::KernelError;
use crate::flops::forward;
use crate::folder::{
    FIT_DENSE_FILE, is_projection, open, projection_names, tensor, tensors_of, with_classes,
    write_folder, written_kind,
};
use crate::objective::Student;
use crate::parameters::{Distribution, Parameters, initial_tensor};
use crate::score::scoring_model;
use crate::seed::Seed;
use crate::target::Teacher;

/// The model being trained, the teacher it learns from, and the parameters of the former.
#[derive(Debug)]
pub(crate) struct Trainee {
    /// What is trained, as fp32 leaves.
    pub(crate) parameters: Parameters,
    pub(crate) student: Student,
    /// In the order of the job.
    pub(crate) teachers: Vec<Teacher>,
    /// The rows of each teacher whose tokenizer cuts others than the student's.
    pub(crate) rows_of_teachers: Vec<Option<TokenStore>>,
    /// Shape of the student.
    config: BertConfig,
    /// Shapes of the teachers as far as they are run.
    teacher_configs: Vec<BertConfig>,
    /// How the rows of a batch are laid out for all.
    pub(crate) layout: PadTo,
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
                if !model.has_pooler && model.config.family.pooler_in_encoder {
                    warnings.push(format!(
                        "`{}` has no pooler: its pooler starts from random weights",
                        folder.display()
                    ));
                }
                tensors_of(folder, &model, with_head && !spec.new_classifier)?
            }
            None => Parameters::default(),
        };
        check_data(
            spec.weights.as_deref().unwrap_or(Path::new("the student")),
            &spec.config,
            data,
        )?;
        // A regression has one output.
        let classes = spec.labels.len().max(1);
        if needs_names(&train.objective) && data.meta().labels.is_empty() {
            return Err(KernelError::NoLabels {
                store: train.data.store.clone(),
            });
        }
        if with_head {
            check_classes(spec.weights.as_deref(), &parameters, classes)?;
        }
        fill(&mut parameters, spec, with_head.then_some(classes), seed);

        let needs_head = with_head.then_some(classes);
        let rows = train.teachers().map(|spec| own_rows(spec, data));
        let rows_of_teachers: Vec<Option<TokenStore>> = rows.collect::<Result<_, _>>()?;
        let opened = train.teachers().zip(&rows_of_teachers);
        let opened = opened.map(|(spec, own)| {
            let data = own.as_ref().unwrap_or(data);
            open_teacher(train, spec, needs_head, data, &mut warnings)
        });
        let opened: Vec<(BertConfig, Parameters)> = opened.collect::<Result<_, _>>()?;
        let (teacher_configs, of_teachers): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        let projections = match teacher_configs.first() {
            Some(config) => fill_projections(train, &mut parameters, config, seed, &mut warnings)?,
            None => Vec::new(),
        };

        let parameters = parameters.trainable(compute.device);
        let layout = common_layout(train, &teacher_configs, compute);
        let teachers = train.teachers().zip(&teacher_configs).zip(of_teachers);
        let teachers = teachers.map(|((spec, config), weights)| {
            teacher_of(spec, config, weights, with_head, (compute, layout))
        });
        let teachers = teachers.collect();
        let student = Student {
            encoder: Encoder::trained(&parameters, &spec.config, compute.kind, layout),
            classifier: with_head.then(|| Classifier::new(&parameters, &spec.config, spec.head)),
            projections: projections
                .iter()
                .map(|name| Linear::new(&parameters, name))
                .collect(),
        };
        Ok(Self {
            layout,
            parameters,
            student,
            teachers,
            rows_of_teachers,
            config: spec.config.clone(),
            teacher_configs,
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
            .filter(|(name, _)| !is_projection(name))
            .map(numel)
            .sum()
    }

    /// Frees the teachers, whose outputs are cached.
    pub(crate) fn dismiss_teachers(&mut self) {
        self.teachers.clear();
        self.teacher_configs.clear();
    }

    /// Operations that a step needs for rows: a forward pass of each teacher; of the student and its projections a
    /// forward and a backward pass, which counts twice.
    pub(crate) fn flops(&self, amounts: Amounts) -> f64 {
        let of = |config: &BertConfig| forward(config, amounts, self.student.classifier.is_some());
        let width = self.config.hidden_size as f64;
        // Each hidden state once more to the teacher's width.
        let projections = self.student.projections.iter().map(|projection| {
            let outs = projection.trained().1.numel() as f64;
            2.0 * amounts.tokens as f64 * width * outs
        });
        let trained = of(&self.config) + projections.sum::<f64>();
        self.teacher_configs.iter().map(of).sum::<f64>() + 3.0 * trained
    }

    /// Names and tensors as they are now.
    pub(crate) fn named_tensors(&self) -> Vec<(String, &Tensor)> {
        self.parameters
            .iter()
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .collect()
    }

    /// The trained model as it will be scored once it is written: in the number format of its
    /// file, computed in fp32.
    pub(crate) fn scoring_model(&self, train: &Train, device: Device) -> (Encoder, Classifier) {
        let written = written_kind(train.student.dtype);
        let rounded = |tensor: &Tensor| no_grad(|| tensor.detach().to_kind(written));
        let model = self
            .parameters
            .iter()
            .filter(|(name, _)| !is_projection(name))
            .map(|(name, tensor)| (name.to_owned(), rounded(tensor)));
        let parameters = Parameters::new(model.collect());
        scoring_model(parameters, &self.config, train.student.head, device)
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
        let selection = train.selection.as_ref();
        let keeps_best = selection.is_some_and(|selection| selection.scoring.keep == Keep::Best);
        let handed_on = match best.filter(|_| keeps_best) {
            Some(best) => &checkpoints.best(best.step)?,
            None => &last,
        };
        write_folder(train, &output.join("model"), handed_on)?;
        if selection.is_some() {
            write_folder(train, &output.join("last"), &last)?;
        }
        Ok(())
    }
}

/// Whether rows must have a class: values are in the rows, and have no names.
fn needs_names(objective: &Objective) -> bool {
    match objective {
        Objective::Labels => true,
        Objective::Prediction {
            hard_label_weight, ..
        } => *hard_label_weight > 0.0,
        Objective::Values | Objective::Regression { .. } | Objective::Intermediate { .. } => false,
    }
}

/// The projections of a stage that compares layers, by name: those that it starts from, or random weights.
fn fill_projections(
    train: &Train,
    parameters: &mut Parameters,
    teacher: &BertConfig,
    seed: Seed,
    warnings: &mut Vec<String>,
) -> Result<Vec<String>, KernelError> {
    let Objective::Intermediate {
        projection,
        keep_projection,
        ..
    } = &train.objective
    else {
        return Ok(Vec::new());
    };
    let spec = &train.student;
    let projections = projection_names(*projection, spec.config.num_hidden_layers + 1);
    // Of some layers of a model its projections are not those of the student's hidden states.
    let beside = spec
        .weights
        .as_ref()
        .filter(|model| *keep_projection && model.stated.layers.is_empty());
    let beside = beside.map(|folder| folder.join(FIT_DENSE_FILE));
    let given = spec.projection.clone();
    let from = given.or(beside.filter(|path| path.exists()));
    for name in &projections {
        let from = from.as_deref();
        let kept = fill_projection(parameters, name, from, spec, teacher, seed)?;
        match from.filter(|_| !kept) {
            // Random weights in place of stated ones would go unnoticed.
            Some(path) if spec.projection.is_some() => {
                return Err(KernelError::Projection {
                    path: path.to_owned(),
                    name: name.clone(),
                    shape: [teacher.hidden_size, spec.config.hidden_size],
                });
            }
            Some(path) => warnings.push(format!(
                "`{}` has no projection `{name}` of this shape: the projection starts from random weights",
                path.parent().unwrap_or(path).display()
            )),
            None => {}
        }
    }
    Ok(projections)
}

/// How the rows of a batch are laid out: as the job says, where all models are able to and no loss is over the padded
/// block.
fn common_layout(train: &Train, teachers: &[BertConfig], compute: Compute) -> PadTo {
    let over_the_block = matches!(
        train.objective,
        Objective::Intermediate {
            reduction: Reduction::Block,
            ..
        }
    );
    let of = |pad_to, config| layout(pad_to, config, compute.kind, compute.device);
    let asked = match train.data.pad_to {
        PadTo::None if over_the_block => PadTo::Longest,
        pad_to => pad_to,
    };
    let students = of(asked, &train.student.config);
    teachers.iter().fold(students, of)
}

/// The rows that a teacher's own tokenizer has cut, each of the same text as in `data`.
fn own_rows(spec: &TeacherSpec, data: &TokenStore) -> Result<Option<TokenStore>, KernelError> {
    let Some(path) = &spec.rows else {
        return Ok(None);
    };
    let own = TokenStore::open(path)?;
    let (found, expected) = (own.len(), data.len());
    if found != expected {
        let store = path.clone();
        return Err(KernelError::OtherRows {
            store,
            found,
            expected,
        });
    }
    Ok(Some(own))
}

/// Shape of a teacher as far as it is run, and its weights.
fn open_teacher(
    train: &Train,
    spec: &TeacherSpec,
    classes: Option<usize>,
    data: &TokenStore,
    warnings: &mut Vec<String>,
) -> Result<(BertConfig, Parameters), KernelError> {
    let folder = &spec.folder;
    let model = open(folder)?;
    let parameters = if let Some(classes) = classes {
        let labels = &data.meta().labels;
        warnings.extend(check_label_order(folder, &model.config, labels)?);
        with_classes(folder, &model, data, classes)?
    } else {
        check_data(folder, &model.config, data)?;
        tensors_of(folder, &model, false)?
    };
    if let Objective::Intermediate {
        layer_map,
        relations,
        ..
    } = &train.objective
    {
        let student = &train.student.config;
        let reason = unfit(layer_map, relations.as_ref(), student, &model.config);
        if let Some(reason) = reason {
            let teacher = folder.to_path_buf();
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
    Ok((config, parameters))
}

/// A teacher for batches of a layout.
fn teacher_of(
    spec: &TeacherSpec,
    config: &BertConfig,
    parameters: Parameters,
    with_head: bool,
    (compute, layout): (Compute, PadTo),
) -> Teacher {
    let frozen = parameters.frozen(compute.device, compute.kind);
    let wanted = if with_head {
        Wanted::First
    } else {
        Wanted::Everything
    };
    Teacher {
        encoder: Encoder::frozen(&frozen, config, compute.kind, wanted, layout),
        classifier: with_head.then(|| Classifier::new(&frozen, config, spec.head)),
        dropout: spec.dropout,
    }
}

/// Gives every tensor that the model lacks its initial values.
fn fill(parameters: &mut Parameters, spec: &StudentSpec, classes: Option<usize>, seed: Seed) {
    let config = &spec.config;
    for (name, shape) in initialized(config, classes) {
        if !parameters.contains(&name) {
            let range = config.initializer_range;
            let distribution = Distribution::of(&name, range, &spec.initializer);
            let initial = initial_tensor(&name, &shape, distribution, seed);
            parameters.insert(&name, initial);
        }
    }
}

/// Takes one projection over from a file, or initialises it; whether it was there already or taken
/// over.
fn fill_projection(
    parameters: &mut Parameters,
    projection: &str,
    file: Option<&Path>,
    student: &StudentSpec,
    teacher: &BertConfig,
    seed: Seed,
) -> Result<bool, KernelError> {
    if parameters.contains(&format!("{projection}.weight")) {
        return Ok(true);
    }
    let width = student.config.hidden_size;
    let shapes = [
        ("weight", vec![teacher.hidden_size, width]),
        ("bias", vec![teacher.hidden_size]),
    ];
    let kept = match file {
        Some(path) => {
            let weights = Weights::open_file(path).map_err(|source| KernelError::Model {
                context: "cannot load the projection".to_owned(),
                source,
            })?;
            Some((path, weights))
        }
        None => None,
    };
    let mut taken_over = true;
    for (part, shape) in shapes {
        let name = format!("{projection}.{part}");
        let value = match &kept {
            Some((path, weights)) if weights.shape(&name) == Some(&shape) => {
                tensor(path, weights, &name)?
            }
            // A teacher of another width: the old projection has no meaning there.
            _ => {
                taken_over = false;
                let distribution = Distribution::normal(student.initializer.projection_range);
                initial_tensor(&name, &shape, distribution, seed)
            }
        };
        parameters.insert(&name, value);
    }
    Ok(taken_over)
}
