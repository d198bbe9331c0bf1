use std::sync::mpsc::{Receiver, channel};

use super::*;

/// Gives what is sent, and waits for more until the sender is gone.
struct Pipe(Receiver<&'static str>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Ok(text) = self.0.recv() else {
            return Ok(0);
        };
        buffer[..text.len()].copy_from_slice(text.as_bytes());
        Ok(text.len())
    }
}

fn layout(text: &str) -> TextLayout {
    TextLayout {
        dialect: DialectRule::default(),
        text: text.to_owned(),
        pair: None,
        columns: None,
        skip_short: false,
    }
}

fn lines(text: &'static [u8]) -> Texts {
    Texts::lines(Path::new("stdin"), Box::new(text))
}

fn texts(mut rows: Texts) -> Vec<String> {
    let next = std::iter::from_fn(|| rows.next_row().unwrap());
    next.map(|row| row.text).collect()
}

#[test]
fn every_line_is_a_text_and_an_empty_one_too() {
    let found = texts(lines(b"\xef\xbb\xbfa good film\r\n\nbad"));
    assert_eq!(found, ["a good film", "", "bad"]);
    assert_eq!(texts(lines(b"")), [""; 0]);
}

#[test]
fn bytes_that_are_not_utf8_are_named_by_line() {
    let mut rows = lines(b"good\nb\xffd\n");
    assert_eq!(rows.next_row().unwrap().unwrap().text, "good");
    let error = rows.next_row().unwrap_err();
    assert_eq!(error.to_string(), "`stdin:2` is not UTF-8");
}

#[test]
fn rows_of_a_stream_are_read_before_the_next_is_written() {
    for (header, rows) in [
        ("id,text\n", ["1,a\n", "2,\"b, c\"\n"]),
        ("id\ttext\n", ["1\ta\n", "2\tb, c\n"]),
        ("", ["{\"text\": \"a\"}\n", "{\"text\": \"b, c\"}\n"]),
    ] {
        let (sender, receiver) = channel();
        if header.is_empty() {
            sender.send(rows[0]).unwrap();
        } else {
            sender.send(header).unwrap();
        }
        let pipe = Box::new(Pipe(receiver));
        let stream = Texts::stream(Path::new("stdin"), pipe, &layout("text"), false);
        let mut stream = stream.unwrap();
        for (index, (row, text)) in rows.into_iter().zip(["a", "b, c"]).enumerate() {
            if index > 0 || !header.is_empty() {
                sender.send(row).unwrap();
            }
            assert_eq!(stream.next_row().unwrap().unwrap().text, text);
        }
        drop(sender);
        assert!(stream.next_row().unwrap().is_none());
    }
}

#[test]
fn blank_lines_of_a_table_of_one_column_are_rows() {
    let read = |text: &'static str| {
        let input = Box::new(text.as_bytes());
        texts(Texts::stream(Path::new("x"), input, &layout("text"), false).unwrap())
    };
    assert_eq!(read("text\na\n\nb\n"), ["a", "", "b"]);
    assert_eq!(read("id\ttext\n1\ta\n\n2\t\n"), ["a", ""]);
}

#[test]
fn columns_are_kept_as_they_are_read() {
    let read = |text: &'static str| {
        let input = Box::new(text.as_bytes());
        let mut rows = Texts::stream(Path::new("x"), input, &layout("text"), true).unwrap();
        let row = rows.next_row().unwrap().unwrap();
        assert_eq!(rows.columns(), ["id", "text"]);
        match row.columns {
            RowColumns::Fields(fields) => fields,
            RowColumns::Object(object) => object.values().map(|it| it.get().to_owned()).collect(),
        }
    };
    assert_eq!(read("id\ttext\n7\ta\n"), ["7", "a"]);
    assert_eq!(read("{\"id\": 7.50, \"text\": \"a\"}\n"), ["7.50", "\"a\""]);
}

#[test]
fn a_missing_column_and_a_broken_row_are_named_by_line() {
    let open = |text: &'static str, column| {
        let input = Box::new(text.as_bytes());
        Texts::stream(Path::new("stdin"), input, &layout(column), false)
    };
    let error = open("id,text\n", "sentence").unwrap_err();
    let expected = "`stdin:1` has no column `sentence`; its columns are `id`, `text`";
    assert_eq!(error.to_string(), expected);
    let mut rows = open("id,text\n1,a\n2\n", "text").unwrap();
    assert_eq!(rows.next_row().unwrap().unwrap().text, "a");
    let error = rows.next_row().unwrap_err().to_string();
    assert_eq!(error, "`stdin:3` has 1 column, and the header has 2");
}
