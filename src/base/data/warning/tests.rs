use super::*;
use crate::input::excerpt;

fn texts(counts: &[(&str, u64)]) -> Vec<String> {
    let warnings = label_warnings(counts.iter().copied());
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn labels_that_are_written_in_two_ways_are_noticed() {
    for (a, b) in [
        ("1", "1.0"),
        ("0", "-0"),
        ("2", "02"),
        ("True", "true"),
        ("Sci Fi", "sci_fi"),
        ("not-spam", "not spam"),
        ("POS", "pos"),
        ("a  b", "a b"),
        ("a\u{a0}b", "a b"),
    ] {
        let text = format!(
            "labels `{}` (3 rows), `{b}` (4 rows) look like one class but are separate classes",
            excerpt(a)
        );
        assert_eq!(texts(&[(a, 3), (b, 4), ("other", 9)]), [text]);
    }
    for (a, b) in [
        ("1", "-1"),
        ("1", "11"),
        ("1", "1.5"),
        ("a", "b"),
        ("-", "_"),
        ("+", "++"),
    ] {
        assert_eq!(texts(&[(a, 3), (b, 4)]), [""; 0], "{a} {b}");
    }
}

#[test]
fn labels_that_read_like_missing_values_are_noticed() {
    for label in [
        "NaN",
        "nan",
        "None",
        "null",
        "NULL",
        "N/A",
        "#N/A",
        "<NA>",
        "undefined",
    ] {
        let text = format!(
            "5 rows with the label `{label}`, which looks like a missing value but is a class"
        );
        assert_eq!(texts(&[(label, 5), ("a", 9), ("b", 9)]), [text]);
    }
    assert_eq!(texts(&[("nasa", 5), ("nothing", 9)]), [""; 0]);
}

#[test]
fn classes_of_one_row_are_listed() {
    assert_eq!(
        texts(&[("a", 1), ("b", 1), ("c", 2), ("d", 0)]),
        ["2 classes have only one row: `a`, `b`"]
    );
    let many: Vec<String> = (0..40).map(|number| format!("id{number}")).collect();
    let counts: Vec<(&str, u64)> = many.iter().map(|label| (label.as_str(), 1)).collect();
    let text = &texts(&counts)[0];
    assert!(text.starts_with("40 classes have only one row") && text.ends_with("30 more"));
}
