//! A record reads or is none; one that reads is written out as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyrun::report::{Style, record_text};
use tinyrun::runs::{RECORD, Record};

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    std::fs::write(folder.path().join(RECORD), data).expect("written");
    let _ = Record::refuse_newer(folder.path());
    let Some(record) = Record::read(folder.path()) else {
        return;
    };
    let _ = record_text(&record, folder.path(), Style::PLAIN);
    record.write(folder.path()).expect("written");
    assert_eq!(Record::read(folder.path()).as_ref(), Some(&record));
});
