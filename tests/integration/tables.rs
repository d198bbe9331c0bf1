//! Tables as people have them: what `init` and data-prep make of them, and what they print.

use std::fmt::Write as _;
use std::fs;

use crate::harness::{Ran, Test};

/// A table of 60 rows, each made of its number and its label.
fn table(header: &str, row: impl Fn(usize, &str) -> String) -> String {
    let mut table = format!("{header}\n");
    for number in 0..60 {
        let _ = writeln!(table, "{}", row(number, ["neg", "pos"][number % 2]));
    }
    table
}

fn plain_row(row: usize, label: &str) -> String {
    format!("good film {row},{label}")
}

/// data-prep of `data/t.csv`, a tenth of it held out, by the tests' teacher.
fn prepare(test: &Test, sets: &[&str]) -> Ran {
    let file = test.read("x.toml");
    let file = file.replace("data/train.tsv", "data/t.csv");
    let file = file.replace("dev = \"data/dev.tsv\"", "dev-fraction = 0.3");
    test.write("t.toml", &file);
    let mut arguments = vec!["t.toml", "--until", "data-prep"];
    for set in sets {
        arguments.extend(["--set", set]);
    }
    test.run(&arguments)
}

fn prepare_bytes(content: &[u8], sets: &[&str]) -> Ran {
    let test = Test::new();
    fs::write(test.path("data/t.csv"), content).expect("written");
    prepare(&test, sets)
}

#[test]
fn a_table_in_another_dialect_needs_no_key_and_gives_the_same_store() {
    let store = |content: &str, sets: &[&str]| {
        let test = Test::new();
        test.write("data/t.csv", content);
        prepare(&test, sets).succeeds();
        let tokens = fs::read(test.path("runs/t/data-prep/train/tokens.bin")).expect("a store");
        assert!(tokens.len() > 100);
        tokens
    };
    let plain = store(
        &table("text,label", |row, label| {
            format!("\"good, film {row}\",{label}")
        }),
        &[],
    );
    let semicolons = table("text;label", |row, label| {
        format!("good, film {row};{label}")
    });
    assert_eq!(store(&semicolons, &[]), plain);
    assert_eq!(
        store(&semicolons, &["task.delimiter=;", "task.quoting=none"]),
        plain
    );
    assert_eq!(
        store(
            &format!("sep=;\r\n{}", semicolons.replace('\n', "\r\n")),
            &[]
        ),
        plain
    );
    let spaces = table("text, label", |row, label| {
        format!("\"good, film {row}\", \"{label}\"")
    });
    assert_eq!(store(&spaces, &[]), plain);
    let tabs = table("text\tlabel", |row, label| {
        format!("\"good, film {row}\"\t{label}")
    });
    assert_eq!(
        store(&tabs, &["task.format=tsv", "task.quoting=quotes"]),
        plain
    );
    let backslashes = table("text,label", |row, label| {
        format!("\"good, \\\"film\\\" {row}\",{label}")
    });
    let doubled = backslashes.replace("\\\"", "\"\"");
    assert_eq!(store(&backslashes, &[]), store(&doubled, &[]));
    assert_eq!(
        store(&backslashes, &["task.escape=backslash"]),
        store(&doubled, &[])
    );
}

