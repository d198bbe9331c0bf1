//! Tables to token stores, and what is wrong or odd with them.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::AtomicBool;

use tempfile::TempDir;

use super::*;
use crate::data::labels::MAX_LABELS;
use crate::data::report::LabelCount;
use crate::data::store::TokenStore;
use crate::data::table::{DialectRule, TableLayout};
use crate::data::tokenizer::tests::{PIECES, folder};

static GO: AtomicBool = AtomicBool::new(false);

/// A folder with some of the words of [`PIECES`], in MPNet's form.
fn in_mpnets_form(wanted: impl Fn(&str) -> bool) -> TempDir {
    let folder = TempDir::new().unwrap();
    let words = PIECES.iter().filter(|piece| !piece.starts_with('['));
    let words: Vec<&str> = words.copied().filter(|word| wanted(word)).collect();
    let tokens = [&["<s>", "<pad>", "</s>", "[UNK]"], &words[..], &["<mask>"]].concat();
    fs::write(folder.path().join("vocab.txt"), tokens.join("\n")).unwrap();
    let class = r#"{"tokenizer_class": "MPNetTokenizer"}"#;
    fs::write(folder.path().join("tokenizer_config.json"), class).unwrap();
    folder
}

fn settings(folder: &TempDir, train: &str, dev: Option<&str>) -> TaskSettings {
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    TaskSettings {
        train: vec![write("train.tsv", train)],
        dev: dev.map_or(Dev::Fraction(0.3), |dev| Dev::Table(write("dev.tsv", dev))),
        layout: TableLayout {
            dialect: DialectRule::default(),
            text: "sentence".to_owned(),
            pair: None,
            label: "label".to_owned(),
            columns: None,
            skip_short: false,
        },
        more_dev: Vec::new(),
        unlabelled: Vec::new(),
        predictions: None,
        students: None,
        further: Vec::new(),
        labels: LabelRule::Found,
        tokenizer: folder.path().to_owned(),
        max_seq_length: 5,
    }
}

fn prepare(settings: &TaskSettings, folder: &TempDir) -> Result<PrepReport, DataError> {
    let watch = Watch {
        progress: &|done, total| assert!(done <= total),
        stop: &GO,
    };
    prepare_task(settings, &folder.path().join("out"), watch)
}

fn fault(train: &str, dev: &str) -> DataError {
    let folder = folder();
    prepare(&settings(&folder, train, Some(dev)), &folder).unwrap_err()
}

fn open(folder: &TempDir, side: &str) -> TokenStore {
    TokenStore::open(&folder.path().join("out").join(side)).unwrap()
}

const TRAIN: &str =
    "sentence\tlabel\na good film\t1\nnot a good film\t0\n \t1\nbad .\t0\nwhat\t1\n";
const DEV: &str = "sentence\tlabel\nbad . \t1\ngood\t0\n";

#[test]
fn tables_become_two_stores_and_a_report() {
    let folder = folder();
    let mut settings = settings(&folder, TRAIN, Some(DEV));
    settings.labels = LabelRule::Given(LabelSet::spelt(
        &["0", "1"],
        ["negative", "positive"].map(str::to_owned).to_vec(),
    ));
    let report = prepare(&settings, &folder).unwrap();
    let train = open(&folder, "train");
    assert_eq!(train.len(), 4);
    assert_eq!(train.input_ids(0), [2, 5, 6, 7, 3]);
    assert_eq!(train.input_ids(1), [2, 15, 5, 6, 3]);
    assert_eq!(train.label(1), Some(0.0));
    assert_eq!(train.text_b_start(1), 5);
    assert_eq!(train.meta().labels, ["negative", "positive"]);
    assert_eq!(open(&folder, "dev").len(), 2);

    let split = &report.splits[0];
    assert_eq!((split.rows_in, split.rows_out, split.blank), (5, 4, 1));
    assert_eq!((split.truncated, split.unknown, split.tokens), (1, 1, 17));
    assert!((split.truncated_share - 0.25).abs() < 1e-12);
    assert!((split.unknown_share - 1.0 / 9.0).abs() < 1e-12);
    let counts = ["negative", "positive"].map(|name| LabelCount {
        name: name.to_owned(),
        examples: 2,
    });
    assert_eq!(split.labels, counts);
    assert_eq!(report.train_texts_in_dev, 1);
    assert_eq!(report.bytes_read, (TRAIN.len() + DEV.len()) as u64);
    let text = fs::read(folder.path().join("out/report.json")).unwrap();
    assert_eq!(serde_json::from_slice::<PrepReport>(&text).unwrap(), report);
}

