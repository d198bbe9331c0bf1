use std::fs;

use super::*;

fn layout() -> TableLayout {
    TableLayout {
        dialect: DialectRule::default(),
        text: "sentence".to_owned(),
        pair: None,
        label: "mark".to_owned(),
        columns: None,
        skip_short: false,
    }
}

/// Classes that the tables spell as digits.
fn classes() -> LabelSet {
    let names = ["negative", "positive"].map(str::to_owned).to_vec();
    LabelSet::spelt(&["0", "1"], names)
}

fn read_as(labels: &LabelSet, name: &str, content: &str) -> Result<Vec<Vec<f32>>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    let mut reader = PredictionReader::open(&path, &layout(), labels)?;
    let mut found = Vec::new();
    while let Some(row) = reader.next_row()? {
        found.push(row.answer);
    }
    Ok(found)
}

/// The probabilities of the first row.
fn first(name: &str, content: &str) -> Vec<f32> {
    let rows = read_as(&classes(), name, content).unwrap();
    rows[0].iter().map(|number| number.exp()).collect()
}

fn fault(content: &str) -> String {
    let error = read_as(&classes(), "a.csv", content).unwrap_err();
    let text = error.to_string();
    let (_, fault) = text.split_once("a.csv:").unwrap();
    fault.to_owned()
}

#[test]
fn probabilities_are_a_column_per_class_in_any_order() {
    let expected = [0.25, 0.75];
    for header in [
        "sentence,probability_positive,probability_negative",
        "sentence,predicted_probability_1,predicted_probability_0",
        "sentence,positive,negative",
    ] {
        let found = first("a.csv", &format!("{header}\na film,0.75,0.25\n"));
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
    }
    let tabs = "sentence\tpositive\tnegative\na film\t0.75\t0.25\n";
    assert!((first("a.tsv", tabs)[1] - 0.75).abs() < 1e-6);
}

#[test]
fn json_lines_list_probabilities_by_class_or_in_class_order() {
    for probabilities in [
        r#"{"positive": 0.75, "negative": 0.25}"#,
        r#"{"1": 0.75, "0": 0.25}"#,
        "[0.25, 0.75]",
    ] {
        let line =
            format!(r#"{{"sentence": "a", "label": "x", "probabilities": {probabilities}}}"#);
        assert!((first("a.jsonl", &line)[1] - 0.75).abs() < 1e-6, "{line}");
    }
}

#[test]
fn a_class_is_certain_and_named_by_name_spelling_or_number() {
    for word in ["positive", "1"] {
        assert_eq!(
            first("a.csv", &format!("sentence,label\na,{word}\n")),
            [0.0, 1.0]
        );
    }
    let letters = LabelSet::named(vec!["a".to_owned(), "b".to_owned()]);
    let rows = read_as(&letters, "a.csv", "sentence,mark\nx,1\nx,a\n").unwrap();
    assert_eq!(rows[0], [f32::NEG_INFINITY, 0.0]);
    assert_eq!(rows[1], [0.0, f32::NEG_INFINITY]);
}

#[test]
fn an_answer_comes_before_the_label_of_the_task() {
    // As `tinyrun predict --keep-columns` writes it for a table with a column `label`.
    let found = first("a.csv", "sentence,label,predicted_label\na,1,negative\n");
    assert_eq!(found, [1.0, 0.0]);
}

#[test]
fn a_regression_has_a_value() {
    for name in ["value", "predicted_value", "mark"] {
        let content = format!("sentence,{name}\na,2.5\n");
        let rows = read_as(&LabelSet::none(), "a.csv", &content).unwrap();
        assert_eq!(rows, [[2.5]]);
    }
    let none = read_as(&LabelSet::none(), "a.csv", "sentence,value\na,high\n").unwrap_err();
    assert!(
        none.to_string().contains("a.csv:2` has the value `high`"),
        "{none}"
    );
}

#[test]
fn faults_are_told_at_their_line() {
    let columns = "sentence,probability_negative,probability_positive\n";
    let row = |row: &str| fault(&format!("{columns}a,0.5,0.5\n{row}\n"));
    assert_eq!(
        row("a,0.5,0.4"),
        "3` has probabilities that sum to 0.9000, expected 1 within 0.001"
    );
    let number = |text: &str| {
        format!("3` has `{text}` as the probability of `negative`, expected a number from 0 to 1")
    };
    assert_eq!(row("a,-0.5,1.5"), number("-0.5"));
    assert_eq!(row("a,NaN,1"), number("NaN"));
    assert_eq!(row("a,much,1"), number("much"));
    assert_eq!(
        fault("sentence,probability_positive\na,1\n"),
        "1` has no probability of the class `negative`"
    );
    assert_eq!(
        fault("sentence,probability_positive,probability_neutral\na,1,0\n"),
        "1` has the class `neutral`, the task has `negative`, `positive`"
    );
    assert_eq!(
        fault("sentence,label\na,neutral\n"),
        "2` has the class `neutral`, the task has `negative`, `positive`"
    );
    assert!(fault("label,other\n1,a\n").starts_with("1` has no column `sentence`, by which"));
    assert!(fault("sentence,other\na,a\n").starts_with("1` has no predictions: expected"));
    let listed = |probabilities: &str| {
        let line = format!(r#"{{"sentence": "a", "probabilities": {probabilities}}}"#);
        read_as(&classes(), "a.jsonl", &line)
            .unwrap_err()
            .to_string()
    };
    assert!(listed("[1.0]").contains("lists 1 probabilities, the task has 2 classes"));
    assert!(listed(r#"{"negative": 1.0}"#).contains("no probability of the class `positive`"));
    assert!(listed(r#"{"negative": 1.0, "x": 0}"#).contains("has the class `x`"));
    assert!(listed("3").contains("expected an object by class"));
}