#[test]
fn what_is_odd_about_a_table_is_told_in_the_console() {
    let warns = |content: &str, warning: &str| {
        prepare_bytes(content.as_bytes(), &[])
            .succeeds()
            .says(&format!("data-prep       warning: {warning}"));
    };
    warns(
        &table("text,label", |row, _| {
            plain_row(row, ["1", "1.0", "0"][row % 3])
        }),
        "labels `1` (20 rows), `1.0` (20 rows) look like one class but are separate classes\n",
    );
    warns(
        &table("text,label", |row, label| {
            plain_row(row, if row % 6 == 0 { "NaN" } else { label })
        }),
        "10 rows with the label `NaN`, which looks like a missing value but is a class\n",
    );
    warns(
        &table("text,label", |row, label| {
            plain_row(row, &format!("{label}{}", &" "[row % 2..]))
        }),
        "30 rows have spaces around the label; they are removed\n",
    );
    warns(
        &table("text,label", |row, label| match row % 3 {
            0 => format!("\u{200b}\u{200c},{label}"),
            _ => plain_row(row, label),
        }),
        "20 rows of 60 have a text without tokens, such as `data/t.csv:2`\n",
    );
    let rare = table("text,label", |row, _| plain_row(row, "pos")) + "bad film,neg\n";
    warns(&rare, "1 class has only one row: `neg`\n");
    prepare_bytes(rare.as_bytes(), &[]).says(": a model that always predicts it scores 1.0");
    let quiet = prepare_bytes(table("text,label", plain_row).as_bytes(), &[]).succeeds();
    assert!(!quiet.stderr.contains("warning"), "{}", quiet.stderr);
}

#[test]
fn what_cannot_be_learned_is_refused() {
    let different = table("text,label", |row, _| plain_row(row, &format!("id{row}")));
    prepare_bytes(different.as_bytes(), &[])
        .ends_with(1)
        .says("all 60 rows of `data/t.csv` have different labels in column `label`")
        .says("hint: check that `label` is the column of the labels");
    let plain = table("text,label", plain_row);
    prepare_bytes(plain.as_bytes(), &["task.text=label"])
        .ends_with(2)
        .says("`label` and `text` in `[task]` are the same column `label`");
    prepare_bytes(plain.as_bytes(), &["task.regression=true"])
        .ends_with(1)
        .says("`data/t.csv:2` has the label `neg`, which is not a finite number");
    let gaps = table("text,label", |row, _| {
        plain_row(row, if row == 7 { "nan" } else { "1.5" })
    });
    prepare_bytes(gaps.as_bytes(), &["task.regression=true"])
        .ends_with(1)
        .says("`data/t.csv:9` has the label `nan`, which is not a finite number")
        .says("hint: remove rows without a value");
}

#[test]
fn a_stray_quote_is_an_error_at_its_line() {
    let stray = table("text,label", |row, label| match row {
        20 | 21 => format!("\"good film {row},{label}"),
        _ => plain_row(row, label),
    });
    prepare_bytes(stray.as_bytes(), &[])
        .ends_with(1)
        .says("`data/t.csv:22` opens a quoted field, and there is text after the quote that closes it in line 23")
        .says("set `quoting = \"none\"` in `[task]`");
    prepare_bytes(stray.as_bytes(), &["task.quoting=none"]).succeeds();
}

#[test]
fn a_message_about_a_foreign_file_is_short_and_its_hint_fits() {
    let long = "x".repeat(1 << 20);
    let cases: [(&[u8], &str, &str); 6] = [
        (
            b"\x1f\x8b\x08\0\0\0\0\0\x02\xff",
            "is gzip-compressed",
            "`gzip -dc < data/t.csv > data/t-unpacked.csv`",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a Git LFS pointer",
            "run `git lfs pull`",
        ),
        (
            b"PK\x03\x04.......xl/workbook.xml",
            "is an Excel workbook (.xlsx)",
            "CSV UTF-8",
        ),
        (
            b"text,label\rgood,pos\rbad,neg\r",
            "end in a carriage return alone",
            "tr '\\r' '\\n'",
        ),
        (
            b"[{\"text\": \"good\", \"label\": \"pos\"}]\n",
            "is JSON",
            "read_json(sys.argv[1])",
        ),
        (long.as_bytes(), "has no column `text`", ""),
    ];
    for (content, message, hint) in cases {
        let ran = prepare_bytes(content, &[])
            .ends_with(1)
            .says(message)
            .says(hint);
        assert!(ran.stderr.len() < 1000, "{}", ran.stderr.len());
        let test = Test::new();
        fs::write(test.path("data/t.csv"), content).expect("written");
        let ran = test.run(&["init", "data/t.csv"]).ends_with(2);
        assert!(
            ran.stderr.len() < 1000 && ran.stdout.is_empty(),
            "{}",
            ran.stderr.len()
        );
        if !hint.is_empty() {
            ran.says(message).says(hint);
        }
    }
}

