//! JSON lines give rows and texts or a fault with its line; rows that read are the same when they
//! are written as JSON lines and read again.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use tinyrun::data::corpus::CorpusReader;
use tinyrun::data::table::{TableReader, TableRow};
use tinyrun::data::{DataError, DialectRule, Given, TableLayout, estimated_tokens, survey};
use tinyrun::experiment::{Experiment, StarterPaths, starter};

/// A first line that names the columns.
const FIRST: &[u8] = b"{\"a\": \"one\", \"b\": \"two\", \"c\": 1, \"text\": \"three\"}\n";

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else {
        return;
    };
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let path = folder.path().join("x.jsonl");
    // Mutations of a first line are seldom recognized as JSON lines.
    let start = if mode % 2 == 0 { FIRST } else { b"" };
    std::fs::write(&path, [start, data].concat()).expect("written");
    let layout = TableLayout {
        dialect: DialectRule::default(),
        text: "a".to_owned(),
        pair: (mode % 3 == 0).then(|| "b".to_owned()),
        label: "c".to_owned(),
        columns: None,
        skip_short: false,
    };
    let mut rows = Vec::new();
    match read_rows(&path, &layout, &mut rows) {
        Ok(()) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if !rows.is_empty() {
        let written = folder.path().join("y.jsonl");
        std::fs::write(&written, rows.iter().map(line_of).collect::<String>()).expect("written");
        let mut again = Vec::new();
        read_rows(&written, &layout, &mut again).expect("what was written");
        assert!(again.iter().map(line_of).eq(rows.iter().map(line_of)));
    }
    let files = [path.clone()];
    let mut corpus = CorpusReader::new(&files);
    while let Ok(Some(text)) = corpus.next_line() {
        assert!(!text.trim().is_empty());
    }
    if let Ok(found) = survey(&path, Given::default(), &estimated_tokens) {
        let paths = StarterPaths {
            table: "x.jsonl",
            corpus: None,
            teacher: "model",
        };
        let text = starter(&found, paths);
        // As an experiment it may have faults, such as two labels that differ in case only.
        let _ = Experiment::read(tinyrun::kinds::KINDS, "x.toml", "x", &text, &[]);
        assert!(text.parse::<toml::Table>().is_ok(), "{text}");
    }
});

/// Reads the rows before the first fault.
fn read_rows(path: &Path, layout: &TableLayout, rows: &mut Vec<TableRow>) -> Result<(), DataError> {
    let mut table = TableReader::open(path, layout)?;
    while let Some(row) = table.next_row()? {
        rows.push(row);
    }
    Ok(())
}

fn line_of(row: &TableRow) -> String {
    format!("{}\n", json!({"a": row.text, "b": row.pair, "c": row.label}))
}
