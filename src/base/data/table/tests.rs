//! Tables as they are found, and what is wrong with them.

use std::fs;

use tempfile::TempDir;

use super::*;

fn layout(format: TableFormat, pair: bool) -> TableLayout {
    TableLayout {
        dialect: DialectRule {
            format,
            ..DialectRule::default()
        },
        text: "sentence".to_owned(),
        pair: pair.then(|| "other".to_owned()),
        label: "label".to_owned(),
        columns: None,
        skip_short: false,
    }
}

#[test]
fn a_table_without_a_header_has_its_columns_from_the_layout() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let path = folder.path().join("cola.tsv");
    fs::write(&path, "gj04\t1\t\tThe car ran.\ngj04\t0\t*\tThe ran car.").unwrap();
    let names = ["source", "label", "mark", "sentence"].map(str::to_owned);
    let layout = TableLayout {
        columns: Some(names.to_vec()),
        ..layout(TableFormat::Auto, false)
    };
    let mut table = TableReader::open(&path, &layout).unwrap();
    let first = table.next_row().unwrap().unwrap();
    assert_eq!((first.line, first.text.as_str()), (1, "The car ran."));
    let second = table.next_row().unwrap().unwrap();
    assert_eq!((second.line, second.label.as_str()), (2, "0"));
    assert_eq!(table.next_row().unwrap(), None);
}

#[test]
fn objects_are_rows_whatever_the_order_of_their_keys() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.jsonl");
    let text = "{\"sentence\": \"a, \\\"b\\\"\", \"label\": 1, \"tags\": [\"x\"]}\n\n\
                {\"label\": \" 0 \", \"more\": null, \"sentence\": \"c\\nd\"}\n{\"sentence\": \"e\"}\n";
    fs::write(&path, text).unwrap();
    let mut table = TableReader::open(&path, &layout(TableFormat::Auto, false)).unwrap();
    let first = table.next_row().unwrap().unwrap();
    let found = (first.line, first.text.as_str(), first.label.as_str());
    assert_eq!(found, (1, "a, \"b\"", "1"));
    let second = table.next_row().unwrap().unwrap();
    let found = (second.line, second.text.as_str(), second.label.as_str());
    assert_eq!(found, (3, "c\nd", "0"));
    let error = table.next_row().unwrap_err().to_string();
    assert!(
        error.ends_with("train.jsonl:4` has no key `label`; its keys are `sentence`"),
        "{error}"
    );
}

#[test]
fn short_rows_are_counted_where_the_task_has_such_and_a_fault_elsewhere() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let path = folder.path().join("qqp.tsv");
    fs::write(&path, "sentence\tlabel\na\t1\ncut short\nb\t0\n").unwrap();
    let strict = layout(TableFormat::Auto, false);
    let mut table = TableReader::open(&path, &strict).unwrap();
    assert!(table.next_row().is_ok() && table.next_row().is_err());
    let lenient = TableLayout {
        skip_short: true,
        ..strict
    };
    let mut table = TableReader::open(&path, &lenient).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = table.next_row().unwrap() {
        lines.push(row.line);
    }
    assert_eq!((lines, table.skipped()), (vec![2, 4], 1));
}

fn read_as(name: &str, content: &[u8], pair: bool) -> Result<Vec<TableRow>, DataError> {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    let mut table = TableReader::open(&path, &layout(TableFormat::Auto, pair))?;
    let mut rows = Vec::new();
    while let Some(row) = table.next_row()? {
        rows.push(row);
    }
    assert!(table.bytes_read() >= content.len() as u64);
    Ok(rows)
}

fn rows(name: &str, content: &str) -> Vec<(u64, String, String)> {
    read_as(name, content.as_bytes(), false)
        .unwrap()
        .into_iter()
        .map(|row| (row.line, row.text, row.label))
        .collect()
}

fn fault(name: &str, content: &[u8]) -> (String, Option<String>) {
    let error = read_as(name, content, false).unwrap_err();
    let text = error.to_string();
    // Messages begin with the path in the test's folder.
    let start = text.find(name).unwrap();
    (text[start..].to_owned(), error.hint())
}

fn row(line: u64, text: &str, label: &str) -> (u64, String, String) {
    (line, text.to_owned(), label.to_owned())
}