#[test]
fn text_of_a_table_and_of_a_path_reaches_no_terminal_unescaped() {
    let foreign = "a\u{1b}[31mb\u{1b}]0;owned\u{7}\u{202e}\u{9b}2J";
    let clean = |ran: &Ran| {
        for text in [&ran.stdout, &ran.stderr] {
            let is_clean = |letter: char| {
                matches!(letter, '\n' | '\t') || !letter.is_control() && letter != '\u{202e}'
            };
            assert!(text.chars().all(is_clean), "{text:?}");
        }
    };
    let header = table(&format!("{foreign},label"), plain_row);
    clean(
        &prepare_bytes(header.as_bytes(), &[])
            .ends_with(1)
            .says("a\\u{1b}[31mb\\u{1b}]0;owned"),
    );
    let labels = table("text,label", |row, label| {
        plain_row(row, &format!("{label}{foreign}"))
    });
    clean(&prepare_bytes(labels.as_bytes(), &[]).succeeds());
    let test = Test::new();
    test.write("data/t.csv", &labels);
    clean(&test.run(&["init", "data/t.csv"]).succeeds());
    clean(&prepare(&test, &[&format!("task.label={foreign}")]).ends_with(1));
    clean(&prepare(&test, &[&format!("task.train={foreign}.csv")]).ends_with(2));
    clean(&prepare(&test, &[&format!("teacher.model={foreign}")]).ends_with(2));
    clean(&prepare(&test, &[&format!("task.{foreign}=1")]).ends_with(2));
    test.write("y.toml", &format!("[task]\n\"{foreign}\" = 1\n"));
    clean(&test.run(&["y.toml", "--dry-run"]).ends_with(2));
    test.write(&format!("{foreign}.toml"), &test.read("x.toml"));
    clean(&test.run(&[&format!("{foreign}.toml"), "--dry-run"]));
}

#[test]
fn init_and_training_agree_on_a_table() {
    for content in [
        table("text,label", plain_row),
        table("text;label\r", |row, label| {
            format!("good; film {row};{label}\r").replace("; ", ", ")
        }),
        table("v1,v2,,,\r", |row, label| {
            format!("{label},\"good film {row}\",,,\r")
        }),
        table(" my text , the label ", plain_row),
        table("question,sentence,label,idx", |row, _| {
            format!("good {row},film {row},{},{row}", row % 2)
        }),
        table("text,label", |row, label| {
            plain_row(row, &format!("{label}{}", &" "[row % 2..]))
        }),
    ] {
        let test = Test::new();
        test.write("data/t.csv", &content);
        let init = ["init", "data/t.csv", "-o", "t.toml", "--teacher", "teacher"];
        test.run(&init).succeeds();
        let mut run = vec!["t.toml", "--until", "data-prep"];
        for set in [
            "student.num-hidden-layers=2",
            "student.hidden-size=4",
            "student.num-attention-heads=2",
            "task.dev-fraction=0.3",
        ] {
            run.extend(["--set", set]);
        }
        test.run(&run).succeeds().says("examples, ");
    }
}

