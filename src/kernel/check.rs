//! Whether a model can do a job: its classes, its vocabulary, its layers.

use std::path::Path;

use tinyrun_base::data::store::TokenStore;
use tinyrun_base::input::excerpt_list;
use tinyrun_base::job::{LayerMap, Relations};
use tinyrun_base::model::{BertConfig, LabelFit, label_fit};

use crate::error::KernelError;
use crate::parameters::Parameters;

/// Why the layers of two models cannot be compared; `None` where they can.
pub(crate) fn unfit(
    map: &LayerMap,
    relations: Option<&Relations>,
    student: &BertConfig,
    teacher: &BertConfig,
) -> Option<String> {
    let (layers, heads) = (teacher.num_hidden_layers, teacher.num_attention_heads);
    if let Some(relations) = relations {
        let widths = [student.hidden_size, teacher.hidden_size];
        let parts = relations.heads;
        if let Some(width) = widths.iter().find(|width| !width.is_multiple_of(parts)) {
            return Some(format!(
                "a width of {width} is not a multiple of {parts} relation heads"
            ));
        }
    } else if heads != student.num_attention_heads {
        let own = student.num_attention_heads;
        return Some(format!("it has {heads} attention heads, the student {own}"));
    }
    let own = student.num_hidden_layers;
    if (map.attention.len(), map.hidden.len()) != (own, own + 1) {
        let mapped = map.attention.len();
        return Some(format!(
            "the layer map has {mapped} layers, the student has {own}"
        ));
    }
    let attention = map.attention.iter().find(|&&layer| layer >= layers);
    let hidden = map.hidden.iter().find(|&&state| state > layers);
    let layer = attention.or(hidden)?;
    Some(format!(
        "the layer map names layer {layer}, the teacher has {layers} layers"
    ))
}

/// Whether a classifier, where there is one, has the classes of the data.
pub(crate) fn check_classes(
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

/// Refuses a model whose class names are the data's in another order: its predictions would be
/// read swapped. Other names are a warning.
pub(crate) fn check_label_order(
    folder: &Path,
    config: &BertConfig,
    labels: &[String],
) -> Result<Option<String>, KernelError> {
    let named = config.labels();
    let list = |names: &[String]| excerpt_list(names);
    match label_fit(config, labels) {
        LabelFit::Same | LabelFit::Unnamed => Ok(None),
        LabelFit::Reordered => Err(KernelError::LabelOrder {
            model: folder.to_owned(),
            found: list(&named),
            expected: list(labels),
        }),
        LabelFit::Different => Ok(Some(format!(
            "`{}` names its classes {}, the data {}: assuming that they correspond in this order",
            folder.display(),
            list(&named),
            list(labels)
        ))),
    }
}

/// Whether a model can read the rows of a store.
pub(crate) fn check_data(
    model: &Path,
    config: &BertConfig,
    data: &TokenStore,
) -> Result<(), KernelError> {
    let meta = data.meta();
    if meta.vocab_size > config.vocab_size {
        return Err(KernelError::Vocabulary {
            data: meta.vocab_size,
            model: model.to_owned(),
            vocabulary: config.vocab_size,
        });
    }
    if meta.max_seq_length > config.longest_input() {
        return Err(KernelError::TooLong {
            longest: meta.max_seq_length,
            positions: config.longest_input(),
        });
    }
    Ok(())
}
