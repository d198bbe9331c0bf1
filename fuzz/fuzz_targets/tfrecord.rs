//! Files of TFRecord, and records whose checksums are right, give rows that a token store can hold, or a fault.
#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use tinyrun::data::records::{Longest, RecordReader, RowRules, TokenRow};
use tinyrun::data::{RecordFormat, recognize_records};

const RULES: RowRules = RowRules {
    vocab_size: 64,
    pad: 0,
    has_second_segment: true,
    longest: Longest::Written(1000),
};

fn masked(bytes: &[u8]) -> [u8; 4] {
    let sum = crc32c::crc32c(bytes);
    sum.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// A record with right checksums: a fuzzer does not find them.
fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else {
        return;
    };
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let path = folder.path().join("x.tf_record");
    let bytes = if mode % 2 == 0 { framed(data) } else { data.to_vec() };
    std::fs::write(&path, bytes).expect("written");
    let _ = recognize_records(&path).expect("it is there");
    let files: [PathBuf; 1] = [path];
    let Ok(mut reader) = RecordReader::new(&files, RecordFormat::TfRecord, None, false) else {
        return;
    };
    loop {
        match reader.next_record() {
            Ok(Some(record)) => match record.fields(None, mode % 3 == 0) {
                Ok(fields) => check(RULES.row(fields).ok()),
                Err(fault) => assert!(!fault.to_string().is_empty()),
            },
            Ok(None) => break,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                break;
            }
        }
    }
});

fn check(row: Option<TokenRow>) {
    let Some(row) = row else {
        return;
    };
    let ids = row.input_ids;
    assert!(!ids.is_empty() && ids.len() <= row.width && row.text_b_start <= ids.len());
    assert!(ids.iter().all(|id| *id < 64));
}