#[test]
fn a_quote_in_a_tsv_is_a_character() {
    assert_eq!(
        rows("a.tsv", "sentence\tlabel\n\"good\t1\na \"b\" , \t0\n"),
        [row(2, "\"good", "1"), row(3, "a \"b\" , ", "0")]
    );
}

#[test]
fn a_csv_field_may_hold_commas_quotes_and_line_ends() {
    assert_eq!(
        rows(
            "a.CSV",
            "label,id,sentence\n1,7,\"a, \"\"b\"\"\nc\"\n0,8,d\n"
        ),
        [row(2, "a, \"b\"\nc", "1"), row(4, "d", "0")]
    );
}

#[test]
fn byte_order_mark_crlf_and_a_missing_last_line_end_are_taken() {
    assert_eq!(
        rows("a.tsv", "\u{feff}sentence\tlabel\r\na\t1\r\nb\rc\t0"),
        [row(2, "a", "1"), row(3, "b\rc", "0")]
    );
    assert_eq!(
        rows("a.csv", "\u{feff}label,sentence\r\n1,\"a\"\r\n0,b"),
        [row(2, "a", "1"), row(3, "b", "0")]
    );
}

#[test]
fn blank_lines_are_no_rows_and_are_counted_as_lines() {
    let expected = [row(4, "a\nb", "1"), row(9, "c", "0")];
    for end in ["\n", "\r\n"] {
        let content = "\nsentence,label\n\n\"a|b\",1\n\n\n  \nc,0\n\n"
            .replace('\n', end)
            .replace('|', "\n");
        assert_eq!(rows("a.csv", &content), expected);
    }
}

#[test]
fn a_pair_is_read_from_its_column() {
    let rows = read_as("a.tsv", b"label\tother\tsentence\n1\tb\ta\n", true).unwrap();
    assert_eq!(rows[0].text, "a");
    assert_eq!(rows[0].pair.as_deref(), Some("b"));
}

#[test]
fn a_row_with_too_few_columns_is_named_by_its_line() {
    assert_eq!(
        fault("a.tsv", b"sentence\tlabel\na\t1\n\nb 0\n").0,
        "a.tsv:4` has 1 column, and the header has 2"
    );
}

#[test]
fn a_row_with_too_many_columns_is_named_unless_they_are_empty() {
    let (message, hint) = fault("a.csv", b"sentence,label\na, b,1\n");
    assert_eq!(message, "a.csv:2` has 3 columns, and the header has 2");
    assert_eq!(
        hint.unwrap(),
        "put a text that contains a comma in double quotes"
    );
    assert_eq!(rows("a.csv", "sentence,label\na,1,,\n"), [row(2, "a", "1")]);
}

#[test]
fn a_missing_column_is_named_with_those_there() {
    let (message, hint) = fault("a.tsv", b"text\tLabel\na\t1\n");
    assert_eq!(
        message,
        "a.tsv:1` has no column `sentence`; its columns are `text`, `Label`"
    );
    assert_eq!(hint, None);
    let (_, hint) = fault("a.tsv", b"sentences\tlabel\na\t1\n");
    assert_eq!(hint.unwrap(), "did you mean `sentences`?");
    assert_eq!(
        fault("a.tsv", b"sentence\tlabel\tlabel\n").0,
        "a.tsv:1` has two columns named `label`"
    );
}

