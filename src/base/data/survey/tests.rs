//! Tables as people have them, and what is found in them.

use std::fmt::Write as _;

use super::*;
use crate::data::Quoting;

fn look_by(name: &str, content: &str, given: Given<'_>) -> Result<Survey, SurveyError> {
    let folder = tempfile::tempdir().expect("temp folder");
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("written");
    survey(&path, given, &estimated_tokens)
}

fn look_for(name: &str, content: &str, columns: Columns<'_>) -> Result<Survey, SurveyError> {
    let given = Given {
        columns,
        ..Given::default()
    };
    look_by(name, content, given)
}

fn look(name: &str, content: &str) -> Result<Survey, SurveyError> {
    look_for(name, content, Columns::default())
}

/// A table of 20 rows, each made by `row` of its number and its class.
fn table(header: &str, row: impl Fn(usize, &str) -> String) -> String {
    let mut table = format!("{header}\n");
    for number in 0..20 {
        let class = ["neg", "pos"][number % 2];
        let _ = writeln!(table, "{}", row(number, class));
    }
    table
}

fn found(name: &str, content: &str) -> (String, Option<String>, String) {
    let survey = look(name, content).unwrap_or_else(|error| panic!("{error}\n{content}"));
    (survey.text, survey.pair, survey.label)
}

fn columns(text: &str, pair: Option<&str>, label: &str) -> (String, Option<String>, String) {
    (text.to_owned(), pair.map(str::to_owned), label.to_owned())
}

#[test]
fn text_and_label_are_found_by_what_they_hold_where_names_say_nothing() {
    let rows = table("no,who,what,kind", |row, class| {
        format!("{row},bob,\"a message, number {row}, of words\",{class}")
    });
    let survey = look("x.csv", &rows).expect("a table");
    assert_eq!(
        (survey.text.as_str(), survey.label.as_str()),
        ("what", "kind")
    );
    assert_eq!(survey.pair, None);
    assert_eq!(
        survey.classes,
        [("neg".to_owned(), 10), ("pos".to_owned(), 10)]
    );
    assert_eq!((survey.rows, survey.tokens), (20, 9));
    assert_eq!(survey.warnings, []);
}

#[test]
fn pairs_are_found_as_they_are_exported() {
    let row = |row: usize, _: &str| format!("what is {row} ?,it is {row},{},{row}", row % 2);
    let exported = table("question,sentence,label,idx", row);
    assert_eq!(
        found("x.csv", &exported),
        columns("question", Some("sentence"), "label")
    );
    let nli = exported.replace("question,sentence", "premise,hypothesis");
    assert_eq!(
        found("x.csv", &nli),
        columns("premise", Some("hypothesis"), "label")
    );
    let quora = exported.replace("question,sentence", "Question 1,Question 2");
    assert_eq!(
        found("x.csv", &quora),
        columns("Question 1", Some("Question 2"), "label")
    );
    let scale = table("sentence1\tsentence2\tscore", |row, _| {
        format!("a \"b\" {row}\tc d\t{}", row as f64 / 7.0)
    });
    let survey = look("x.tsv", &scale).expect("a table");
    assert_eq!(survey.pair.as_deref(), Some("sentence2"));
    assert!(survey.classes.is_empty());
    assert_eq!((survey.label.as_str(), survey.tokens), ("score", 7));
}

#[test]
fn a_column_named_like_a_label_is_one_whatever_its_number_of_classes() {
    for name in [
        "label",
        "Category",
        "intent",
        "target",
        "class",
        "sentiment",
        "y",
        "gold_label",
    ] {
        let mut rows = format!("{name},text\n");
        for row in 0..400 {
            let _ = writeln!(rows, "class {},a text of some words {row}", row % 150);
        }
        let survey = look("x.csv", &rows).expect("a table");
        assert_eq!((survey.label.as_str(), survey.classes.len()), (name, 150));
        let numbers = rows.replace("class ", "");
        let survey = look("x.csv", &numbers).expect("a table");
        assert_eq!(survey.classes.len(), 150, "{name}");
        assert_eq!(survey.classes[10].0, "10", "in the order of numbers");
    }
}

#[test]
fn a_nameless_column_and_a_key_are_never_the_label() {
    let rows = table("v1,v2,,,\r", |row, class| {
        format!("{class},\"order {row} was good\",,,\r")
    });
    assert_eq!(found("x.csv", &rows), columns("v2", None, "v1"));
    let index = table(",text,kind,Unnamed: 3", |row, class| {
        format!("{row},order {row} was good,{class},{}", row % 3)
    });
    assert_eq!(found("x.csv", &index), columns("text", None, "kind"));
    let index = table("text,kind,idx", |row, class| {
        format!("order {row} was good,{class},{}", row % 3)
    });
    assert_eq!(found("x.csv", &index), columns("text", None, "kind"));
}

