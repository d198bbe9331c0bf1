//! Reading a table of `LevelDB`, the form of a TensorFlow checkpoint's index
//! (`tensorflow/core/lib/io/format.cc`): blocks of sorted keys, each with a checksum, and a footer.

use super::tensor::Checksum;
use crate::input::wire::varint;

/// Length of the footer, and its last bytes.
const FOOTER: usize = 48;
const MAGIC: [u8; 8] = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];

/// Behind each block: how it is compressed, and its checksum.
const TRAILER: usize = 5;

/// Longer keys are taken for damage: a block's entries may each repeat all of the key before.
const MAX_KEY: usize = 1024;

/// What is wrong with a table, and the byte where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: &'static str,
    pub(super) at: usize,
}

fn fault<T>(what: &'static str, at: usize) -> Result<T, Fault> {
    Err(Fault { what, at })
}

/// Gives every key of a table with its value and the value's place, in order.
///
/// # Errors
/// The table is damaged, or `each` finds a fault.
pub(super) fn each_entry<'t>(
    table: &'t [u8],
    mut each: impl FnMut(&[u8], &'t [u8], usize) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some(start) = table.len().checked_sub(FOOTER) else {
        return fault("it is too short for an index", 0);
    };
    let footer = &table[start..];
    if !footer.ends_with(&MAGIC) {
        return fault("it does not end as an index does", start);
    }
    let index = handle(footer)
        .and_then(|(_, taken)| handle(&footer[taken..]))
        .map(|(block, _)| block);
    let Some(index) = index else {
        return fault("its footer is damaged", start);
    };
    let (blocks, at) = block(table, index)?;
    in_block(blocks, at, |_, value, at| {
        let Some((found, _)) = handle(value) else {
            return fault("a block has no place", at);
        };
        let (entries, at) = block(table, found)?;
        in_block(entries, at, &mut each)
    })
}

/// Place and length of a block, and the bytes that they take.
fn handle(bytes: &[u8]) -> Option<((usize, usize), usize)> {
    let (start, first) = varint(bytes)?;
    let (len, second) = varint(&bytes[first..])?;
    let place = (usize::try_from(start).ok()?, usize::try_from(len).ok()?);
    Some((place, first + second))
}

/// A block whose checksum is right, and where it begins.
fn block(table: &[u8], (start, len): (usize, usize)) -> Result<(&[u8], usize), Fault> {
    let end = start.checked_add(len);
    let whole = end.and_then(|end| table.get(start..end.checked_add(TRAILER)?));
    let Some(whole) = whole else {
        return fault("a block reaches beyond its end", start.min(table.len()));
    };
    let (checked, sum) = whole.split_at(len + 1);
    let sum = sum.first_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
    if !Checksum::MaskedCrc32c(sum).is_of(checked) {
        return fault("the checksum of a block does not match", start);
    }
    if checked[len] != 0 {
        return fault(
            "a block is compressed, as TensorFlow never writes them",
            start,
        );
    }
    Ok((&checked[..len], start))
}

/// The entries of a block, which begins at `start` in its file.
fn in_block<'t>(
    block: &'t [u8],
    start: usize,
    mut each: impl FnMut(&[u8], &'t [u8], usize) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let restarts = block.last_chunk().map(|count| u32::from_le_bytes(*count));
    let restarts = restarts.and_then(|count| usize::try_from(count).ok()?.checked_mul(4));
    let end = restarts.and_then(|bytes| block.len().checked_sub(bytes.checked_add(4)?));
    let Some(end) = end else {
        return fault("a block has no entries", start);
    };
    let entries = &block[..end];
    let mut key: Vec<u8> = Vec::new();
    let mut place = 0;
    while place < end {
        let at = start + place;
        let mut number = || {
            let (value, taken) = varint(&entries[place..])?;
            place += taken;
            usize::try_from(value).ok()
        };
        let (Some(shared), Some(unshared), Some(len)) = (number(), number(), number()) else {
            return fault("an entry is damaged", at);
        };
        let tail = place.checked_add(unshared);
        let stop = tail.and_then(|tail| tail.checked_add(len));
        let (Some(tail), Some(stop)) = (tail, stop.filter(|stop| *stop <= end)) else {
            return fault("an entry reaches beyond its block", at);
        };
        if shared > key.len() || shared + unshared > MAX_KEY {
            return fault("a name is damaged", at);
        }
        key.truncate(shared);
        key.extend_from_slice(&entries[place..tail]);
        each(&key, &entries[tail..stop], start + tail)?;
        place = stop;
    }
    Ok(())
}
