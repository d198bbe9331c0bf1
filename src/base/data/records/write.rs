//! The examples of a token store as records, as Google's and Huawei's scripts write them, and their schema.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::columns::{Column, Values};
use super::fields::{IDS, LABEL, MASK, SEGMENTS};
use super::tfrecord::framed;
use super::{RecordFormat, example, mindrecord};
use crate::data::store::TokenStore;
use crate::system::write_atomic;

/// Writes every example of a store, padded to its `max_seq_length`, with its label if it has one. A
/// MindRecord file gets its database beside it, `path.db`.
///
/// # Errors
/// Where the disk refuses.
pub fn write_records(store: &TokenStore, format: RecordFormat, path: &Path) -> io::Result<()> {
    let rows = (0..store.len()).map(|row| columns(store, row));
    match format {
        RecordFormat::TfRecord => write_atomic(path, |file| {
            for row in rows {
                file.write_all(&framed(&example::message(row)))?;
            }
            Ok(())
        }),
        RecordFormat::MindRecord => mindrecord::write_rows(path, rows),
    }
}

/// The schema of a TFRecord file; a MindRecord file holds its own. It does not limit the rows, so that it is one for all splits.
pub fn schema_of(store: &TokenStore) -> Value {
    let column = |word: &str, length: usize| json!({"type": word, "rank": 1, "shape": [length]});
    let width = store.meta().max_seq_length;
    let mut columns = json!({});
    for name in [IDS, MASK, SEGMENTS] {
        columns[name] = column("int64", width);
    }
    if store.label(0).is_some() {
        let word = if is_regression(store) {
            "float32"
        } else {
            "int64"
        };
        columns[LABEL] = column(word, 1);
    }
    json!({"datasetType": "TF", "columns": columns})
}

/// Whether labels are values on a scale.
fn is_regression(store: &TokenStore) -> bool {
    store.meta().labels.is_empty()
}

fn columns(store: &TokenStore, row: usize) -> Vec<Column<'static>> {
    let (ids, second) = (store.input_ids(row), store.text_b_start(row));
    let padded = |value: &dyn Fn(usize) -> i64, padding: u32| {
        let place = |at: usize| {
            if at < ids.len() {
                value(at)
            } else {
                i64::from(padding)
            }
        };
        Values::Ints(
            (0..store.meta().max_seq_length)
                .map(place)
                .collect::<Vec<_>>()
                .into(),
        )
    };
    let pad = store.meta().pad_token_id;
    // In the order of their names, as Google's writer has them and MindSpore's needs them.
    let mut columns = vec![
        (IDS, padded(&|at| i64::from(ids[at]), pad)),
        (MASK, padded(&|_| 1, 0)),
    ];
    if let Some(label) = store.label(row) {
        columns.push((LABEL, label_of(label, is_regression(store))));
    }
    columns.push((SEGMENTS, padded(&|at| i64::from(at >= second), 0)));
    let columns = columns.into_iter();
    columns
        .map(|(name, values)| Column {
            name: name.into(),
            values,
        })
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "classes are few, and whole"
)]
fn label_of(label: f32, is_regression: bool) -> Values<'static> {
    if is_regression {
        Values::Floats(vec![label])
    } else {
        Values::Ints(vec![label as i64].into())
    }
}
