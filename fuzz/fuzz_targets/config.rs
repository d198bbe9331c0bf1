//! A `config.json` reads or is refused; one that reads is written out as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyrun::model::BertConfig;

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let path = folder.path().join("config.json");
    std::fs::write(&path, data).expect("written");
    let Ok(config) = BertConfig::read(folder.path()) else {
        return;
    };
    let labels = config.labels();
    let written = config.to_json(true, &labels);
    std::fs::write(&path, written.to_string()).expect("written");
    let again = BertConfig::read(folder.path()).expect("what we wrote");
    assert_eq!(again.hidden_size, config.hidden_size);
    assert_eq!(again.labels().len(), labels.len().max(1));
});