#[test]
fn names_and_labels_are_read_without_spaces_around_them() {
    let rows = table(" text , label ", |row, class| {
        let space = if row % 3 == 0 { " " } else { "" };
        format!("order {row} was good,{class}{space}")
    });
    let survey = look("x.csv", &rows).expect("a table");
    assert_eq!(
        (survey.text.as_str(), survey.label.as_str()),
        ("text", "label")
    );
    assert_eq!(
        survey.classes,
        [("neg".to_owned(), 10), ("pos".to_owned(), 10)]
    );
}

#[test]
fn a_header_that_looks_like_a_row_is_noticed() {
    let warnings = |header: &str| {
        let rows = table(header, |row, class| {
            format!("order {row} was fine today,{class}")
        });
        let survey = look("x.csv", &rows).expect("a table");
        survey
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert!(warnings("text,label").is_empty());
    for header in [
        "order 99 was bad,neg",
        "it was a very long day and I was tired,what",
        "text,0",
    ] {
        let found = warnings(header);
        assert!(
            found.len() == 1 && found[0].contains("is the header missing?"),
            "{found:?}"
        );
    }
}

#[test]
fn the_user_may_name_the_columns() {
    let rows = table("a,b,c,d", |row, class| {
        format!("{class},text {row} here,more {row} there,{}", row % 2)
    });
    let given = Columns {
        text: Some("c"),
        pair: Some("b"),
        label: Some("a"),
    };
    let survey = look_for("x.csv", &rows, given).expect("a table");
    assert_eq!(
        (survey.text, survey.pair, survey.label),
        columns("c", Some("b"), "a")
    );
    let wrong = |given| {
        let error = look_for("x.csv", &rows, given).expect_err("a fault");
        (error.to_string(), error.hint())
    };
    let (text, hint) = wrong(Columns {
        label: Some("e"),
        ..Columns::default()
    });
    assert!(
        text.ends_with("has no column `e`; its columns are `a`, `b`, `c`, `d`"),
        "{text}"
    );
    assert_eq!(hint, None);
    let both = Columns {
        label: Some("b"),
        text: Some("b"),
        ..Columns::default()
    };
    assert_eq!(
        wrong(both).0,
        "column `b` cannot be both the text and the label"
    );
    let both = Columns {
        pair: Some("b"),
        text: Some("b"),
        ..Columns::default()
    };
    assert_eq!(
        wrong(both).0,
        "column `b` cannot be both the text and the second text"
    );
}

#[test]
fn a_table_without_a_label_is_refused_with_its_columns_and_the_option() {
    let error = look("x.csv", "a,b\n1,one\n2,two\n").expect_err("no label");
    let text = error.to_string();
    assert!(
        text.ends_with("looks like a label; its columns are `a`, `b`"),
        "{text}"
    );
    assert_eq!(
        error.hint().as_deref(),
        Some("name it with `--label COLUMN`")
    );
    let error = look(
        "x.csv",
        &table("n,label", |row, class| format!("{row},{class}")),
    )
    .expect_err("no text");
    assert_eq!(
        error.hint().as_deref(),
        Some("name it with `--text COLUMN`")
    );
}

#[test]
fn what_training_refuses_is_refused() {
    let differ = table("text,label", |row, _| {
        format!("order {row} was fine,id{row}")
    });
    let error = look("x.csv", &differ)
        .expect_err("all different")
        .to_string();
    assert!(
        error.contains("all 20 rows of") && error.ends_with("in column `label`"),
        "{error}"
    );
    let given = Columns {
        label: Some("label"),
        ..Columns::default()
    };
    let single = table("text,label", |row, _| format!("order {row} was fine,same"));
    let error = look_for("x.csv", &single, given)
        .expect_err("one label")
        .to_string();
    assert!(error.ends_with("has the same label `same`"), "{error}");
    let error = look("x.csv", "text,label\n")
        .expect_err("no rows")
        .to_string();
    assert!(error.ends_with("has no rows below the header"), "{error}");
}

#[test]
fn odd_labels_are_noticed() {
    let odd = table("text,label", |row, _| {
        let label = ["1", "1.0", "0", "nan"][row % 4];
        format!("order {row} was fine,{label}")
    });
    let warnings = look("x.csv", &odd).expect("a table").warnings;
    let text: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 2, "{text:?}");
    assert!(text[0].starts_with("5 rows with the label `nan`"));
    assert!(text[1].starts_with("labels `1` (5 rows), `1.0` (5 rows)"));
}

