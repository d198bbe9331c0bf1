//! Records to token stores: the same as tables and texts give.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::*;
use crate::data::labels::LabelSet;
use crate::data::prepare::{CorpusSettings, Dev, TaskSettings, prepare_corpus, prepare_task};
use crate::data::records::{schema_of, write_records};
use crate::data::store::TokenStore;
use crate::data::table::TableLayout;
use crate::data::{DialectRule, corpus};

static GO: AtomicBool = AtomicBool::new(false);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(name)
}

fn records(name: &str) -> RecordFiles {
    RecordFiles {
        files: vec![fixture("records").join(name)],
        is_alone: true,
    }
}

fn watch() -> Watch<'static> {
    Watch {
        progress: &|_, _| {},
        stop: &GO,
    }
}

fn rules() -> RowRules {
    RowRules {
        vocab_size: 64,
        pad: 0,
        has_second_segment: true,
        longest: Longest::Positions(32),
    }
}

fn task() -> RecordTask {
    RecordTask {
        format: RecordFormat::TfRecord,
        schema: Some(fixture("records/schema.json")),
        train: records("train.tf_record"),
        dev: RecordDev::Files(records("dev.tf_record")),
        more_dev: Vec::new(),
        labels: LabelRule::Found,
        rules: rules(),
    }
}

fn prepared(settings: &RecordTask) -> Result<(tempfile::TempDir, PrepReport), String> {
    let folder = tempfile::tempdir().unwrap();
    let report = prepare_record_task(settings, folder.path(), watch());
    let report = report.map_err(|error| error.to_string())?;
    Ok((folder, report))
}

fn assert_same_store(one: &Path, other: &Path) {
    TokenStore::open(one).expect("a store");
    for file in ["tokens.bin", "rows.bin", "store.json"] {
        let bytes = |folder: &Path| fs::read(folder.join(file)).unwrap();
        assert!(bytes(one) == bytes(other), "{file} of {}", one.display());
    }
}

#[test]
fn records_and_the_same_rows_as_a_table_give_the_same_stores() {
    let table = TaskSettings {
        unlabelled: Vec::new(),
        predictions: None,
        students: None,
        further: Vec::new(),
        train: vec![fixture("records/train.tsv")],
        dev: Dev::Table(fixture("records/dev.tsv")),
        more_dev: Vec::new(),
        layout: TableLayout {
            dialect: DialectRule::default(),
            text: "first".to_owned(),
            pair: Some("second".to_owned()),
            label: "class".to_owned(),
            columns: None,
            skip_short: false,
        },
        labels: LabelRule::Found,
        tokenizer: fixture("bert-tiny"),
        max_seq_length: 16,
    };
    let by_table = tempfile::tempdir().unwrap();
    prepare_task(&table, by_table.path(), watch()).unwrap();
    let (by_records, report) = prepared(&task()).unwrap();
    for split in ["train", "dev"] {
        assert_same_store(&by_records.path().join(split), &by_table.path().join(split));
    }
    assert_eq!(report.splits[0].rows_out, 40);
    assert_eq!(report.warnings, [""; 0]);
}

#[test]
fn records_and_the_same_lines_as_text_give_the_same_store() {
    let text = CorpusSettings {
        files: vec![fixture("records/corpus.txt")],
        tokenizer: fixture("bert-tiny"),
        max_seq_length: 16,
        long_lines: corpus::LongLines::Split,
        windows: None,
    };
    let by_text = tempfile::tempdir().unwrap();
    prepare_corpus(&text, by_text.path(), watch()).unwrap();
    // Without its schema, and with one that states no labels.
    for schema in [None, Some(fixture("records/schema-corpus.json"))] {
        let settings = RecordCorpus {
            format: RecordFormat::TfRecord,
            schema,
            files: records("corpus.tf_record"),
            rules: rules(),
        };
        let by_records = tempfile::tempdir().unwrap();
        let report = prepare_record_corpus(&settings, by_records.path(), watch()).unwrap();
        assert_same_store(
            &by_records.path().join("train"),
            &by_text.path().join("train"),
        );
        assert_eq!(report.splits[0].rows_out, 20);
    }
}

#[test]
fn a_length_that_is_set_is_kept_and_a_longer_record_names_both() {
    let with = |longest| RecordTask {
        rules: RowRules { longest, ..rules() },
        ..task()
    };
    let longest = |settings: &RecordTask| {
        let (folder, _) = prepared(settings)?;
        let store = TokenStore::open(&folder.path().join("dev")).unwrap();
        Ok(store.meta().max_seq_length)
    };
    assert_eq!(longest(&with(Longest::Positions(32))), Ok(16));
    assert_eq!(longest(&with(Longest::Written(20))), Ok(20));
    let found: Result<_, String> = longest(&with(Longest::Written(12)));
    let found = found.unwrap_err();
    assert!(
        found.ends_with(
            "dev.tf_record`, record 1 at byte 0, has 16 tokens, and `max-seq-length` is 12"
        ),
        "{found}"
    );
}

