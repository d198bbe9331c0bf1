//! The models that a student learns from, opened and checked.

use tinyrun_base::data::store::TokenStore;
use tinyrun_base::job::{Objective, Teacher as TeacherSpec, Train};
use tinyrun_base::model::BertConfig;

use crate::check::{check_data, check_label_order, unfit};
use crate::error::KernelError;
use crate::folder::{open, tensors_of, with_classes};
use crate::parameters::Parameters;

/// The rows that a teacher's own tokenizer has cut, each of the same text as in `data`.
pub(super) fn own_rows(
    spec: &TeacherSpec,
    data: &TokenStore,
) -> Result<Option<TokenStore>, KernelError> {
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
pub(super) fn open_teacher(
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
