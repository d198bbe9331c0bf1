//! A TensorFlow checkpoint opens or is refused. The input is the block of its index, which gets a
//! right checksum and footer here: without them hardly any input would be read further.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use tinyrun::model::Weights;

/// A block as it is stored: not compressed, with its checksum.
fn stored(block: &[u8]) -> Vec<u8> {
    let checked = [block, &[0]].concat();
    let crc = crc32c::crc32c(&checked).rotate_right(15).wrapping_add(0xa282_ead8);
    [&checked[..], &crc.to_le_bytes()].concat()
}

/// Place and length of a block.
fn handle(start: usize, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mut value in [start, len] {
        while value >= 0x80 {
            bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let first = handle(0, data.len());
    // One entry, whose key is not looked at, and one restart.
    let entry = [&[0, 1, first.len() as u8, b'z'], &first[..]].concat();
    let index = [&entry[..], &[0; 4], &[1, 0, 0, 0]].concat();
    let mut table = stored(data);
    let start = table.len();
    table.extend(stored(&index));
    let mut footer = [handle(0, 0), handle(start, index.len())].concat();
    footer.resize(40, 0);
    table.extend(footer);
    table.extend([0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]);
    let prefix = folder.path().join("bert_model.ckpt");
    fs::write(prefix.with_extension("ckpt.index"), table).expect("written");
    fs::write(prefix.with_extension("ckpt.data-00000-of-00001"), [7; 256]).expect("written");
    if let Ok(weights) = Weights::open(folder.path()) {
        for name in weights.names() {
            if let Ok(values) = weights.to_f32(name) {
                let shape = weights.shape(name).expect("it has one");
                assert_eq!(values.len(), shape.iter().product::<usize>());
            }
        }
    }
});
