//! Format `huggingface`: the folder that training stages write, in a number format of choice.

use std::path::Path;

use super::{Export, ExportError, Exporter, config, tensors};
use crate::model::{LoadedModel, WeightDtype, write_model_folder};

pub(super) struct HuggingFace;

impl Exporter for HuggingFace {
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
        let dtype = export.dtype;
        let tensors = tensors(model, dtype)?;
        let config = config(model, dtype);
        Ok(write_model_folder(
            folder,
            &config,
            dtype,
            tensors,
            export.tokenizer(),
        )?)
    }

    fn library(&self, model: &LoadedModel) -> Option<&'static str> {
        self.notes(model).is_empty().then_some("transformers")
    }

    fn usage(&self, model: &LoadedModel) -> String {
        let notes = self.notes(model);
        if !notes.is_empty() {
            let notes = notes.join("; ");
            // ONNX has no relative positions either.
            let or = if model.config.use_relative_positions {
                ""
            } else {
                ", or export it with `--format onnx`"
            };
            return format!(
                "`transformers` computes this model otherwise: {notes}. Use `tinyrun predict`{or}.\n"
            );
        }
        if model.has_classifier() {
            "```python\n\
             from transformers import pipeline\n\n\
             classify = pipeline(\"text-classification\", model=\"PATH\", top_k=None, truncation=True)\n\
             print(classify(\"A text.\"))\n\
             ```\n"
        } else {
            "```python\n\
             from transformers import AutoModel, AutoTokenizer\n\n\
             tokenizer, model = AutoTokenizer.from_pretrained(\"PATH\"), AutoModel.from_pretrained(\"PATH\")\n\
             states = model(**tokenizer(\"A text.\", return_tensors=\"pt\")).last_hidden_state\n\
             ```\n"
        }
        .to_owned()
    }

    fn notes(&self, model: &LoadedModel) -> Vec<String> {
        let config = &model.config;
        let mut notes = Vec::new();
        if model.has_classifier() && config.tinyrun_head.as_deref() == Some("relu") {
            notes.push(
                "the classifier reads `relu` of the pooled output (`tinyrun_head` in `config.json`), \
                 that of `transformers` does not"
                    .to_owned(),
            );
        }
        if config.use_relative_positions {
            notes.push(
                "the model has the relative positions of MindSpore's BERT, with which `transformers` \
                 does not open it"
                    .to_owned(),
            );
        }
        notes
    }
}
