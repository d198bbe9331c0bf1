//! A token store opens or is refused; every row of one that opens can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyrun::data::TokenStore;

fuzz_target!(|data: &[u8]| {
    // Two lengths, then the three files.
    let Some((head, rest)) = data.split_at_checked(4) else {
        return;
    };
    let length = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let (first, rest) = rest.split_at(length(0).min(rest.len()));
    let (second, third) = rest.split_at(length(2).min(rest.len()));
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    for (name, bytes) in [("store.json", first), ("rows.bin", second), ("tokens.bin", third)] {
        std::fs::write(folder.path().join(name), bytes).expect("written");
    }
    let Ok(store) = TokenStore::open(folder.path()) else {
        return;
    };
    for row in 0..store.len() {
        let ids = store.input_ids(row);
        assert_eq!(ids.len(), store.length(row));
        assert!(store.text_b_start(row) <= ids.len());
        let _ = store.label(row);
    }
});
