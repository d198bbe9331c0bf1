//! A table gives rows or a fault with its line; looking at it guesses columns or says why not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyrun::data::table::TableReader;
use tinyrun::data::{DialectRule, Given, TableLayout, estimated_tokens, survey};
use tinyrun::experiment::{Experiment, StarterPaths, starter};

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else {
        return;
    };
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let ending = if mode % 2 == 0 { "csv" } else { "tsv" };
    let path = folder.path().join(format!("x.{ending}"));
    std::fs::write(&path, data).expect("written");
    let layout = TableLayout {
        dialect: DialectRule::default(),
        text: "a".to_owned(),
        pair: (mode % 3 == 0).then(|| "b".to_owned()),
        label: "c".to_owned(),
        columns: (mode % 5 == 0).then(|| ["a", "b", "c"].map(str::to_owned).to_vec()),
        skip_short: mode % 7 == 0,
    };
    if let Ok(mut table) = TableReader::open(&path, &layout) {
        while let Ok(Some(row)) = table.next_row() {
            let _ = row.is_blank();
        }
    }
    if let Ok(found) = survey(&path, Given::default(), &estimated_tokens) {
        let paths = StarterPaths {
            table: "x.csv",
            corpus: None,
            teacher: "model",
        };
        let text = starter(&found, paths);
        // What is written is TOML whatever the table holds; as an experiment it may have faults
        // that the user is told, such as classes that are but one.
        let _ = Experiment::read(tinyrun::kinds::KINDS, "x.toml", "x", &text, &[]);
        assert!(text.parse::<toml::Table>().is_ok(), "{text}");
    }
});
