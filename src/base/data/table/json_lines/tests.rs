use super::*;

fn objects(text: &str) -> Result<Vec<Object>, DataError> {
    let mut lines = JsonLines::new(Path::new("x.jsonl"), text.as_bytes());
    let mut found = Vec::new();
    while let Some(object) = lines.next()? {
        found.push(object);
    }
    assert_eq!(lines.bytes, text.len() as u64);
    Ok(found)
}

fn error(text: &str) -> String {
    objects(text).unwrap_err().to_string()
}

#[test]
fn values_are_texts_and_blank_lines_are_none() {
    let text =
        "\u{feff}{\"text\": \"a\\nb\", \"label\": 3, \"ok\": true}\r\n\n{\"text\": \"\u{e9}\"}";
    let found = objects(text).unwrap();
    let keys: Vec<_> = found[0].values.keys().collect();
    assert_eq!(keys, ["text", "label", "ok"]);
    let texts = ["text", "label", "ok"].map(|key| found[0].text(key).unwrap());
    assert_eq!(texts, ["a\nb", "3", "true"]);
    assert_eq!(
        (found[1].place.line, found[1].text("text").unwrap().as_str()),
        (3, "\u{e9}")
    );
}

#[test]
fn a_line_that_is_no_object_is_named_by_line_and_column() {
    let message = error("{\"a\": 1}\n{\"a\": }\n");
    assert_eq!(
        message,
        "`x.jsonl:2` is not JSON: expected value at column 7"
    );
    assert_eq!(error("[1]\n"), "`x.jsonl:1` is a list, expected an object");
    assert!(error("{\"a\": 1} {\"a\": 2}\n").contains("is not JSON: trailing characters"));
}

#[test]
fn a_key_without_a_text_is_named() {
    let found = objects("{\"text\": null, \"tags\": [\"x\"]}").unwrap();
    let message = |key| found[0].text(key).unwrap_err().to_string();
    assert_eq!(
        message("text"),
        "`x.jsonl:1` has null at `text`, expected a text"
    );
    assert_eq!(
        message("label"),
        "`x.jsonl:1` has no key `label`; its keys are `text`, `tags`"
    );
    let found_text = objects("{\"text\": \"a \\ud800\"}").unwrap();
    assert_eq!(
        found_text[0].text("text").unwrap_err().to_string(),
        "`x.jsonl:1` has an invalid text at `text`: unexpected end of hex escape"
    );
    assert_eq!(found[0].shown("tags"), "[\"x\"]");
    assert_eq!(found[0].shown("text"), "");
}

#[test]
fn numbers_are_as_they_are_written_where_no_type_holds_them() {
    let found = objects(
        "{\"a\": 123456789012345678901234567890, \"b\": 1e400, \"c\": 1.50, \"d\": -7, \"e\": 1e3}",
    );
    let found = found.unwrap();
    let texts = ["a", "b", "c", "d", "e"].map(|key| found[0].text(key).unwrap());
    let expected = [
        "123456789012345678901234567890",
        "1e400",
        "1.5",
        "-7",
        "1000.0",
    ];
    assert_eq!(texts, expected);
}
