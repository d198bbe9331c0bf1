//! Format `onnx`: `model.onnx` with the names of files, inputs and outputs that `optimum` writes.
//!
//! Opset 17, dynamic batch size and length.

use std::path::Path;

use prost::Message;

use super::onnx_graph::graph;
use super::onnx_proto::ModelProto;
use super::{Export, ExportError, Exporter, Format, config, put};
use crate::model::{LoadedModel, WeightDtype, write_without_weights};

pub(super) struct Onnx;

const FILE: &str = "model.onnx";
/// The intermediate representation and the operators that every runtime of the last years reads.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

impl Exporter for Onnx {
    fn dtypes(&self) -> &'static [WeightDtype] {
        // onnxruntime has no bf16 on processors.
        &[WeightDtype::Fp32, WeightDtype::Fp16]
    }

    fn needs_classifier(&self) -> bool {
        true
    }

    fn write(
        &self,
        export: &Export<'_>,
        model: &LoadedModel,
        folder: &Path,
    ) -> Result<(), ExportError> {
        if model.config.use_relative_positions {
            return Err(ExportError::Unsupported {
                format: Format::Onnx,
                what: "relative positions",
            });
        }
        if model.config.family.relative_bias {
            return Err(ExportError::Unsupported {
                format: Format::Onnx,
                what: model.config.family.title,
            });
        }
        let dtype = export.dtype;
        let graph = graph(model, dtype)?;
        write_without_weights(folder, &config(model, dtype), export.tokenizer())?;
        let file = ModelProto::of(graph, IR_VERSION, OPSET);
        put(&folder.join(FILE), &file.encode_to_vec())
    }

    fn library(&self, _: &LoadedModel) -> Option<&'static str> {
        Some("onnx")
    }

    fn usage(&self, _: &LoadedModel) -> String {
        "```python\n\
         import onnxruntime\n\
         from transformers import AutoTokenizer\n\n\
         session = onnxruntime.InferenceSession(\"PATH/model.onnx\")\n\
         inputs = AutoTokenizer.from_pretrained(\"PATH\")(\"A text.\", truncation=True, return_tensors=\"np\")\n\
         print(session.run([\"logits\"], dict(inputs)))\n\
         ```\n"
            .to_owned()
    }
}
