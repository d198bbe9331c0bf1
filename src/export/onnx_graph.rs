//! BERT's computation as a graph of ONNX operators.
//!
//! Weights keep the names of their file; matrices that are multiplied from the right are stored
//! transposed, under the name with `.T`.

use super::onnx_proto::{
    AttributeProto as Attribute, Axis, FLOAT, FLOAT16, Graph, GraphProto, INT64, ValueInfoProto,
};
use super::{ExportError, rounded};
use crate::model::family::Pooling;
use crate::model::names::{EMBEDDINGS, POOLER, WORDS, in_file};
use crate::model::{LoadedModel, WeightDtype};

/// The last only for families that have token types.
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// The graph of a model as it is built.
struct Builder<'a> {
    model: &'a LoadedModel,
    dtype: WeightDtype,
    graph: Graph,
}

/// The graph of a model with a classifier, for any batch size and any length up to its positions.
///
/// # Errors
/// A tensor cannot be read, or its values are beyond the number format.
pub(super) fn graph(model: &LoadedModel, dtype: WeightDtype) -> Result<GraphProto, ExportError> {
    let mut builder = Builder {
        model,
        dtype,
        graph: Graph::default(),
    };
    let mask = builder.mask();
    let mut hidden = builder.embeddings()?;
    for layer in 0..model.config.num_hidden_layers {
        hidden = builder.layer(&format!("bert.encoder.layer.{layer}"), &hidden, &mask)?;
    }
    builder.head(&hidden)?;
    let rows = || Axis::Named("batch_size".to_owned());
    let axes = || [rows(), Axis::Named("sequence_length".to_owned())];
    let inputs = INPUTS.iter().take(model.config.family.inputs().len());
    let inputs = inputs.map(|name| ValueInfoProto::tensor(name, INT64, &axes()));
    let classes = signed(model.num_labels.unwrap_or_default());
    let axes = [rows(), Axis::Length(classes)];
    let output = ValueInfoProto::tensor("logits", FLOAT, &axes);
    Ok(builder.graph.finish(inputs.collect(), vec![output]))
}

fn signed(size: usize) -> i64 {
    i64::try_from(size).expect("sizes of a model are checked when it is opened")
}

