//! The pickle machine, cut down to what a dictionary of tensors needs
//! (docs/concepts/untrusted-files.md).
//!
//! A pickle is a program: opcodes push values on a stack, name functions and call them. Here
//! a name is one of [`Global`] or the file is refused, and "calling" one builds plain data,
//! so nothing of the file is ever executed. Dictionaries, lists and tuples live in a list
//! and refer to each other by index: no nesting, however deep, recurses.

mod input;
mod refusal;
mod value;

use std::collections::BTreeMap;

use self::input::Input;
use self::refusal::{Refusal, broken};
use self::value::{Global, Value, global, shown};

pub(super) use self::value::PickledTensor;

/// Runs a pickle that should leave a dictionary of tensors, and gives them by name.
pub(super) fn tensors(bytes: &[u8]) -> Result<BTreeMap<String, PickledTensor>, Refusal> {
    let mut machine = Machine {
        input: Input(bytes),
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
    input: Input<'b>,
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
            let opcode = self.input.byte()?;
            match opcode {
                // PROTO, FRAME: nothing to do.
                0x80 => drop(self.input.byte()?),
                0x95 => drop(self.input.take(8)?),
                // Marks and constants.
                b'(' => self.stack.push(Value::Mark),
                b'N' => self.stack.push(Value::None),
                0x88 | 0x89 => self.stack.push(Value::Bool),
                b'K' | b'M' | b'J' | 0x8a | b'G' => {
                    let number = self.input.number(opcode)?;
                    self.stack.push(number);
                }
                b'X' | b'T' | 0x8c | b'U' => {
                    let word = self.input.word(opcode)?;
                    self.stack.push(word);
                }
                b'c' | 0x93 => self.name(opcode)?,
                b'q' | b'r' | 0x94 => self.memoize(opcode)?,
                b'h' | b'j' => self.recall(opcode)?,
                b')' | 0x85..=0x87 | b't' => self.tuple(opcode)?,
                b']' | b'a' | b'e' => self.list(opcode)?,
                b'}' | b's' | b'u' => self.dict(opcode)?,
                // BUILD sets attributes: `_metadata`, which no tensor needs.
                b'b' => drop(self.pop()?),
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

    /// `GLOBAL`, `STACK_GLOBAL`.
    fn name(&mut self, opcode: u8) -> Result<(), Refusal> {
        let found = if opcode == b'c' {
            let module = self.input.line()?;
            let name = self.input.line()?;
            global(&module, &name)?
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let (Value::Text(module), Value::Text(name)) = (module, name) else {
                return Err(broken());
            };
            global(&module, &name)?
        };
        self.stack.push(Value::Global(found));
        Ok(())
    }

    /// `BINPUT`, `LONG_BINPUT`, `MEMOIZE`.
    fn memoize(&mut self, opcode: u8) -> Result<(), Refusal> {
        let slot = match opcode {
            b'q' => self.input.byte()?.into(),
            b'r' => u32::from_le_bytes(self.input.array()?),
            _ => u32::try_from(self.memo.len()).map_err(|_| broken())?,
        };
        let value = self.stack.last().ok_or_else(broken)?.clone();
        self.memo.insert(slot, value);
        Ok(())
    }

    /// `BINGET`, `LONG_BINGET`.
    fn recall(&mut self, opcode: u8) -> Result<(), Refusal> {
        let slot = match opcode {
            b'h' => self.input.byte()?.into(),
            _ => u32::from_le_bytes(self.input.array()?),
        };
        let value = self.memo.get(&slot).ok_or_else(broken)?.clone();
        self.stack.push(value);
        Ok(())
    }

    /// `EMPTY_TUPLE`, `TUPLE1`, `TUPLE2`, `TUPLE3`, `TUPLE`.
    fn tuple(&mut self, opcode: u8) -> Result<(), Refusal> {
        let items = match opcode {
            b')' => Vec::new(),
            0x85 => self.last(1)?,
            0x86 => self.last(2)?,
            0x87 => self.last(3)?,
            _ => self.above_mark()?,
        };
        self.groups.push(items);
        self.stack.push(Value::Tuple(self.groups.len() - 1));
        Ok(())
    }

    /// `EMPTY_LIST`, `APPEND`, `APPENDS`.
    fn list(&mut self, opcode: u8) -> Result<(), Refusal> {
        let items = match opcode {
            b']' => {
                self.groups.push(Vec::new());
                self.stack.push(Value::List(self.groups.len() - 1));
                return Ok(());
            }
            b'a' => self.last(1)?,
            _ => self.above_mark()?,
        };
        let Some(Value::List(index)) = self.stack.last() else {
            return Err(broken());
        };
        self.groups[*index].extend(items);
        Ok(())
    }

    /// `EMPTY_DICT`, `SETITEM`, `SETITEMS`.
    fn dict(&mut self, opcode: u8) -> Result<(), Refusal> {
        let items = match opcode {
            b'}' => {
                self.push_dict();
                return Ok(());
            }
            b's' => self.last(2)?,
            _ => self.above_mark()?,
        };
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

    fn pop(&mut self) -> Result<Value, Refusal> {
        self.stack.pop().ok_or_else(broken)
    }

    /// The last values on the stack, taken from it.
    fn last(&mut self, count: usize) -> Result<Vec<Value>, Refusal> {
        let start = self.stack.len().checked_sub(count).ok_or_else(broken)?;
        Ok(self.stack.split_off(start))
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

    fn push_dict(&mut self) {
        self.dicts.push(Vec::new());
        self.stack.push(Value::Dict(self.dicts.len() - 1));
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

#[cfg(test)]
mod tests;
