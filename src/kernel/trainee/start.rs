//! What the student starts from: the tensors of its model, and initial values.

use std::path::Path;

use tinyrun_base::data::store::TokenStore;
use tinyrun_base::job::{Objective, Student as StudentSpec, Train};
use tinyrun_base::model::names::initialized;
use tinyrun_base::model::{BertConfig, Weights};

use crate::check::{check_classes, check_data};
use crate::error::KernelError;
use crate::folder::{FIT_DENSE_FILE, open, projection_names, tensor, tensors_of};
use crate::parameters::{Distribution, Parameters, initial_tensor};
use crate::seed::Seed;

/// The tensors of the model that the student starts from, none for random weights; with a classifier for so many
/// classes, where the objective trains one.
pub(super) fn own_parameters(
    train: &Train,
    data: &TokenStore,
    classes: Option<usize>,
    warnings: &mut Vec<String>,
) -> Result<Parameters, KernelError> {
    let spec = &train.student;
    let parameters = match &spec.weights {
        Some(folder) => {
            let model = open(folder)?;
            check_data(folder, &model.config, data)?;
            if !model.has_pooler && model.config.family.pooler_in_encoder {
                warnings.push(format!(
                    "`{}` has no pooler: its pooler starts from random weights",
                    folder.display()
                ));
            }
            tensors_of(folder, &model, classes.is_some() && !spec.new_classifier)?
        }
        None => Parameters::default(),
    };
    let folder = spec.weights.as_deref();
    check_data(
        folder.unwrap_or(Path::new("the student")),
        &spec.config,
        data,
    )?;
    if needs_names(&train.objective) && data.meta().labels.is_empty() {
        return Err(KernelError::NoLabels {
            store: train.data.store.clone(),
        });
    }
    if let Some(classes) = classes {
        check_classes(folder, &parameters, classes)?;
    }
    Ok(parameters)
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

/// Gives every tensor that the model lacks its initial values.
pub(super) fn fill(
    parameters: &mut Parameters,
    spec: &StudentSpec,
    classes: Option<usize>,
    seed: Seed,
) {
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

/// The projections of a stage that compares layers, by name: those that it starts from, or random weights.
pub(super) fn fill_projections(
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