#[test]
fn classes_are_numbers_and_those_beyond_are_named_by_record() {
    let named = |names: &[&str]| {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let labels = LabelRule::Given(LabelSet::named(names));
        prepared(&RecordTask { labels, ..task() })
    };
    let (folder, report) = named(&["no", "maybe", "yes", "never"]).unwrap();
    let store = TokenStore::open(&folder.path().join("train")).unwrap();
    assert_eq!(store.meta().labels, ["no", "maybe", "yes", "never"]);
    assert_eq!(report.warnings.len(), 2, "{:?}", report.warnings);
    let found = named(&["no", "yes"]).unwrap_err();
    assert!(
        found.ends_with("has the label 2, expected a class from 0 to 1"),
        "{found}"
    );
    // Found classes are those of the training records.
    let swapped = RecordTask {
        schema: None,
        train: records("dev.tf_record"),
        dev: RecordDev::Files(records("train.tf_record")),
        ..task()
    };
    assert_eq!(prepared(&swapped).unwrap().1.splits[0].labels.len(), 3);
    let values = RecordTask {
        labels: LabelRule::Values,
        ..task()
    };
    let (folder, _) = prepared(&values).unwrap();
    let store = TokenStore::open(&folder.path().join("train")).unwrap();
    assert_eq!((store.label(1), store.meta().labels.len()), (Some(1.0), 0));
}

#[test]
fn a_share_of_the_training_records_is_held_out() {
    let settings = RecordTask {
        dev: RecordDev::Fraction(0.3),
        ..task()
    };
    let (_, report) = prepared(&settings).unwrap();
    let rows: Vec<u64> = report.splits.iter().map(|split| split.rows_out).collect();
    assert_eq!(rows.iter().sum::<u64>(), 40);
    assert!(rows[1] > 4 && rows[1] < 20, "{rows:?}");
    let none = RecordTask {
        dev: RecordDev::Fraction(1e-9),
        ..task()
    };
    assert_eq!(
        prepared(&none).unwrap_err(),
        "`dev-fraction` 0.000000001 leaves no rows for dev"
    );
}

#[test]
fn rows_beyond_those_of_the_schema_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fixture("records/schema.json")).unwrap();
    let schema = folder.path().join("schema.json");
    fs::write(&schema, text.replace("1000", "12")).unwrap();
    let settings = RecordTask {
        schema: Some(schema),
        ..task()
    };
    let (_, report) = prepared(&settings).unwrap();
    let rows: Vec<u64> = report.splits.iter().map(|split| split.rows_out).collect();
    assert_eq!(rows, [12, 12]);
    assert_eq!(
        report.warnings[0],
        "train has more records than `numRows` of the schema: only the first 12 are read"
    );
    assert_eq!(report.warnings.len(), 1);
}

#[test]
fn progress_ends_with_all_bytes_and_a_stop_flag_ends_it() {
    let seen = std::cell::RefCell::new(Vec::new());
    let progress = |done, total| seen.borrow_mut().push((done, total));
    let watch = Watch {
        progress: &progress,
        stop: &GO,
    };
    let folder = tempfile::tempdir().unwrap();
    prepare_record_task(&task(), folder.path(), watch).unwrap();
    let bytes = |name: &str| fs::metadata(fixture("records").join(name)).unwrap().len();
    let total = bytes("train.tf_record") + bytes("dev.tf_record");
    assert_eq!(seen.borrow().last(), Some(&(total, total)));
    assert!(seen.borrow().is_sorted());
    let stop = AtomicBool::new(true);
    let watch = Watch {
        progress: &|_, _| {},
        stop: &stop,
    };
    let found = prepare_record_task(&task(), folder.path(), watch);
    assert!(matches!(found, Err(DataError::Interrupted)));
}

#[test]
fn a_store_that_is_written_as_records_is_read_as_the_same_store() {
    let (folder, _) = prepared(&task()).unwrap();
    let values = RecordTask {
        labels: LabelRule::Values,
        ..task()
    };
    let (values, _) = prepared(&values).unwrap();
    let sources = [(folder, LabelRule::Found), (values, LabelRule::Values)];
    for format in [RecordFormat::TfRecord, RecordFormat::MindRecord] {
        for (source, labels) in &sources {
            let temp = tempfile::tempdir().unwrap();
            let path = |name: &str| temp.path().join(name);
            for split in ["train", "dev"] {
                let store = TokenStore::open(&source.path().join(split)).unwrap();
                write_records(&store, format, &path(split)).unwrap();
                fs::write(path("schema.json"), schema_of(&store).to_string()).unwrap();
            }
            let files = |name: &str| RecordFiles {
                files: vec![path(name)],
                is_alone: true,
            };
            let again = RecordTask {
                format,
                schema: Some(path("schema.json")),
                train: files("train"),
                dev: RecordDev::Files(files("dev")),
                labels: labels.clone(),
                ..task()
            };
            let (again, _) = prepared(&again).unwrap();
            for split in ["train", "dev"] {
                assert_same_store(&again.path().join(split), &source.path().join(split));
            }
        }
    }
}
