//! The messages of ONNX's `onnx.proto` (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>) that a
//! model needs, with the numbers that their fields have there, and a builder of graphs.

use prost::{Message, Oneof};

/// `TensorProto.DataType`
pub(super) const FLOAT: i32 = 1;
pub(super) const INT64: i32 = 7;
pub(super) const FLOAT16: i32 = 10;

/// `AttributeProto.AttributeType`
const TYPE_FLOAT: i32 = 1;
const TYPE_INT: i32 = 2;
const TYPE_INTS: i32 = 7;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelProto {
    #[prost(int64, tag = "1")]
    pub(super) ir_version: i64,
    #[prost(string, tag = "2")]
    pub(super) producer_name: String,
    #[prost(string, tag = "3")]
    pub(super) producer_version: String,
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub(super) opset_import: Vec<OperatorSetIdProto>,
}

/// A set of operators; the domain of ONNX's own is the empty name.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(int64, tag = "2")]
    pub(super) version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub(super) input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub(super) output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AttributeProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(float, tag = "2")]
    pub(super) f: f32,
    #[prost(int64, tag = "3")]
    pub(super) i: i64,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub(super) ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub(super) r#type: i32,
}

impl AttributeProto {
    pub(super) fn float(name: &str, f: f32) -> Self {
        Self {
            name: name.to_owned(),
            f,
            r#type: TYPE_FLOAT,
            ..Self::default()
        }
    }

    pub(super) fn int(name: &str, i: i64) -> Self {
        Self {
            name: name.to_owned(),
            i,
            r#type: TYPE_INT,
            ..Self::default()
        }
    }

    pub(super) fn ints(name: &str, ints: &[i64]) -> Self {
        Self {
            name: name.to_owned(),
            ints: ints.to_vec(),
            r#type: TYPE_INTS,
            ..Self::default()
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    /// Little-endian.
    #[prost(bytes = "vec", tag = "9")]
    pub(super) raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) r#type: Option<TypeProto>,
}

impl ValueInfoProto {
    /// A tensor; an axis is a number, or a name where its length differs from call to call.
    pub(super) fn tensor(name: &str, elem_type: i32, axes: &[Axis]) -> Self {
        let dim = axes.iter().map(|axis| Dimension {
            value: Some(axis.clone()),
        });
        let shape = Some(TensorShapeProto { dim: dim.collect() });
        Self {
            name: name.to_owned(),
            r#type: Some(TypeProto {
                tensor_type: Some(TensorType { elem_type, shape }),
            }),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub(super) tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorType {
    #[prost(int32, tag = "1")]
    pub(super) elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dimension {
    #[prost(oneof = "Axis", tags = "1, 2")]
    pub(super) value: Option<Axis>,
}

/// Length of an axis.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Axis {
    #[prost(int64, tag = "1")]
    Length(i64),
    #[prost(string, tag = "2")]
    Named(String),
}

impl ModelProto {
    /// A file with one graph, in ONNX's own operators.
    pub(super) fn of(graph: GraphProto, ir_version: i64, opset: i64) -> Self {
        Self {
            ir_version,
            producer_name: "tinyrun".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: opset,
            }],
        }
    }
}

/// A graph as it is built: every operator adds a node and names its output.
#[derive(Default)]
pub(super) struct Graph {
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
}

impl Graph {
    /// Adds an operator whose output is called `output`.
    pub(super) fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("/{op}_{}", self.nodes.len()),
            op_type: op.to_owned(),
            attribute,
        });
    }

    /// Adds an operator and returns the name of its output.
    pub(super) fn op(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = format!("/{op}_{}_output_0", self.nodes.len());
        self.node(op, inputs, &output, attributes);
        output
    }

    /// Adds a tensor and returns its name.
    pub(super) fn tensor(
        &mut self,
        name: &str,
        data_type: i32,
        dims: Vec<i64>,
        raw_data: Vec<u8>,
    ) -> String {
        self.tensors.push(TensorProto {
            dims,
            data_type,
            name: name.to_owned(),
            raw_data,
        });
        name.to_owned()
    }

    /// A name for a constant.
    pub(super) fn constant_name(&self) -> String {
        format!("constant_{}", self.tensors.len())
    }

    /// Adds integers, a scalar where `is_scalar`: as the index of a Gather, a list of one would keep
    /// its axis.
    pub(super) fn integers(&mut self, values: &[i64], is_scalar: bool) -> String {
        let count = i64::try_from(values.len()).expect("constants are small");
        let dims = if is_scalar { Vec::new() } else { vec![count] };
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.tensor(&self.constant_name(), INT64, dims, bytes.collect())
    }

    pub(super) fn finish(
        self,
        input: Vec<ValueInfoProto>,
        output: Vec<ValueInfoProto>,
    ) -> GraphProto {
        GraphProto {
            node: self.nodes,
            name: "model".to_owned(),
            initializer: self.tensors,
            input,
            output,
        }
    }
}