#[test]
fn a_pair_has_both_its_texts() {
    let folder = folder();
    let table = "a\tb\tlabel\ngood\tbad\tx\nfilm\t\ty\n";
    let mut settings = settings(&folder, table, Some(table));
    settings.layout.text = "a".to_owned();
    settings.layout.pair = Some("b".to_owned());
    prepare(&settings, &folder).unwrap();
    let train = open(&folder, "train");
    assert_eq!(train.input_ids(0), [2, 6, 3, 8, 3]);
    assert_eq!(train.input_ids(1), [2, 7, 3, 3]);
    assert_eq!([0, 1].map(|i| train.text_b_start(i)), [3, 3]);
    assert_eq!(train.meta().labels, ["x", "y"]);
    settings.max_seq_length = 4;
    let error = prepare(&settings, &folder).unwrap_err();
    assert!(matches!(error, DataError::MaxSeqLength { least: 5, .. }));
}

#[test]
fn a_fraction_keeps_duplicates_on_one_side() {
    let folder = folder();
    let table: Vec<String> = (0..400)
        .map(|i| format!("{}\t{}", "good ".repeat(i % 97), i % 2))
        .collect();
    let table = format!("sentence\tlabel\n{}", table.join("\n"));
    let mut settings = settings(&folder, &table, None);
    settings.max_seq_length = 128;
    let report = prepare(&settings, &folder).unwrap();
    let texts = |side: &str| -> BTreeSet<usize> {
        let store = open(&folder, side);
        (0..store.len()).map(|i| store.length(i)).collect()
    };
    assert!(texts("train").is_disjoint(&texts("dev")));
    assert_eq!(texts("train").len() + texts("dev").len(), 96);
    let [train, dev] = &report.splits[..] else {
        panic!("two splits");
    };
    assert_eq!(train.rows_in + dev.rows_in, 400);
    // 0.3 of the texts; standard deviation 4.5 of 96.
    assert!((15..43).contains(&texts("dev").len()));
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let bytes = || {
        let folder = folder();
        prepare(&settings(&folder, TRAIN, Some(DEV)), &folder).unwrap();
        [
            "train/tokens.bin",
            "train/rows.bin",
            "train/store.json",
            "dev/rows.bin",
        ]
        .map(|name| fs::read(folder.path().join("out").join(name)).unwrap())
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn a_label_that_training_lacks_is_named_with_its_line_and_those_it_has() {
    let error = fault(TRAIN, "sentence\tlabel\ngood\t1\ngood\t2\n");
    let text = error.to_string();
    assert!(
        text.ends_with(
            "dev.tsv:3` has the label `2`, which no training row has; their labels are `0`, `1`"
        ),
        "{text}"
    );
    assert!(error.hint().is_some());
}

#[test]
fn the_labels_of_a_regression_are_numbers() {
    let folder = folder();
    let train = "sentence\tlabel\ngood\t2.5\nbad\t0\n";
    let mut settings = settings(&folder, train, Some("sentence\tlabel\na\t5\n"));
    settings.labels = LabelRule::Values;
    prepare(&settings, &folder).unwrap();
    let store = open(&folder, "train");
    assert_eq!((store.label(0), store.label(1)), (Some(2.5), Some(0.0)));
    assert!(store.meta().labels.is_empty());
    std::fs::write(&settings.train[0], "sentence\tlabel\ngood\thigh\n").unwrap();
    let error = prepare(&settings, &folder).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("train.tsv:2` has the label `high`, which is not a finite number"),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[test]
fn a_column_of_one_label_or_of_a_thousand_is_no_label() {
    let error = fault("sentence\tlabel\na\tx\nb\tx\n", DEV);
    assert!(matches!(&error, DataError::LabelSingle { label, .. } if label == "x"));
    assert!(error.hint().is_some());
    let rows: Vec<String> = (0..=MAX_LABELS).map(|i| format!("a\t{i}.5")).collect();
    let error = fault(&format!("sentence\tlabel\n{}", rows.join("\n")), DEV);
    assert!(matches!(error, DataError::LabelsMany { .. }), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn a_table_without_rows_is_an_error() {
    let error = fault(TRAIN, "sentence\tlabel\n").to_string();
    assert!(
        error.ends_with("dev.tsv` has no rows below the header"),
        "{error}"
    );
    let error = fault(TRAIN, "sentence\tlabel\n \t1\n").to_string();
    assert!(
        error.ends_with("dev.tsv` has no row with a text"),
        "{error}"
    );
    let error = fault("sentence\tlabel\n", DEV).to_string();
    assert!(
        error.ends_with("train.tsv` has no rows below the header"),
        "{error}"
    );
}

#[test]
fn a_fraction_that_leaves_a_side_empty_is_an_error() {
    let folder = folder();
    let mut settings = settings(&folder, TRAIN, None);
    for (fraction, expected) in [(0.0, "dev"), (1.0, "train")] {
        settings.dev = Dev::Fraction(fraction);
        let error = prepare(&settings, &folder).unwrap_err();
        assert!(
            matches!(error, DataError::SplitEmpty { side, .. } if side == expected),
            "{error}"
        );
    }
}

fn warnings_of(train: &str, dev: Option<&str>, pair: bool) -> Vec<String> {
    let folder = folder();
    let mut settings = settings(&folder, train, dev);
    if pair {
        settings.layout.pair = Some("other".to_owned());
    }
    let report = prepare(&settings, &folder).unwrap();
    let place = folder.path().display().to_string() + "/";
    report
        .warnings
        .iter()
        .map(|text| text.replace(&place, ""))
        .collect()
}

/// Rows of words of the tests' vocabulary, all different, with these labels in turn.
fn rows_with(labels: &[&str], rows: usize) -> String {
    let words = ["a", "good", "film", "bad", "not"];
    let mut table = "sentence\tlabel\n".to_owned();
    for row in 0..rows {
        let text: Vec<&str> = (0..8)
            .map(|digit| words[(row / 5_usize.pow(digit)) % 5])
            .collect();
        let label = labels[row % labels.len()];
        table.extend([&text.join(" "), "\t", label, "\n"]);
    }
    table
}

#[test]
fn sound_tables_have_no_warnings() {
    let train = rows_with(&["neg", "pos"], 40);
    assert_eq!(
        warnings_of(&train, Some(&rows_with(&["pos", "neg"], 4)), false),
        [""; 0]
    );
    assert_eq!(warnings_of(&train, None, false), [""; 0]);
}

#[test]
fn odd_labels_are_told_with_their_numbers() {
    let dev = |labels: &[&str]| rows_with(labels, labels.len());
    let of =
        |labels: &[&str], rows| warnings_of(&rows_with(labels, rows), Some(&dev(labels)), false);
    assert_eq!(
        of(&["1", "1.0", "0"], 30),
        ["labels `1` (11 rows), `1.0` (11 rows) look like one class but are separate classes"]
    );
    assert_eq!(
        of(&["True", "true", "False"], 30),
        ["labels `True` (11 rows), `true` (11 rows) look like one class but are separate classes"]
    );
    assert_eq!(
        of(&["pos", "neg", "NaN"], 30),
        ["11 rows with the label `NaN`, which looks like a missing value but is a class"]
    );
    assert_eq!(
        of(&["pos ", "pos", "neg", " neg"], 40),
        ["22 rows have spaces around the label; they are removed"]
    );
    let single = rows_with(&["pos", "neg"], 20) + "film film\tother\n";
    assert_eq!(
        warnings_of(&single, Some(&dev(&["pos", "neg", "other"])), false),
        [""; 0],
        "dev has another row of it"
    );
    assert_eq!(
        warnings_of(&single, Some(&dev(&["pos", "neg"])), false),
        [
            "1 class has only one row: `other`",
            "1 class has no rows in dev: `other`; scores on dev do not measure it"
        ]
    );
}

#[test]
fn a_class_that_a_split_lacks_is_told() {
    let folder = folder();
    let train = rows_with(&["pos", "neg"], 20);
    let mut settings = settings(&folder, &train, Some(&rows_with(&["pos"], 5)));
    let report = prepare(&settings, &folder).unwrap();
    assert_eq!(
        report.warnings,
        [
            "1 class has no rows in dev: `neg`; scores on dev do not measure it",
            "every row of dev has the label `pos`: a model that always predicts it scores 1.0"
        ]
    );
    settings.labels = LabelRule::Given(LabelSet::named(
        ["neg", "pos", "unused"].map(str::to_owned).to_vec(),
    ));
    fs::write(
        folder.path().join("dev.tsv"),
        rows_with(&["pos", "neg", "unused"], 6),
    )
    .unwrap();
    let report = prepare(&settings, &folder).unwrap();
    assert_eq!(
        report.warnings,
        ["1 class has no rows in train: `unused`; a model cannot learn it"]
    );
}

#[test]
fn texts_without_tokens_and_texts_that_repeat_are_told() {
    let train = rows_with(&["neg", "pos"], 40) + "\u{200b}\u{200c}\tpos\n\u{ad}\tneg\n";
    let dev = rows_with(&["pos", "neg"], 4);
    assert_eq!(
        warnings_of(&train, Some(&dev), false),
        ["2 rows of 46 have a text without tokens, such as `train.tsv:42`"]
    );
    let twice = rows_with(&["neg", "pos"], 40) + "film\tpos\nfilm \tpos\nfilm\tneg\n";
    assert_eq!(
        warnings_of(&twice, Some(&dev), false),
        [
            "2 rows of 43 in train repeat the text of an earlier one, 1 with another label, such as `train.tsv:44`"
        ]
    );
}

#[test]
fn pairs_of_which_one_text_is_empty_and_texts_of_unknown_tokens_are_told() {
    let pairs = |rows: &str| {
        let plain = rows_with(&["neg", "pos"], 40);
        let plain = plain
            .replace("\tneg", "\tfilm\tneg")
            .replace("\tpos", "\tfilm\tpos");
        plain.replace("sentence\tlabel", "sentence\tother\tlabel") + rows
    };
    let dev = pairs("");
    assert_eq!(
        warnings_of(&pairs("\tbad\tpos\nbad\t\u{200b}\tneg\n"), Some(&dev), true),
        ["2 rows of 82 have one text of the pair without tokens, such as `train.tsv:42`"]
    );
    assert_eq!(
        warnings_of(&pairs("\u{200b}\t\u{200b}\tpos\n"), Some(&dev), true),
        ["1 row of 81 has a text without tokens, such as `train.tsv:42`"]
    );
    let train = rows_with(&["neg", "pos"], 40);
    let unknown = train.clone() + "\u{1f600}\tpos\nunheard of\tneg\n";
    assert_eq!(
        warnings_of(&unknown, Some(&rows_with(&["pos", "neg"], 4)), false),
        [
            "2 rows of 46 have only unknown tokens, such as `train.tsv:42`: a model cannot tell them apart"
        ]
    );
    let seldom = train + &rows_with(&["neg", "pos"], 400).replace("sentence\tlabel\n", "");
    let seldom = seldom + "\u{1f600}\tpos\n";
    let warnings = warnings_of(&seldom, Some(&rows_with(&["pos", "neg"], 4)), false);
    assert!(
        !warnings.iter().any(|text| text.contains("unknown")),
        "{warnings:?}"
    );
}

#[test]
fn a_header_that_is_a_row_and_quotes_that_are_kept_are_told() {
    let folder = folder();
    let table = rows_with(&["neg", "pos"], 40).replace("sentence\tlabel", "film not\tneg");
    let mut settings = settings(&folder, &table, Some(&table));
    settings.layout.text = "film not".to_owned();
    settings.layout.label = "neg".to_owned();
    let report = prepare(&settings, &folder).unwrap();
    assert!(
        report
            .warnings
            .iter()
            .any(|text| text.ends_with("looks like a row (`neg`): is the header missing?")),
        "{:?}",
        report.warnings
    );
    let quoted = rows_with(&["neg", "pos"], 40) + "\"a \"\"good\"\"\"\tpos\n";
    assert_eq!(
        warnings_of(&quoted, Some(&rows_with(&["pos", "neg"], 4)), false),
        [
            "1 row has a field in double quotes that are kept as text, such as `train.tsv:42`; \
          if they are CSV quoting, set `quoting = \"quotes\"` in `[task]`"
        ]
    );
}

#[test]
fn labels_that_cannot_be_learned_are_refused() {
    let different: Vec<String> = (0..12)
        .map(|row| format!("good {row}\tid{row}\n"))
        .collect();
    let different = different.concat();
    let error = fault(&format!("sentence\tlabel\n{different}"), DEV);
    assert!(
        matches!(&error, DataError::LabelsDiffer { rows: 12, .. }),
        "{error}"
    );
    let own: Vec<String> = (0..6)
        .map(|row| format!("film {row}\tfilm {row}\n"))
        .collect();
    let own = own.concat();
    let error = fault(&format!("sentence\tlabel\n{own}"), DEV);
    assert!(matches!(error, DataError::LabelIsText { .. }), "{error}");
    let folder = folder();
    for label in ["NaN", "inf", "none", "4,5", ""] {
        let train = format!("sentence\tlabel\ngood\t1.5\nbad\t{label}\n");
        let mut settings = settings(&folder, &train, Some(DEV));
        settings.labels = LabelRule::Values;
        let error = prepare(&settings, &folder).unwrap_err();
        assert!(error.to_string().contains("train.tsv:3` has"), "{error}");
    }
}

mod further;
mod own_tokens;
mod predictions;
mod unlabelled;
