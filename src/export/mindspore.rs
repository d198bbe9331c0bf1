//! Format `mindspore`: a checkpoint that MindSpore's TinyBERT loads, to evaluate or to train on.

use std::fmt::Write as _;
use std::path::Path;

use super::{Export, ExportError, Exporter, Format, config, tensors};
use crate::model::{LoadedModel, WeightDtype, write_mindspore, write_without_weights};

pub(super) struct MindSpore;

/// Name of the checkpoint in the exported folder.
const FILE: &str = "student.ckpt";

/// Epsilon of `nn.LayerNorm` in MindSpore, which no setting of its TinyBERT changes.
const LAYER_NORM_EPS: f64 = 1e-7;

impl MindSpore {
    /// Writes the checkpoint alone.
    ///
    /// # Errors
    /// As [`Exporter::write`].
    pub(super) fn write_file(
        export: &Export<'_>,
        model: &LoadedModel,
        path: &Path,
    ) -> Result<(), ExportError> {
        let dtype = export.dtype;
        if !model.config.family.token_types {
            return Err(ExportError::Unsupported {
                format: Format::MindSpore,
                what: model.config.family.title,
            });
        }
        let tensors = tensors(model, dtype)?.into_iter();
        let tensors = tensors.map(|(name, shape, bytes)| (name.to_owned(), shape, bytes));
        let tensors: Vec<_> = tensors.collect();
        // Phase 2 takes the names of phase 1, whose student has no classifier here.
        let is_of_task = export.history.is_some_and(|history| history.is_of_task);
        let is_of_task = is_of_task || model.has_classifier();
        Ok(write_mindspore(path, dtype, is_of_task, &tensors)?)
    }
}

impl Exporter for MindSpore {
    fn dtypes(&self) -> &'static [WeightDtype] {
        &[WeightDtype::Fp32, WeightDtype::Fp16, WeightDtype::Bf16]
    }

    fn needs_classifier(&self) -> bool {
        false
    }

    fn write(
        &self,
        export: &Export<'_>,
        model: &LoadedModel,
        folder: &Path,
    ) -> Result<(), ExportError> {
        let config = config(model, export.dtype);
        write_without_weights(folder, &config, export.tokenizer())?;
        Self::write_file(export, model, &folder.join(FILE))
    }

    fn library(&self, _: &LoadedModel) -> Option<&'static str> {
        Some("mindspore")
    }

    fn usage(&self, model: &LoadedModel) -> String {
        let mut text = format!(
            "```python\n\
             import mindspore\n\n\
             parameters = mindspore.load_checkpoint(\"PATH/{FILE}\")\n\
             mindspore.load_param_into_net(network, parameters)\n\
             ```\n\n\
             `network` is that of MindSpore's `research/nlp/tinybert`, with {} attention heads.\n",
            model.config.num_attention_heads
        );
        for note in self.notes(model) {
            let _ = writeln!(text, "\nMindSpore computes it otherwise: {note}.");
        }
        text
    }

    fn notes(&self, model: &LoadedModel) -> Vec<String> {
        let config = &model.config;
        let mut notes = Vec::new();
        if config.hidden_act == "gelu" {
            notes.push("its GELU is the tanh form, the model's is exact".to_owned());
        }
        if (config.layer_norm_eps - LAYER_NORM_EPS).abs() > f64::EPSILON * LAYER_NORM_EPS {
            let own = config.layer_norm_eps;
            notes.push(format!(
                "its LayerNorm has an epsilon of {LAYER_NORM_EPS:e}, the model's has {own:e}"
            ));
        }
        if model.has_classifier() && config.tinyrun_head.as_deref() != Some("relu") {
            notes.push(
                "its classifier reads `relu` of the pooled output, the model's does not".to_owned(),
            );
        }
        notes
    }
}