#[test]
fn init_takes_the_columns_that_are_named() {
    let test = Test::new();
    test.write(
        "data/t.csv",
        &table("a,b,c", |row, label| {
            format!("good {row},film {row},{label}")
        }),
    );
    let named = [
        "init",
        "data/t.csv",
        "--text",
        "b",
        "--pair",
        "a",
        "--label",
        "c",
    ];
    let file = test.run(&named).succeeds().stdout;
    assert!(file.contains("text = \"b\"\npair = \"a\""), "{file}");
    test.run(&["init", "data/t.csv", "--label", "d"])
        .ends_with(2)
        .says("`data/t.csv:1` has no column `d`; its columns are `a`, `b`, `c`");
    test.write("data/n.csv", "a,b\n1,one\n2,two\n");
    test.run(&["init", "data/n.csv"])
        .ends_with(2)
        .says("no column that looks like a label")
        .says("hint: name it with `--label COLUMN`");
    test.write("data/h.csv", &table("good film 99,neg", plain_row));
    test.run(&["init", "data/h.csv"])
        .succeeds()
        .says("warning: the header `data/h.csv:1` looks like a row")
        .says("hint: add a first line that names the columns");
}

#[test]
fn init_takes_the_dialect_that_is_named_and_training_reads_the_same() {
    let tildes = table("text~label", |row, label| {
        format!("\\\"good\\\" film, {row}~{label}")
    });
    let backslashes = table("text,label", |row, label| {
        format!("\"a \\\"good\\\" film, {row}\",{label}")
    });
    let tabs = table("text\tlabel", |row, label| {
        format!("\"good\" film, {row}\t{label}")
    });
    let objects = table("", |row, label| {
        format!("{{\"text\": \"film {row}\", \"label\": \"{label}\"}}")
    });
    let cases: [(&str, &[&str], &str); 7] = [
        (
            &tildes,
            &["--delimiter", "~", "--quoting", "none"],
            "delimiter = \"~\"\nquoting = \"none\"\n",
        ),
        (
            &backslashes,
            &["--escape", "backslash"],
            "escape = \"backslash\"\n",
        ),
        (
            &tabs,
            &["--delimiter", "tab", "--quoting", "none"],
            "delimiter = \"\\t\"\nquoting = \"none\"\n",
        ),
        // What detection finds too.
        (
            &table("text,label", plain_row),
            &["--delimiter", ",", "--quoting", "quotes"],
            "delimiter = \",\"\nquoting = \"quotes\"\n",
        ),
        (
            &tabs,
            &["--format", "tsv"],
            "another table\"\nformat = \"tsv\"\ntext",
        ),
        (
            &table("text,label", plain_row),
            &["--format", "csv", "--delimiter", ","],
            "another table\"\nformat = \"csv\"\ndelimiter = \",\"\ntext",
        ),
        // JSON lines are found by content: nothing but what is given is written.
        (
            &objects,
            &["--format", "tsv", "--delimiter", ";"],
            "format = \"tsv\"\ndelimiter = \";\"\ntext",
        ),
    ];
    for (content, options, keys) in cases {
        let test = Test::new();
        test.write("data/t.csv", content);
        let init = ["init", "data/t.csv", "-o", "t.toml", "--teacher", "teacher"];
        test.run(&[&init, options].concat()).succeeds();
        let file = test.read("t.toml");
        assert!(file.contains(keys), "{options:?}\n{file}");
        let run = [
            "t.toml",
            "--until",
            "data-prep",
            "--set",
            "student.num-hidden-layers=2",
            "--set",
            "student.hidden-size=4",
            "--set",
            "student.num-attention-heads=2",
            "--set",
            "task.dev-fraction=0.3",
        ];
        test.run(&run).succeeds().says("examples, ");
    }
    let test = Test::new();
    test.write("data/t.csv", &tildes);
    test.run(&["init", "data/t.csv"])
        .ends_with(2)
        .says("hint: the header is read as one column: name the character between its columns with `--delimiter CHARACTER`");
    for (option, word) in [
        ("--format", "auto"),
        ("--format", "jsonl"),
        ("--delimiter", ";;"),
        ("--delimiter", "a"),
        ("--quoting", "auto"),
        ("--escape", "x"),
    ] {
        test.run(&["init", "data/t.csv", option, word])
            .ends_with(2)
            .says(option);
    }
}