#[test]
fn an_empty_file_is_named() {
    for content in [&b""[..], b"\n\n", b"\xef\xbb\xbf"] {
        assert_eq!(fault("a.tsv", content).0, "a.tsv` is empty");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_named_by_their_line() {
    assert_eq!(
        fault("a.tsv", b"sentence\tlabel\na\t1\ncaf\xe9\t1\n").0,
        "a.tsv:3` is not UTF-8"
    );
    assert_eq!(
        fault("a.csv", b"sentence,label\n\"a\nb\xe9\nc\",1\n").0,
        "a.csv:3` is not UTF-8"
    );
}

#[test]
fn a_row_without_label_is_named() {
    assert_eq!(
        fault("a.tsv", b"sentence\tlabel\na\t \n").0,
        "a.tsv:2` has no label"
    );
}

#[test]
fn a_quote_that_is_never_closed_is_named_where_it_opens() {
    for content in [
        "label,sentence\n1,a\n\n0,\"b\n1,c\n",
        "label,sentence\n1,a\n\n0,\"b\n1,c",
    ] {
        assert_eq!(
            fault("a.csv", content.as_bytes()).0,
            "a.csv:4` opens a quoted field that is never closed"
        );
    }
    let long = format!("label,sentence\n0,\"b\n{}", "1,c\n".repeat(400_000));
    let (message, hint) = fault("a.csv", long.as_bytes());
    assert_eq!(
        message,
        "a.csv:2` opens a quoted field that is longer than 1048576 bytes"
    );
    assert!(hint.is_some());
}

#[test]
fn a_row_is_the_same_however_the_table_is_written() {
    let expected = [
        row(2, "well; it, is | \"good\"", "pos"),
        row(3, "bad", "neg"),
    ];
    for (name, table) in [
        (
            "a.csv",
            "sentence,label\n\"well; it, is | \"\"good\"\"\",pos\nbad,neg\n",
        ),
        (
            "a.csv",
            "\u{feff}sentence;label\r\n\"well; it, is | \"\"good\"\"\";pos\r\nbad;neg\r\n",
        ),
        (
            "a.txt",
            "sentence;label\n\"well; it, is | \"\"good\"\"\";pos\nbad;neg\n",
        ),
        (
            "a.csv",
            "sentence|label\n\"well; it, is | \"\"good\"\"\"|pos\nbad|neg\n",
        ),
        (
            "a.csv",
            "sentence\tlabel\n\"well; it, is | \"\"good\"\"\"\tpos\nbad\tneg\n",
        ),
        (
            "a.tsv",
            "sentence\tlabel\nwell; it, is | \"good\"\tpos\nbad\tneg\n",
        ),
        (
            "a.tsv",
            "\"sentence\"\t\"label\"\n\"well; it, is | \"\"good\"\"\"\t\"pos\"\n\"bad\"\t\"neg\"\n",
        ),
        (
            "a.csv",
            "sentence,label\n\"well; it, is | \\\"good\\\"\",pos\nbad,neg\n",
        ),
        (
            "a.csv",
            "sentence, label\n\"well; it, is | \"\"good\"\"\", \"pos\"\n\"bad\", \"neg\"\n",
        ),
        (
            "a.csv",
            "sentence, label\n\"well; it, is | \\\"good\\\"\", \"pos\"\n\"bad\", \"neg\"\n",
        ),
        (
            "a.csv",
            "\"sentence\" ,\"label\"\n\"well; it, is | \"\"good\"\"\" ,\"pos\"\n\"bad\" ,\"neg\"\n",
        ),
    ] {
        assert_eq!(rows(name, table), expected, "{table}");
    }
    let shifted: Vec<_> = expected
        .iter()
        .map(|(line, text, label)| row(line + 1, text, label))
        .collect();
    let sep = "sep=;\r\nsentence;label\r\n\"well; it, is | \"\"good\"\"\";pos\r\nbad;neg\r\n";
    assert_eq!(rows("a.csv", sep), shifted);
}

#[test]
fn a_quoted_tsv_may_hold_tabs_and_line_ends() {
    assert_eq!(
        rows(
            "a.tsv",
            "sentence\tlabel\n\"order 0\nwas bad\"\tneg\nfine\tpos\n\"a\tb\"\tneg\n"
        ),
        [
            row(2, "order 0\nwas bad", "neg"),
            row(4, "fine", "pos"),
            row(5, "a\tb", "neg")
        ]
    );
}

#[test]
fn a_table_of_a_glue_task_is_cut_at_tabs_alone() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let path = folder.path().join("dev.tsv");
    fs::write(
        &path,
        "sentence\tlabel\n\"a \"\"b\"\"\t1\n\"c\"\t0\nd\"\t1\n",
    )
    .unwrap();
    let mut layout = layout(TableFormat::Auto, false);
    layout.dialect.literal_tsv = true;
    let mut table = TableReader::open(&path, &layout).unwrap();
    let mut texts = Vec::new();
    while let Some(row) = table.next_row().unwrap() {
        texts.push(row.text);
    }
    assert_eq!(texts, ["\"a \"\"b\"\"", "\"c\"", "d\""]);
    assert_eq!(table.quoted_rows().0, 0);
}

#[test]
fn what_the_user_says_of_a_table_counts() {
    let read = |content: &str, rule: DialectRule| {
        let folder: TempDir = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, content).unwrap();
        let layout = TableLayout {
            dialect: rule,
            ..layout(TableFormat::Auto, false)
        };
        let mut table = TableReader::open(&path, &layout)?;
        Ok::<_, DataError>(table.next_row()?.map(|row| row.text))
    };
    let rule = DialectRule::default();
    let literal = DialectRule {
        quoting: Some(Quoting::None),
        ..rule
    };
    let stray = "sentence,label\n\"5 stars,pos\nbad,neg\n";
    assert_eq!(read(stray, literal).unwrap().as_deref(), Some("\"5 stars"));
    let bar = DialectRule {
        delimiter: Some(b'~'),
        ..rule
    };
    assert_eq!(
        read("sentence~label\na~b\n", bar).unwrap().as_deref(),
        Some("a")
    );
    let doubled = DialectRule {
        escape: Some(Escape::Double),
        ..rule
    };
    assert!(read("sentence,label\n\"a \\\"b\\\" c\",1\n", doubled).is_err());
    let wrong = DialectRule {
        delimiter: Some(b';'),
        ..rule
    };
    let error = read("sentence,label\na,b\n", wrong).unwrap_err();
    assert!(
        error
            .hint()
            .unwrap()
            .starts_with("check `format`, `delimiter`")
    );
}

