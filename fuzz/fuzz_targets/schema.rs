//! The schema of records reads, or has a fault.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyrun::data::records::{Schema, wanted_columns};

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let path = folder.path().join("schema.json");
    std::fs::write(&path, data).expect("written");
    match Schema::read(&path) {
        Ok(schema) => {
            let _ = schema.check_columns(&path, wanted_columns(true));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