#[test]
fn texts_without_spaces_are_as_long_as_their_characters() {
    let chinese = "房间又小又旧而且晚上很吵早餐也很差劲我绝对不会再来";
    assert_eq!(estimated_tokens(chinese), chinese.chars().count());
    assert_eq!(estimated_tokens("部屋は狭くて古かったです。"), 13);
    assert_eq!(estimated_tokens("it is good, really good!"), 7);
    assert_eq!(estimated_tokens("unbelievable"), 2);
    assert_eq!(estimated_tokens(" \t\n"), 0);
    // Letters of a script without spaces are one word, and still many tokens.
    assert!(estimated_tokens("ห้องเล็กและเก่ามาก") >= 4);
    let rows = table("text,label", |_, class| {
        format!("{},{class}", chinese.repeat(4))
    });
    assert_eq!(
        look("x.csv", &rows).expect("a table").tokens,
        4 * chinese.chars().count()
    );
}

#[test]
fn delimiters_are_the_readers() {
    let rows = table("text;label\r", |row, class| {
        format!("\"order {row}; yes, so\";{class}\r")
    });
    let survey = look("x.csv", &format!("\u{feff}{rows}")).expect("a table");
    assert_eq!(
        (survey.text.as_str(), survey.dialect.delimiter),
        ("text", b';')
    );
    let survey = look("x.csv", &format!("sep=;\r\n{rows}")).expect("a table");
    assert_eq!((survey.text.as_str(), survey.rows), ("text", 20));
}

#[test]
fn the_user_may_say_how_the_table_is_cut() {
    let by = |content: &str, dialect: DialectRule| {
        let given = Given {
            dialect,
            ..Given::default()
        };
        look_by("x.csv", content, given)
    };
    let other = table("text~label", |row, class| {
        format!("order {row}, so~{class}")
    });
    // With commas in the texts and without.
    for table in [other.clone(), other.replace(',', "")] {
        let error = look("x.csv", &table).expect_err("one column");
        assert_eq!(
            error.hint().as_deref(),
            Some(
                "the header is read as one column: name the character between its columns with `--delimiter CHARACTER`"
            ),
            "{error}"
        );
    }
    let rule = DialectRule {
        delimiter: Some(b'~'),
        ..DialectRule::default()
    };
    let survey = by(&other, rule).expect("a table");
    assert_eq!(
        (
            survey.label.as_str(),
            survey.dialect.delimiter,
            survey.given
        ),
        ("label", b'~', rule)
    );
    let stray = table("text,label", |row, class| match row {
        7 | 9 => format!("\"order {row} was bad,{class}"),
        _ => format!("order {row} was fine,{class}"),
    });
    let error = look("x.csv", &stray).expect_err("stray quotes");
    let hint = error.hint().unwrap_or_default();
    assert!(
        hint.ends_with("have no meaning in this table, add `--quoting none`"),
        "{hint}"
    );
    let rule = DialectRule {
        quoting: Some(Quoting::None),
        ..DialectRule::default()
    };
    assert_eq!(by(&stray, rule).expect("a table").rows, 20);
}

#[test]
fn hints_of_init_name_its_options_and_not_keys_of_a_file_that_is_not_there() {
    let differ = table("text,label", |row, _| {
        format!("order {row} was fine,id{row}")
    });
    let escaped = table("text,label", |row, class| match row {
        7 => format!("\"order \\\"{row}\\\" was bad\",{class}"),
        9 => format!("\"order\" {row} was bad,{class}"),
        _ => format!("order {row} was fine,{class}"),
    });
    let ragged = table("text\tlabel", |row, class| match row {
        7 => format!("\"order {row}\tbad\"\t\"{class}\" \t\"x"),
        _ => format!("order {row} was fine\t{class}"),
    });
    for (name, content, option) in [
        ("x.csv", differ, "--label COLUMN"),
        ("x.csv", escaped, "--escape backslash"),
        ("x.tsv", ragged, "--quoting quotes"),
    ] {
        let error = look(name, &content).expect_err(option);
        let hint = error.hint().unwrap_or_default();
        assert!(
            hint.contains(option) && !hint.contains("[task]"),
            "{error}: {hint}"
        );
    }
}

#[test]
fn texts_without_tokens_are_noticed() {
    let rows = table("text,label", |row, class| match row % 4 {
        0 => format!("\u{200b}\u{200d},{class}"),
        _ => format!("order {row} was fine,{class}"),
    });
    let warnings = look("x.csv", &rows).expect("a table").warnings;
    let text: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 1, "{text:?}");
    assert!(
        text[0].starts_with("5 rows of 20 have a text without tokens, such as `"),
        "{text:?}"
    );
    assert!(text[0].ends_with("x.csv:2`"), "{text:?}");
}

#[test]
fn rows_that_a_stray_quote_swallows_are_refused() {
    let rows = table("text,label", |row, class| match row {
        7 => format!("\"order {row} was bad,{class}"),
        9 => format!("order {row} is 6\",{class}"),
        _ => format!("order {row} was fine,{class}"),
    });
    let error = look("x.csv", &rows).expect_err("a stray quote").to_string();
    assert!(
        error.ends_with("x.csv:9` opens a quoted field that runs over the next rows"),
        "{error}"
    );
}
