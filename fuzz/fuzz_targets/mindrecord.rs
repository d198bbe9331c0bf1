//! Files of MindRecord give rows, or a fault with its row and byte.
#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use tinyrun::data::records::{Longest, RecordReader, RowRules};
use tinyrun::data::{RecordFormat, recognize_records};

const RULES: RowRules = RowRules {
    vocab_size: 64,
    pad: 0,
    has_second_segment: true,
    longest: Longest::Positions(1000),
};

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let path = folder.path().join("x.mindrecord");
    std::fs::write(&path, data).expect("written");
    let _ = recognize_records(&path).expect("it is there");
    let files: [PathBuf; 1] = [path];
    for is_alone in [true, false] {
        let reader = RecordReader::new(&files, RecordFormat::MindRecord, None, is_alone);
        let Ok(mut reader) = reader else {
            continue;
        };
        // A row has a byte of length at least: there are no more than bytes.
        let mut rows = 0;
        while let Ok(Some(record)) = reader.next_record() {
            rows += 1;
            assert!(rows <= data.len());
            if let Ok(fields) = record.fields(None, true) {
                let _ = RULES.row(fields);
            }
        }
    }
});