/// Rows with one that has a stray quote, and the line that an error must name.
#[test]
fn a_stray_quote_is_named_where_it_opens() {
    let around = |rows: &str| {
        format!("sentence,label\ngood film,pos\nbad film,neg\n{rows}fine,pos\ndull,neg\n")
    };
    for (what, rows, line) in [
        (
            "the next quote opens a field",
            "\"so bad,neg\nfine,pos\n\"well, yes\",pos\n",
            4,
        ),
        (
            "two rows begin with one",
            "\"order 20 was bad,neg\n\"order 21 was fine,pos\n",
            4,
        ),
        (
            "text after a quoted part",
            "fine,pos\n\"Great\" movie,pos\n",
            5,
        ),
        (
            "inches at a field's end",
            "\"so bad,neg\nfine,pos\nit is 6\",pos\n",
            4,
        ),
        ("one row is swallowed", "\"so bad,neg\nit is 6\",pos\n", 4),
        ("it is never closed", "\"so bad,neg\nfine,pos\n", 4),
    ] {
        let (message, hint) = fault("a.csv", around(rows).as_bytes());
        assert!(
            message.starts_with(&format!("a.csv:{line}` opens a quoted field")),
            "{what}: {message}"
        );
        assert!(hint.unwrap().contains("quoting = \"none\""), "{what}");
    }
}

#[test]
fn a_stray_quote_is_found_whichever_column_the_label_is() {
    let table =
        |rows: &str| format!("label,id,sentence\npos,1,good\nneg,2,bad\n{rows}pos,8,fine\n");
    let swallowing = table("neg,3,\"so bad\npos,4,it is 6\"\n");
    let (message, _) = fault("a.csv", swallowing.as_bytes());
    assert_eq!(
        message,
        "a.csv:4` opens a quoted field that runs over the next rows"
    );
    let longer = table("neg,3,\"so bad\npos,4,fine\nneg,5,it is 6\"\n");
    assert!(fault("a.csv", longer.as_bytes()).0.starts_with("a.csv:4`"));
    // Nothing is known of the labels until later.
    let first = "sentence,label\n\"so bad,neg\nit is 6\",pos\nfine,pos\nbad,neg\n";
    assert!(fault("a.csv", first.as_bytes()).0.starts_with("a.csv:2`"));
}

