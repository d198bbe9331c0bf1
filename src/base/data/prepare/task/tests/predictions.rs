//! A teacher's answers beside labelled tables.

use super::*;
use crate::data::prepare::{ALL_PREDICTIONS, PredictionSettings, TRAIN_PREDICTIONS};

/// Answers of a file to the rows of the store, as probabilities.
fn rows_of(folder: &TempDir, file: &str) -> Vec<Vec<f32>> {
    let bytes = fs::read(folder.path().join("out").join(file)).unwrap();
    let rows = bytes.chunks_exact(12).map(|row| {
        let (numbers, checksum) = row.split_at(8);
        assert_eq!(crc32fast::hash(numbers).to_le_bytes(), checksum);
        let numbers = numbers.chunks_exact(4);
        let numbers = numbers.map(|it| f32::from_le_bytes(it.try_into().unwrap()).exp());
        numbers.collect()
    });
    rows.collect()
}

const ROWS: &str = "sentence\tlabel\ngood\t1\n\t1\nbad film\t0\ngood\t1\n";

fn with_answers(folder: &TempDir, content: &str, with_unlabelled: bool) -> TaskSettings {
    let mut settings = settings(folder, ROWS, Some("sentence\tlabel\na film\t1\nbad\t0\n"));
    let path = folder.path().join("answers.csv");
    fs::write(&path, content).unwrap();
    settings.predictions = Some(PredictionSettings {
        files: vec![path],
        with_unlabelled,
    });
    settings
}

fn fault(content: &str) -> DataError {
    let folder = folder();
    prepare(&with_answers(&folder, content, false), &folder).unwrap_err()
}

#[test]
fn answers_are_laid_out_as_the_rows_are() {
    let folder = folder();
    // Dev rows may be answered; white space around a text does not matter.
    let answers = "sentence,label\n a film ,1\nbad film,0\n,1\ngood ,1\n";
    let mut settings = with_answers(&folder, answers, false);
    let report = prepare(&settings, &folder).unwrap();
    let [good, bad] = [[0.0, 1.0], [1.0, 0.0]];
    assert_eq!(rows_of(&folder, TRAIN_PREDICTIONS), [good, bad, good]);
    assert!(!folder.path().join("out").join(ALL_PREDICTIONS).exists());
    let read = report.predictions.unwrap();
    assert_eq!((read.answers, read.rows), (4, 3));

    // Texts without labels stand behind them.
    let more = folder.path().join("more.txt");
    fs::write(&more, "what a film\nBAD FILM\nfilm\n").unwrap();
    settings.unlabelled = vec![more];
    let answered = format!("{answers}film,0\nBAD FILM,1\nwhat a film,1\n");
    settings = TaskSettings {
        predictions: with_answers(&folder, &answered, true).predictions,
        ..settings
    };
    prepare(&settings, &folder).unwrap();
    assert_eq!(rows_of(&folder, TRAIN_PREDICTIONS), [good, bad, good]);
    assert_eq!(
        rows_of(&folder, ALL_PREDICTIONS),
        [good, bad, good, good, bad]
    );
    // Without answers they are a fault only where a stage learns from them.
    fs::write(folder.path().join("answers.csv"), answers).unwrap();
    let error = prepare(&settings, &folder).unwrap_err().to_string();
    assert!(
        error.starts_with("2 of 2 rows have no prediction in"),
        "{error}"
    );
    assert!(error.contains("more.txt:1`"), "{error}");
    settings.predictions.as_mut().unwrap().with_unlabelled = false;
    assert!(prepare(&settings, &folder).is_ok());
}

#[test]
fn rows_without_an_answer_are_counted_and_the_first_is_named() {
    let error = fault("sentence,label\nbad film,0\n");
    assert!(
        matches!(
            error,
            DataError::Unanswered {
                missing: 2,
                rows: 3,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().ends_with("train.tsv:2`"), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn an_answer_to_no_row_and_a_second_answer_are_told_at_their_line() {
    let all = "sentence,0,1\nbad film,0.9,0.1\ngood,0.1,0.9\n";
    let error = fault(&format!("{all}other,0.5,0.5\n"));
    assert!(
        error
            .to_string()
            .contains("answers.csv:4` has a prediction for a text that no row"),
        "{error}"
    );
    // `0` and `1` are the classes of this table.
    let error = fault("sentence,0,1\nbad film,0.9,0.1\ngood,0.1,0.9\nbad film,0.8,0.2\n");
    let text = error.to_string();
    assert!(
        text.contains("answers.csv:4` has another prediction for the text of `"),
        "{text}"
    );
    assert!(text.ends_with("answers.csv:2`"), "{text}");
    assert!(error.hint().is_some());
    let folder = folder();
    let same = "sentence,0,1\nbad film,0.9,0.1\ngood,0.1,0.9\nbad film,0.9001,0.0999\n";
    assert!(prepare(&with_answers(&folder, same, false), &folder).is_ok());
}

#[test]
fn answers_may_name_rows_by_the_id_of_the_training_table() {
    let folder = folder();
    let with = |answers: &str| {
        let settings = with_answers(&folder, answers, false);
        let rows = "id\tsentence\tlabel\n7\tgood\t1\n8\tbad film\t0\n9\tgood\t1\n7\tgood\t1\n";
        fs::write(folder.path().join("train.tsv"), rows).unwrap();
        prepare(&settings, &folder).map_err(|error| error.to_string())
    };
    with("id,label\n8,0\n7,1\n").unwrap();
    let [good, bad] = [[0.0, 1.0], [1.0, 0.0]];
    assert_eq!(rows_of(&folder, TRAIN_PREDICTIONS), [good, bad, good, good]);
    let error = with("id,label\n8,0\n6,1\n").unwrap_err();
    assert!(
        error.contains("answers.csv:3` has a prediction for the id `6`, which no row"),
        "{error}"
    );
    // Of two texts with one id nobody knows which is meant.
    let error = {
        let settings = with_answers(&folder, "id,label\n7,0\n", false);
        let rows = "id\tsentence\tlabel\n7\tgood\t1\n7\tbad film\t0\n";
        fs::write(folder.path().join("train.tsv"), rows).unwrap();
        prepare(&settings, &folder).unwrap_err().to_string()
    };
    assert!(
        error.contains("which different texts of `train` have"),
        "{error}"
    );
}

#[test]
fn texts_with_quotes_are_found_in_tsv_with_and_without_quoting() {
    let folder = folder();
    let rows = "sentence\tlabel\n\"good\" film\t1\nbad film\t0\n\"bad\"\t0\n";
    for answers in [
        "sentence\tlabel\n\"\"\"good\"\" film\"\t1\nbad film\t0\n\"\"\"bad\"\"\"\t0\n",
        "sentence\tlabel\n\"good\" film\t1\nbad film\t0\n\"bad\"\t0\n",
    ] {
        let mut settings = with_answers(&folder, "", false);
        settings.layout.dialect.literal_tsv = true;
        fs::write(folder.path().join("train.tsv"), rows).unwrap();
        let path = folder.path().join("answers.tsv");
        fs::write(&path, answers).unwrap();
        settings.predictions.as_mut().unwrap().files = vec![path];
        prepare(&settings, &folder).unwrap();
        let [good, bad] = [[0.0, 1.0], [1.0, 0.0]];
        assert_eq!(rows_of(&folder, TRAIN_PREDICTIONS), [good, bad, bad]);
    }
}