impl Builder<'_> {
    fn op(&mut self, op: &str, inputs: &[&str]) -> String {
        self.graph.op(op, inputs, Vec::new())
    }

    fn element_type(&self) -> i32 {
        match self.dtype {
            WeightDtype::Fp16 => FLOAT16,
            WeightDtype::Fp32 | WeightDtype::Bf16 => FLOAT,
        }
    }

    fn add_floats(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f32],
    ) -> Result<String, ExportError> {
        let name = &in_file(name, self.model.config.family);
        let bytes = rounded(name, values, self.dtype)?;
        let shape = shape.iter().map(|&size| signed(size)).collect();
        Ok(self.graph.tensor(name, self.element_type(), shape, bytes))
    }

    /// A scalar.
    fn number(&mut self, value: f32) -> String {
        let name = self.graph.constant_name();
        self.add_floats(&name, &[], &[value])
            .expect("constants are small")
    }

    /// A tensor of the model under its own name.
    fn weight(&mut self, name: &str) -> Result<String, ExportError> {
        let values = self.model.weights.to_f32(name)?;
        let shape = self.model.weights.shape(name).unwrap_or_default().to_vec();
        self.add_floats(name, &shape, &values)
    }

    /// A matrix of the model with rows and columns exchanged.
    fn transposed(&mut self, name: &str) -> Result<String, ExportError> {
        let values = self.model.weights.to_f32(name)?;
        let shape = self.model.weights.shape(name).unwrap_or_default();
        let &[rows, columns] = shape else {
            unreachable!("shapes are checked when a model is opened")
        };
        let turned: Vec<f32> = (0..columns)
            .flat_map(|column| (0..rows).map(move |row| row * columns + column))
            .map(|place| values[place])
            .collect();
        self.add_floats(&format!("{name}.T"), &[columns, rows], &turned)
    }

    /// `x W^T + b` of the linear layer `name`.
    fn linear(&mut self, name: &str, x: &str) -> Result<String, ExportError> {
        let weight = self.transposed(&format!("{name}.weight"))?;
        let bias = self.weight(&format!("{name}.bias"))?;
        let product = self.op("MatMul", &[x, &weight]);
        Ok(self.op("Add", &[&bias, &product]))
    }

    /// The linear layer `name` of a matrix of one row per text.
    fn gemm(&mut self, name: &str, x: &str) -> Result<String, ExportError> {
        let weight = self.weight(&format!("{name}.weight"))?;
        let bias = self.weight(&format!("{name}.bias"))?;
        Ok(self.graph.op(
            "Gemm",
            &[x, &weight, &bias],
            vec![Attribute::int("transB", 1)],
        ))
    }

    fn norm(&mut self, name: &str, x: &str) -> Result<String, ExportError> {
        let weight = self.weight(&format!("{name}.LayerNorm.weight"))?;
        let bias = self.weight(&format!("{name}.LayerNorm.bias"))?;
        #[expect(clippy::cast_possible_truncation, reason = "the operator takes fp32")]
        let epsilon = self.model.config.layer_norm_eps as f32;
        let attributes = vec![
            Attribute::int("axis", -1),
            Attribute::float("epsilon", epsilon),
        ];
        Ok(self
            .graph
            .op("LayerNormalization", &[x, &weight, &bias], attributes))
    }

    /// `(1 - mask) * -10000`, `[B, 1, 1, L]`.
    fn mask(&mut self) -> String {
        let axes = self.graph.integers(&[1, 2], false);
        let mask = self.op("Unsqueeze", &[INPUTS[1], &axes]);
        let to = Attribute::int("to", i64::from(self.element_type()));
        let mask = self.graph.op("Cast", &[&mask], vec![to]);
        let (one, low) = (self.number(1.0), self.number(-10000.0));
        let padding = self.op("Sub", &[&one, &mask]);
        self.op("Mul", &[&padding, &low])
    }

    /// Sum of the rows of the tables, normalized, `[B, L, d]`.
    fn embeddings(&mut self) -> Result<String, ExportError> {
        let words = self.weight(WORDS)?;
        let words = self.op("Gather", &[&words, INPUTS[0]]);
        let table = self.weight(&format!("{EMBEDDINGS}position_embeddings.weight"))?;
        let from_to = vec![Attribute::int("start", 1), Attribute::int("end", 2)];
        let length = self.graph.op("Shape", &[INPUTS[0]], from_to);
        let zero = self.graph.integers(&[0], false);
        let positions = self.op("Slice", &[&table, &zero, &length, &zero]);
        let mut sum = self.op("Add", &[&words, &positions]);
        if self.model.config.family.token_types {
            let types = self.weight(&format!("{EMBEDDINGS}token_type_embeddings.weight"))?;
            let types = self.op("Gather", &[&types, INPUTS[2]]);
            sum = self.op("Add", &[&sum, &types]);
        }
        self.norm("bert.embeddings", &sum)
    }

    fn layer(&mut self, name: &str, x: &str, mask: &str) -> Result<String, ExportError> {
        let context = self.attention(&format!("{name}.attention.self"), x, mask)?;
        let output = format!("{name}.attention.output");
        let attended = self.linear(&format!("{output}.dense"), &context)?;
        let sum = self.op("Add", &[&attended, x]);
        let attended = self.norm(&output, &sum)?;
        let wide = self.linear(&format!("{name}.intermediate.dense"), &attended)?;
        let wide = self.activation(&wide);
        let output = format!("{name}.output");
        let narrow = self.linear(&format!("{output}.dense"), &wide)?;
        let sum = self.op("Add", &[&narrow, &attended]);
        self.norm(&output, &sum)
    }

    /// Softmax of the scores times the values, `[B, L, d]`.
    fn attention(&mut self, name: &str, x: &str, mask: &str) -> Result<String, ExportError> {
        let config = &self.model.config;
        let (heads, width) = (signed(config.num_attention_heads), config.head_size());
        #[expect(clippy::cast_precision_loss, reason = "widths of heads are small")]
        let scale = (width as f32).sqrt();
        let split = self.graph.integers(&[0, 0, heads, signed(width)], false);
        let mut parts = Vec::new();
        for (part, order) in [
            ("query", [0, 2, 1, 3]),
            ("key", [0, 2, 3, 1]),
            ("value", [0, 2, 1, 3]),
        ] {
            let part = self.linear(&format!("{name}.{part}"), x)?;
            let part = self.op("Reshape", &[&part, &split]);
            let order = vec![Attribute::ints("perm", &order)];
            parts.push(self.graph.op("Transpose", &[&part], order));
        }
        let scores = self.op("MatMul", &[&parts[0], &parts[1]]);
        let scale = self.number(scale);
        let scores = self.op("Div", &[&scores, &scale]);
        let scores = self.op("Add", &[&scores, mask]);
        let shares = self
            .graph
            .op("Softmax", &[&scores], vec![Attribute::int("axis", -1)]);
        let context = self.op("MatMul", &[&shares, &parts[2]]);
        let order = vec![Attribute::ints("perm", &[0, 2, 1, 3])];
        let context = self.graph.op("Transpose", &[&context], order);
        let joined = self.graph.integers(&[0, 0, heads * signed(width)], false);
        Ok(self.op("Reshape", &[&context, &joined]))
    }

    fn activation(&mut self, x: &str) -> String {
        let (one, half) = (self.number(1.0), self.number(0.5));
        let bent = match self.model.config.hidden_act.as_str() {
            "relu" => return self.op("Relu", &[x]),
            "gelu" => {
                let root = self.number(std::f32::consts::SQRT_2);
                let scaled = self.op("Div", &[x, &root]);
                self.op("Erf", &[&scaled])
            }
            // `gelu_new` and `gelu_pytorch_tanh`: tanh(sqrt(2 / pi) (x + 0.044715 x^3)).
            _ => {
                let (cubic, root) = (
                    self.number(0.044_715),
                    self.number(std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2),
                );
                let square = self.op("Mul", &[x, x]);
                let cube = self.op("Mul", &[&square, x]);
                let cube = self.op("Mul", &[&cube, &cubic]);
                let sum = self.op("Add", &[x, &cube]);
                let scaled = self.op("Mul", &[&sum, &root]);
                self.op("Tanh", &[&scaled])
            }
        };
        let raised = self.op("Add", &[&bent, &one]);
        let product = self.op("Mul", &[x, &raised]);
        self.op("Mul", &[&product, &half])
    }

    /// From the first token to `logits`, which are fp32.
    fn head(&mut self, hidden: &str) -> Result<(), ExportError> {
        let first = self.graph.integers(&[0], true);
        let first = self
            .graph
            .op("Gather", &[hidden, &first], vec![Attribute::int("axis", 1)]);
        let pooled = self.gemm(POOLER, &first)?;
        let read = match self.model.config.family.pools {
            Pooling::Relu => self.op("Relu", &[&pooled]),
            Pooling::Tanh => {
                let read = self.op("Tanh", &[&pooled]);
                match self.model.config.tinyrun_head.as_deref() {
                    Some("relu") => self.op("Relu", &[&read]),
                    _ => read,
                }
            }
        };
        let logits = self.gemm("classifier", &read)?;
        let to = vec![Attribute::int("to", i64::from(FLOAT))];
        self.graph.node("Cast", &[&logits], "logits", to);
        Ok(())
    }
}
