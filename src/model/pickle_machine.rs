//! The pickle machine, cut down to what a dictionary of tensors needs
//! (docs/concepts/untrusted-files.md).
//!
//! A pickle is a program: opcodes push values on a stack, name functions and call them. Here
//! a name is one of [`Global`] or the file is refused, and "calling" one builds plain data,
//! so nothing of the file is ever executed. Dictionaries, lists and tuples live in a list
//! and refer to each other by index: no nesting, however deep, recurses.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::tensor::Dtype;

/// A tensor as the pickle describes it; nothing about it has been checked against the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PickledTensor {
    /// Name of the archive's entry with the numbers, below `data/`.
    pub(super) key: Rc<str>,
    pub(super) dtype: Dtype,
    /// Numbers in the storage.
    pub(super) numbers: usize,
    /// Numbers before the first one.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// Why a pickle is not read, to follow "its pickle".
pub(super) type Refusal = String;

/// The functions and classes that a dictionary of tensors names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Dtype),
}

#[derive(Debug, Clone)]
enum Value {
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
    fn kind(&self) -> &'static str {
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

/// Runs a pickle that should leave a dictionary of tensors, and gives them by name.
pub(super) fn tensors(bytes: &[u8]) -> Result<BTreeMap<String, PickledTensor>, Refusal> {
    let mut machine = Machine {
        bytes,
        ..Machine::default()
    };
    let top = machine.run()?;
    let Value::Dict(index) = top else {
        return Err(format!(
            "contains {}, not a dictionary of tensors",
            top.kind()
        ));
    };
    let mut named = BTreeMap::new();
    for (key, value) in &machine.dicts[index] {
        let Value::Text(name) = key else {
            return Err(format!(
                "contains a dictionary with {} for a name",
                key.kind()
            ));
        };
        let Value::Tensor(tensor) = value else {
            return Err(format!(
                "contains {} under `{}`, not a tensor",
                value.kind(),
                shown(name)
            ));
        };
        named.insert(name.to_string(), machine.tensors[*tensor].clone());
    }
    Ok(named)
}

#[derive(Default)]
struct Machine<'b> {
    bytes: &'b [u8],
    stack: Vec<Value>,
    memo: BTreeMap<u32, Value>,
    groups: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
    tensors: Vec<PickledTensor>,
}

