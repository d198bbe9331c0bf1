use std::fs;

use super::*;

fn columns() -> Vec<String> {
    vec!["loss".to_owned(), "dev_accuracy".to_owned()]
}

fn run(path: &Path, from: Option<u64>, steps: impl IntoIterator<Item = u64>) {
    let mut file = MetricsFile::create_or_resume(path, &columns(), from).unwrap();
    for step in steps {
        let score = step.is_multiple_of(2).then_some(0.1 * step as f64);
        file.append(step, &[Some(1.0 / step as f64), score])
            .unwrap();
    }
    file.sync().unwrap();
}

#[test]
fn a_resumed_run_leaves_the_rows_of_an_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, resumed) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
    run(&whole, None, 1..=9);
    run(&resumed, None, 1..=6);
    run(&resumed, Some(4), 5..=7);
    run(&resumed, Some(7), 8..=8);
    run(&resumed, Some(0), 1..=5);
    run(&resumed, Some(5), 6..=9);
    assert_eq!(
        fs::read_to_string(&resumed).unwrap(),
        fs::read_to_string(&whole).unwrap()
    );
}

#[test]
fn a_file_torn_anywhere_after_the_checkpoint_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    run(&path, None, 1..=6);
    let whole = fs::read(&path).unwrap();
    run(&path, None, 1..=3);
    let until_checkpoint = fs::metadata(&path).unwrap().len();
    for length in usize::try_from(until_checkpoint).unwrap()..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        run(&path, Some(3), 4..=6);
        assert_eq!(fs::read(&path).unwrap(), whole, "torn at byte {length}");
    }
}

#[test]
fn zeros_that_a_power_cut_left_at_the_end_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    run(&path, None, 1..=3);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"\0\0\0\n\0\0"].concat()).unwrap();
    run(&path, Some(3), []);
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn garbage_before_the_checkpoint_is_an_error_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let text = "step,loss,dev_accuracy\n1,0.5,\nwhat\n2,0.4,\n";
    fs::write(&path, text).unwrap();
    let error = MetricsFile::create_or_resume(&path, &columns(), Some(2)).unwrap_err();
    assert!(matches!(error, MetricsFileError::Damaged { line: 3, .. }));
    assert!(error.hint().is_some());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn other_columns_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    run(&path, None, 1..=3);
    let error = MetricsFile::create_or_resume(&path, &["loss".to_owned()], Some(2)).unwrap_err();
    assert!(matches!(error, MetricsFileError::Columns { .. }), "{error}");
}

#[test]
fn a_run_without_checkpoint_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    run(&path, None, 1..=3);
    run(&path, None, 1..=1);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "step,loss,dev_accuracy\n1,1.0,\n"
    );
}

#[test]
fn a_missing_or_torn_header_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    run(&path, Some(5), 6..=6);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, "step,lo").unwrap();
    run(&path, Some(5), 6..=6);
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn numbers_read_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let numbers = [5e-5, 0.1 + 0.2, f64::MIN_POSITIVE, 1e300, -0.0, f64::NAN];
    let columns: Vec<String> = (0..numbers.len()).map(|i| format!("c{i}")).collect();
    let mut file = MetricsFile::create_or_resume(&path, &columns, None).unwrap();
    file.append(1, &numbers.map(Some)).unwrap();
    file.sync().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let row = text.lines().nth(1).unwrap();
    assert!(row.starts_with("1,5e-5,"), "{row}");
    for (field, number) in row.split(',').skip(1).zip(numbers) {
        let read: f64 = field.parse().unwrap();
        assert_eq!(read.to_bits(), number.to_bits(), "{field}");
    }
}

#[test]
fn a_row_of_another_width_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let mut file = MetricsFile::create_or_resume(&path, &columns(), None).unwrap();
    let error = file.append(1, &[None]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected 2 values in a metrics row, found 1"
    );
}
