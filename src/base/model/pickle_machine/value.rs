//! What a pickle of tensors may hold, and the functions and classes that it may name.

use std::rc::Rc;

use super::refusal::Refusal;
use crate::model::tensor::Dtype;

/// A tensor as the pickle describes it; nothing about it has been checked against the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model) struct PickledTensor {
    /// Name of the archive's entry with the numbers, below `data/`.
    pub(in crate::model) key: Rc<str>,
    pub(in crate::model) dtype: Dtype,
    /// Numbers in the storage.
    pub(in crate::model) numbers: usize,
    /// Numbers before the first one.
    pub(in crate::model) offset: usize,
    pub(in crate::model) shape: Vec<usize>,
    pub(in crate::model) strides: Vec<usize>,
}

/// The functions and classes that a dictionary of tensors names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Dtype),
}

/// A value on the stack.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Mark,
    None,
    Bool,
    Int(i64),
    Float,
    Text(Rc<str>),
    Global(Global),
    /// Index in `groups`.
    Tuple(usize),
    /// Index in `groups`.
    List(usize),
    /// Index in `dicts`.
    Dict(usize),
    /// Key, type and length.
    Storage(Rc<str>, Dtype, usize),
    /// Index in `tensors`.
    Tensor(usize),
}

impl Value {
    /// What it is, in a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Mark => "a mark",
            Self::None => "nothing",
            Self::Bool => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float => "a float",
            Self::Text(_) => "text",
            Self::Global(_) => "a function or class",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dictionary",
            Self::Storage(..) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// The function or class of this name, if a dictionary of tensors needs it.
pub(super) fn global(module: &str, name: &str) -> Result<Global, Refusal> {
    let found = match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
        ("torch", class) => Global::Storage(match class {
            "DoubleStorage" => Dtype::F64,
            "FloatStorage" => Dtype::F32,
            "HalfStorage" => Dtype::F16,
            "BFloat16Storage" => Dtype::Bf16,
            "LongStorage" => Dtype::I64,
            "IntStorage" => Dtype::Other { name: "i32" },
            "ShortStorage" => Dtype::Other { name: "i16" },
            "CharStorage" => Dtype::Other { name: "i8" },
            "ByteStorage" => Dtype::Other { name: "u8" },
            "BoolStorage" => Dtype::Other { name: "bool" },
            _ => return Err(forbidden(module, name)),
        }),
        _ => return Err(forbidden(module, name)),
    };
    Ok(found)
}

fn forbidden(module: &str, name: &str) -> Refusal {
    format!(
        "refers to `{}.{}`, which a dictionary of tensors does not need",
        shown(module),
        shown(name)
    )
}

/// A name of the file as it may go to a terminal.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}
