//! The bytes of a pickle: opcodes, and the numbers and texts behind them.

use super::refusal::{Refusal, broken, cut_off};
use super::value::Value;

/// What has not been read of a pickle.
#[derive(Default)]
pub(super) struct Input<'b>(pub(super) &'b [u8]);

impl Input<'_> {
    /// `BININT1`, `BININT2`, `BININT`, `LONG1`, and `BINFLOAT`, which appears in metadata only.
    pub(super) fn number(&mut self, opcode: u8) -> Result<Value, Refusal> {
        let int = match opcode {
            b'K' => i64::from(self.byte()?),
            b'M' => u16::from_le_bytes(self.array()?).into(),
            b'J' => i32::from_le_bytes(self.array()?).into(),
            b'G' => {
                self.take(8)?;
                return Ok(Value::Float);
            }
            _ => self.long()?,
        };
        Ok(Value::Int(int))
    }

    /// `BINUNICODE`, `BINSTRING`, `SHORT_BINUNICODE`, `SHORT_BINSTRING`.
    pub(super) fn word(&mut self, opcode: u8) -> Result<Value, Refusal> {
        let length = match opcode {
            b'X' | b'T' => u32::from_le_bytes(self.array()?) as usize,
            _ => self.byte()?.into(),
        };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| broken())?;
        Ok(Value::Text(text.into()))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Refusal> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&[u8], Refusal> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn line(&mut self) -> Result<String, Refusal> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(cut_off)?;
        let line = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.byte()?;
        Ok(line)
    }

    /// `LONG1`: little-endian two's complement of up to 8 bytes.
    fn long(&mut self) -> Result<i64, Refusal> {
        let length = self.byte()?.into();
        let digits = self.take(length)?;
        let negative = digits.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut padded = if negative { [0xff; 8] } else { [0; 8] };
        padded
            .get_mut(..length)
            .ok_or("contains an integer of more than 64 bits")?
            .copy_from_slice(digits);
        Ok(i64::from_le_bytes(padded))
    }
}