#[test]
fn texts_of_several_lines_are_no_swallowed_rows() {
    for table in [
        "sentence,label\na,pos\nb,neg\n\"Dear all,\nI was there, and it was fine,\nyours\",pos\n",
        "label,sentence\npos,a\nneg,b\nneg,\"first line\nsecond, third\"\n",
        "label,sentence\n1,a\n0,b\n1,\"I had two,\n1, or 0\"\n",
        "sentence,label\na,1\nb,0\n\"the score was 2,1\nfor us\",0\n",
        "sentence,other,label\n\"a\nb\",\"c\nd\",pos\ne,f,neg\n",
    ] {
        assert!(!rows("a.csv", table).is_empty(), "{table}");
    }
}

#[test]
fn a_backslash_before_a_stray_quote_has_a_hint_of_its_own() {
    // Neither way of escaping makes the whole table regular.
    let table = "sentence,label\n\"a \\\"b\\\" c\",pos\n\"d\" e,neg\n";
    let (message, hint) = fault("a.csv", table.as_bytes());
    assert_eq!(
        message,
        "a.csv:2` opens a quoted field, and there is text after the quote that closes it"
    );
    assert!(hint.unwrap().contains("escape = \"backslash\""));
}

#[test]
fn a_file_that_is_no_table_is_named_by_what_it_is() {
    for (content, message) in [
        (
            &b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"[..],
            "a.csv` is gzip-compressed",
        ),
        (
            b"PK\x03\x04..........xl/workbook.xml",
            "a.csv` is an Excel workbook (.xlsx)",
        ),
        (b"PAR1\x15\x04\x15\0", "a.csv` is a Parquet file"),
        (b"[{\"text\": \"a\", \"label\": 1}]\n", "a.csv` is JSON"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a.csv` is a Git LFS pointer, not the file itself",
        ),
        (b"<!DOCTYPE html>\n<html>", "a.csv` is a web page (HTML)"),
        (b"\xff\xfes\0,\0l\0\n\0", "a.csv` is UTF-16, not UTF-8"),
        (
            b"sentence,label\ra,1\rb,0\r",
            "a.csv` is text whose lines end in a carriage return alone",
        ),
        (
            b"sentence,label\na,1\n\0\0\0\0",
            "a.csv` is text with zero bytes in it",
        ),
        (
            b"sentence,label\na,1\nb\0c,1\nd,0\n",
            "a.csv:3` is text with zero bytes in it",
        ),
        (
            b"sentence,label\nab,1\ncd\xe9\xe8,1\n",
            "a.csv:3` is not UTF-8",
        ),
    ] {
        let (found, hint) = fault("a.csv", content);
        assert_eq!(found, message);
        assert!(hint.is_some(), "{message}");
    }
}

#[test]
fn an_encoding_is_recognized_however_far_down_it_shows() {
    let mut table = b"sentence,label\n".to_vec();
    for row in 0..200_000 {
        table.extend(format!("order {row} was fine,pos\n").bytes());
    }
    for row in 0..50 {
        table.extend(
            format!("order {row} \u{e9}t\u{e9} caf\u{e9},neg\n")
                .chars()
                .map(|letter| letter as u8),
        );
    }
    let (message, hint) = fault("a.csv", &table);
    assert_eq!(
        message,
        "a.csv:200002` is not UTF-8, most likely WINDOWS-1252"
    );
    assert!(hint.unwrap().contains("iconv -f WINDOWS-1252 -t UTF-8"));
}

#[test]
fn names_and_labels_have_no_spaces_and_those_of_labels_are_counted() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, " sentence , label\na,pos \nb, pos\nc,pos\n").unwrap();
    let mut table = TableReader::open(&path, &layout(TableFormat::Auto, false)).unwrap();
    while let Some(row) = table.next_row().unwrap() {
        assert_eq!(row.label, "pos");
    }
    assert_eq!(table.spaced_labels(), 2);
}

#[test]
fn text_of_a_table_is_escaped_and_short_in_messages() {
    let name = "te\u{1b}[31mxt\u{7}";
    let (message, _) = fault("a.csv", format!("{name},label\nhello,pos\n").as_bytes());
    assert!(
        message.ends_with("its columns are `te\\u{1b}[31mxt\\u{7}`, `label`"),
        "{message}"
    );
    let long = format!("{},b\nc,d\n", "x".repeat(1_000_000));
    let (message, _) = fault("a.csv", long.as_bytes());
    assert!(message.len() < 300, "{}", message.len());
}