impl Machine<'_> {
    /// Opcodes are those of Python's `pickletools`, protocols 2 to 4.
    fn run(&mut self) -> Result<Value, Refusal> {
        loop {
            let opcode = self.byte()?;
            match opcode {
                // PROTO, FRAME: nothing to do.
                0x80 => drop(self.byte()?),
                0x95 => drop(self.take(8)?),
                // Marks and constants.
                b'(' => self.stack.push(Value::Mark),
                b'N' => self.stack.push(Value::None),
                0x88 | 0x89 => self.stack.push(Value::Bool),
                b'K' | b'M' | b'J' | 0x8a | b'G' => self.number(opcode)?,
                b'X' | b'T' | 0x8c | b'U' => self.word(opcode)?,
                // GLOBAL, STACK_GLOBAL.
                b'c' => {
                    let module = self.line()?;
                    let name = self.line()?;
                    self.stack.push(Value::Global(global(&module, &name)?));
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (module, name) else {
                        return Err(broken());
                    };
                    self.stack.push(Value::Global(global(&module, &name)?));
                }
                // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET.
                b'q' => {
                    let slot = self.byte()?.into();
                    self.memoize(slot)?;
                }
                b'r' => {
                    let slot = u32::from_le_bytes(self.array()?);
                    self.memoize(slot)?;
                }
                0x94 => {
                    let slot = u32::try_from(self.memo.len()).map_err(|_| broken())?;
                    self.memoize(slot)?;
                }
                b'h' => {
                    let slot = self.byte()?.into();
                    self.recall(slot)?;
                }
                b'j' => {
                    let slot = u32::from_le_bytes(self.array()?);
                    self.recall(slot)?;
                }
                // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE.
                b')' => self.tuple(0)?,
                0x85 => self.tuple(1)?,
                0x86 => self.tuple(2)?,
                0x87 => self.tuple(3)?,
                b't' => {
                    let items = self.above_mark()?;
                    self.push_tuple(items);
                }
                // EMPTY_LIST, APPEND, APPENDS.
                b']' => {
                    self.groups.push(Vec::new());
                    self.stack.push(Value::List(self.groups.len() - 1));
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.above_mark()?;
                    self.append(items)?;
                }
                // EMPTY_DICT, SETITEM, SETITEMS.
                b'}' => self.push_dict(),
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.above_mark()?;
                    self.set_items(&items)?;
                }
                // BUILD sets attributes: `_metadata`, which no tensor needs.
                b'b' => {
                    self.pop()?;
                }
                // BINPERSID, REDUCE, STOP.
                b'Q' => self.storage()?,
                b'R' => self.call()?,
                b'.' => return self.pop(),
                other => {
                    return Err(format!(
                        "uses opcode {other:#04x}, which a dictionary of tensors does not need"
                    ));
                }
            }
        }
    }

    // BININT1, BININT2, BININT, LONG1, and BINFLOAT, which appears in metadata only.
    fn number(&mut self, opcode: u8) -> Result<(), Refusal> {
        let int = match opcode {
            b'K' => i64::from(self.byte()?),
            b'M' => u16::from_le_bytes(self.array()?).into(),
            b'J' => i32::from_le_bytes(self.array()?).into(),
            b'G' => {
                self.take(8)?;
                self.stack.push(Value::Float);
                return Ok(());
            }
            _ => return self.long(),
        };
        self.stack.push(Value::Int(int));
        Ok(())
    }

    // BINUNICODE, BINSTRING, SHORT_BINUNICODE, SHORT_BINSTRING.
    fn word(&mut self, opcode: u8) -> Result<(), Refusal> {
        let length = match opcode {
            b'X' | b'T' => u32::from_le_bytes(self.array()?) as usize,
            _ => self.byte()?.into(),
        };
        self.text(length)
    }

    fn byte(&mut self) -> Result<u8, Refusal> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (array, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(cut_off)?;
        self.bytes = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&[u8], Refusal> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or_else(cut_off)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn line(&mut self) -> Result<String, Refusal> {
        let end = self
            .bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(cut_off)?;
        let line = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.byte()?;
        Ok(line)
    }

    fn text(&mut self, length: usize) -> Result<(), Refusal> {
        let text = std::str::from_utf8(self.take(length)?)
            .map_err(|_| broken())?
            .into();
        self.stack.push(Value::Text(text));
        Ok(())
    }

    /// LONG1: little-endian two's complement of up to 8 bytes.
    fn long(&mut self) -> Result<(), Refusal> {
        let length = self.byte()?.into();
        let digits = self.take(length)?;
        let negative = digits.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut padded = if negative { [0xff; 8] } else { [0; 8] };
        padded
            .get_mut(..length)
            .ok_or("contains an integer of more than 64 bits")?
            .copy_from_slice(digits);
        self.stack.push(Value::Int(i64::from_le_bytes(padded)));
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, Refusal> {
        self.stack.pop().ok_or_else(broken)
    }

    fn above_mark(&mut self) -> Result<Vec<Value>, Refusal> {
        let mark = self
            .stack
            .iter()
            .rposition(|value| matches!(value, Value::Mark))
            .ok_or_else(broken)?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn memoize(&mut self, slot: u32) -> Result<(), Refusal> {
        let value = self.stack.last().ok_or_else(broken)?.clone();
        self.memo.insert(slot, value);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<(), Refusal> {
        let value = self.memo.get(&slot).ok_or_else(broken)?.clone();
        self.stack.push(value);
        Ok(())
    }

    fn tuple(&mut self, length: usize) -> Result<(), Refusal> {
        let start = self.stack.len().checked_sub(length).ok_or_else(broken)?;
        let items = self.stack.split_off(start);
        self.push_tuple(items);
        Ok(())
    }

    fn push_tuple(&mut self, items: Vec<Value>) {
        self.groups.push(items);
        self.stack.push(Value::Tuple(self.groups.len() - 1));
    }

    fn push_dict(&mut self) {
        self.dicts.push(Vec::new());
        self.stack.push(Value::Dict(self.dicts.len() - 1));
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), Refusal> {
        let Some(Value::List(index)) = self.stack.last() else {
            return Err(broken());
        };
        self.groups[*index].extend(items);
        Ok(())
    }

    fn set_items(&mut self, items: &[Value]) -> Result<(), Refusal> {
        let Some(Value::Dict(index)) = self.stack.last() else {
            return Err(broken());
        };
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(broken());
        };
        self.dicts[*index].extend(
            pairs
                .iter()
                .map(|[key, value]| (key.clone(), value.clone())),
        );
        Ok(())
    }

    fn tuple_items(&self, value: &Value) -> Result<&[Value], Refusal> {
        match value {
            Value::Tuple(index) => Ok(&self.groups[*index]),
            _ => Err(broken()),
        }
    }

    /// A persistent id: `("storage", class, key, device, numbers)`.
    fn storage(&mut self) -> Result<(), Refusal> {
        let id = self.pop()?;
        let storage = match self.tuple_items(&id)? {
            [
                Value::Text(kind),
                Value::Global(Global::Storage(dtype)),
                Value::Text(key),
                Value::Text(_),
                Value::Int(numbers),
            ] if &**kind == "storage" => Value::Storage(key.clone(), *dtype, size(*numbers)?),
            _ => {
                return Err(
                    "refers to something outside that is not a storage of numbers".to_owned(),
                );
            }
        };
        self.stack.push(storage);
        Ok(())
    }

    fn call(&mut self) -> Result<(), Refusal> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let arguments = self.tuple_items(&arguments)?;
        match function {
            Value::Global(Global::OrderedDict) if arguments.is_empty() => self.push_dict(),
            // _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])
            Value::Global(Global::RebuildTensor) => {
                let [
                    Value::Storage(key, dtype, numbers),
                    Value::Int(offset),
                    shape,
                    strides,
                    ..,
                ] = arguments
                else {
                    return Err(broken());
                };
                let tensor = PickledTensor {
                    key: key.clone(),
                    dtype: *dtype,
                    numbers: *numbers,
                    offset: size(*offset)?,
                    shape: self.sizes(shape)?,
                    strides: self.sizes(strides)?,
                };
                self.tensors.push(tensor);
                self.stack.push(Value::Tensor(self.tensors.len() - 1));
            }
            // _rebuild_parameter(tensor, requires_grad, hooks)
            Value::Global(Global::RebuildParameter) => {
                let [Value::Tensor(tensor), ..] = arguments else {
                    return Err(broken());
                };
                let tensor = Value::Tensor(*tensor);
                self.stack.push(tensor);
            }
            other => return Err(format!("calls {}", other.kind())),
        }
        Ok(())
    }

    fn sizes(&self, value: &Value) -> Result<Vec<usize>, Refusal> {
        let items = self.tuple_items(value)?;
        items
            .iter()
            .map(|item| match item {
                Value::Int(int) => size(*int),
                _ => Err(broken()),
            })
            .collect()
    }
}

fn size(int: i64) -> Result<usize, Refusal> {
    usize::try_from(int).map_err(|_| "contains a negative size".to_owned())
}

/// The function or class of this name, if a dictionary of tensors needs it.
fn global(module: &str, name: &str) -> Result<Global, Refusal> {
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
fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

fn cut_off() -> Refusal {
    "ends too early".to_owned()
}

fn broken() -> Refusal {
    "is not a well-formed dictionary of tensors".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{name: tensor}` of shape [2, 3] in a storage of 6 floats called `0`, as `torch.save` writes it.
    pub(in crate::model) const ONE_TENSOR: &[u8] = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01\
        ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03\
        ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x06tq\x07Q\
        K\x00K\x02K\x03\x86q\x08K\x03K\x01\x86q\x09\x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0ds.";

    #[test]
    fn a_tensor_is_described_as_saved() {
        let found = tensors(ONE_TENSOR).unwrap();
        let expected = PickledTensor {
            key: "0".into(),
            dtype: Dtype::F32,
            numbers: 6,
            offset: 0,
            shape: vec![2, 3],
            strides: vec![3, 1],
        };
        assert_eq!(found, BTreeMap::from([("a".to_owned(), expected)]));
    }

    #[test]
    fn a_function_that_tensors_do_not_need_is_refused_by_name() {
        let call = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.";
        let reason = tensors(call).unwrap_err();
        assert!(reason.starts_with("refers to `posix.system`"), "{reason}");

        let by_stack = b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.";
        assert!(
            tensors(by_stack)
                .unwrap_err()
                .starts_with("refers to `builtins.eval`")
        );

        let nested = b"\x80\x02ctorch\nload\n.";
        assert!(
            tensors(nested)
                .unwrap_err()
                .starts_with("refers to `torch.load`")
        );
    }

    #[test]
    fn a_name_with_control_characters_is_shown_escaped() {
        let reason = tensors(b"c\x1b[2Jos\nsystem\n.").unwrap_err();
        assert!(reason.contains("`\\u{1b}[2Jos.system`"), "{reason}");
    }

    #[test]
    fn opcodes_that_make_objects_are_refused() {
        // INST, OBJ, NEWOBJ, NEWOBJ_EX, EXT1, PERSID.
        for opcode in [b'i', b'o', 0x81, 0x92, 0x82, b'P'] {
            let reason = tensors(&[0x80, 2, b'(', opcode]).unwrap_err();
            assert!(reason.starts_with("uses opcode"), "{reason}");
        }
    }

    #[test]
    fn anything_but_a_dictionary_of_tensors_is_refused() {
        assert_eq!(
            tensors(b"\x80\x02K\x01.").unwrap_err(),
            "contains an integer, not a dictionary of tensors"
        );
        let epoch = b"\x80\x02}X\x05\x00\x00\x00epochK\x03s.";
        assert_eq!(
            tensors(epoch).unwrap_err(),
            "contains an integer under `epoch`, not a tensor"
        );
    }

    #[test]
    fn nesting_of_any_depth_is_read_without_recursion() {
        let mut deep = b"\x80\x02}X\x01\x00\x00\x00a)".to_vec();
        deep.resize(deep.len() + 1_000_000, 0x85);
        deep.extend_from_slice(b"s.");
        assert_eq!(
            tensors(&deep).unwrap_err(),
            "contains a tuple under `a`, not a tensor"
        );
    }

    #[test]
    fn no_cut_or_changed_byte_makes_the_machine_panic() {
        for length in 0..ONE_TENSOR.len() {
            assert!(tensors(&ONE_TENSOR[..length]).is_err(), "{length}");
        }
        let mut changed = ONE_TENSOR.to_vec();
        for at in 0..changed.len() {
            let byte = changed[at];
            for other in 0..=u8::MAX {
                changed[at] = other;
                drop(tensors(&changed));
            }
            changed[at] = byte;
        }
    }

    #[test]
    fn long_integers_keep_their_sign() {
        for (bytes, size) in [
            (&b"\x8a\x00"[..], Ok(0)),
            (b"\x8a\x02\x00\x01", Ok(256)),
            (b"\x8a\x05\x00\x00\x00\x80\x00", Ok(1 << 31)),
            (b"\x8a\x01\xff", Err("contains a negative size".to_owned())),
        ] {
            let program = [bytes, b"."].concat();
            let mut machine = Machine {
                bytes: &program,
                ..Machine::default()
            };
            let Ok(Value::Int(int)) = machine.run() else {
                panic!("{bytes:?}")
            };
            assert_eq!(super::size(int), size);
        }
    }
}
