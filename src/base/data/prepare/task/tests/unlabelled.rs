//! Texts without labels beside labelled tables.

use super::*;

#[test]
fn unlabelled_texts_stand_behind_the_training_rows_without_those_of_dev_and_repeated_ones() {
    let folder = folder();
    let mut settings = settings(&folder, TRAIN, Some(DEV));
    let lines = folder.path().join("more.txt");
    fs::write(
        &lines,
        "film\n\nbad .\nnot a good film\r\nfilm \nwhat a film",
    )
    .unwrap();
    let table = folder.path().join("more.csv");
    fs::write(&table, "other,sentence\n1,good\n2,not bad\n3,film\n").unwrap();
    settings.unlabelled = vec![lines, table];
    let report = prepare(&settings, &folder).unwrap();
    let [train, both] = ["train", UNLABELLED_STORE].map(|name| open(&folder, name));
    for row in 0..train.len() {
        assert_eq!(train.input_ids(row), both.input_ids(row));
        assert_eq!(train.label(row), both.label(row));
    }
    // `film`, `what a film`, `not bad`.
    assert_eq!(both.len(), train.len() + 3);
    assert!((train.len()..both.len()).all(|row| both.label(row).is_none()));
    assert_eq!(both.meta().labels, train.meta().labels);
    let split = report.splits.last().unwrap();
    assert_eq!(split.name, "unlabelled");
    assert_eq!((split.rows_in, split.rows_out, split.blank), (9, 3, 1));
    let left_out = report.unlabelled.unwrap();
    // `bad .` and `good`; `not a good film`, `film` twice.
    assert_eq!((left_out.in_dev, left_out.repeated), (2, 3));
}

#[test]
fn texts_that_are_all_left_out_are_told_with_the_reason() {
    let folder = folder();
    let mut settings = settings(&folder, TRAIN, Some(DEV));
    let path = folder.path().join("more.txt");
    fs::write(&path, "good\nwhat\n").unwrap();
    settings.unlabelled = vec![path.clone()];
    let error = prepare(&settings, &folder).unwrap_err().to_string();
    assert!(error.contains("1 are in dev, 1 are repeated"), "{error}");
    settings.layout.pair = Some("other".to_owned());
    fs::write(
        folder.path().join("train.tsv"),
        "sentence\tother\tlabel\na\tb\t0\nb\ta\t1\n",
    )
    .unwrap();
    fs::write(
        folder.path().join("dev.tsv"),
        "sentence\tother\tlabel\nb\tb\t0\n",
    )
    .unwrap();
    let error = prepare(&settings, &folder).unwrap_err();
    assert!(
        error.to_string().contains("has one text per line"),
        "{error}"
    );
    assert!(error.hint().is_some());
}

/// Prepares with this file of unlabelled texts.
fn prepare_with(
    folder: &TempDir,
    settings: &mut TaskSettings,
    (name, content): (&str, &str),
) -> Result<PrepReport, DataError> {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    settings.unlabelled = vec![path];
    prepare(settings, folder)
}

#[test]
fn tables_without_a_header_have_the_columns_of_the_task() {
    let folder = folder();
    let train = "a\t1\tgood\na\t0\tbad\na\t0\n";
    let mut settings = settings(&folder, train, Some("a\t1\tgood\n"));
    settings.layout.columns = Some(["source", "label", "sentence"].map(str::to_owned).to_vec());
    settings.layout.skip_short = true;
    let more = ("more.tsv", "b\t1\tfilm\nb\t0\na\t1\tgood\n");
    let report = prepare_with(&folder, &mut settings, more).unwrap();
    let split = report.splits.last().unwrap();
    assert_eq!((split.rows_in, split.rows_out), (2, 1));
    assert_eq!(report.files.last().unwrap().skipped, 1);
    // One that has a header is read by it.
    let more = ("more.tsv", "sentence\nfilm\n");
    let report = prepare_with(&folder, &mut settings, more).unwrap();
    assert_eq!(report.splits.last().unwrap().rows_out, 1);
}

#[test]
fn a_table_with_the_ending_of_plain_text_is_refused() {
    for content in [
        "sentence\tlabel\nfilm\t1\n",
        "label,sentence\n1,film\n",
        "{\"sentence\": \"film\", \"label\": 1}\n",
        "sentence\nfilm\n",
    ] {
        let folder = folder();
        let mut settings = settings(&folder, TRAIN, Some(DEV));
        let error = prepare_with(&folder, &mut settings, ("more.txt", content)).unwrap_err();
        assert!(
            matches!(error, DataError::UnlabelledHeader { .. }),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("more.txt:1` names the column `sentence`")
        );
        assert!(error.hint().is_some());
    }
}

#[test]
fn texts_that_give_the_same_tokens_are_the_same() {
    let folder = folder();
    let dev = "sentence\tlabel\ngood film\t1\n";
    let train = "sentence\tlabel\nbad film\t0\ngood\t1\n";
    let mut settings = settings(&folder, train, Some(dev));
    let more = ("more.txt", "Good  film\nBAD FILM\nfilm\n");
    let report = prepare_with(&folder, &mut settings, more).unwrap();
    let left_out = report.unlabelled.unwrap();
    assert_eq!((left_out.in_dev, left_out.repeated), (1, 1));
    assert_eq!(report.splits.last().unwrap().rows_out, 1);
}
