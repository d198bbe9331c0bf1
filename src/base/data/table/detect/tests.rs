use super::*;

fn of(sample: &str, is_csv: bool) -> Dialect {
    detect(sample.as_bytes(), DialectRule::default(), is_csv, &[])
}

#[test]
fn delimiters_are_found_whatever_the_ending() {
    for is_csv in [true, false] {
        for delimiter in [',', ';', '\t', '|'] {
            let table = "text,label\ngood; so | so,pos\nbad,neg\n".replace([';', '|'], "");
            let table = table.replace(',', &delimiter.to_string());
            let found = of(&table, is_csv);
            assert_eq!(char::from(found.delimiter), delimiter, "{is_csv} {table}");
        }
    }
}

#[test]
fn a_delimiter_within_texts_is_none() {
    let semicolons = "text;label\nwell, yes, no;pos\nbad;neg\nso, so;neg\n";
    assert_eq!(of(semicolons, true).delimiter, b';');
    let header = "review, in full;label\nwell, yes, no;pos\nbad;neg\n";
    assert_eq!(of(header, true).delimiter, b';');
    let commas = "text,label\nwell; yes; no,pos\nbad | sad,neg\n";
    assert_eq!(of(commas, true).delimiter, b',');
    let quoted = "\"text\";\"label\"\n\"a, b; c\";\"pos\"\n";
    assert_eq!(of(quoted, true).delimiter, b';');
    assert_eq!(
        of("text\tlabel\na, b, c\tpos\nd\tneg\n", false).delimiter,
        b'\t'
    );
}

#[test]
fn the_columns_that_are_asked_for_decide() {
    let table = "text,label;more\na,x;1;2\nb,y;2\n";
    let with = |columns: &[&str]| detect(table.as_bytes(), DialectRule::default(), true, columns);
    assert_eq!(with(&["text", "label;more"]).delimiter, b',');
    assert_eq!(with(&["text,label", "more"]).delimiter, b';');
}

#[test]
fn the_sep_line_of_excel_names_the_delimiter() {
    for line in ["sep=;", "SEP=;\r", "\"sep=;\"", "\u{feff}sep=;\r"] {
        let found = of(&format!("{line}\ntext;label\na, b;c\n"), true);
        assert!(found.has_sep_line && found.delimiter == b';', "{line:?}");
    }
    assert!(!of("sep=x\ntext,label\n", true).has_sep_line);
}

#[test]
fn quotes_of_a_tsv_are_characters_unless_its_rows_need_them() {
    let quoting = |table: &str| of(table, false).quoting;
    assert_eq!(
        quoting("text\tlabel\n\"good\t1\na \"b\"\t0\n\"c\"\t1\n"),
        Quoting::None
    );
    assert_eq!(
        quoting("text\tlabel\n\"good\nfilm\"\t1\nb\t0\n"),
        Quoting::Quoted
    );
    assert_eq!(
        quoting("text\tlabel\n\"a\ttab\"\t1\nb\t0\n"),
        Quoting::Quoted
    );
    assert_eq!(
        quoting("\"text\"\t\"label\"\n\"a\"\t\"1\"\n"),
        Quoting::Quoted
    );
    assert_eq!(
        quoting("text\tlabel\n\"good\nfilm\t1\nb\t0\n"),
        Quoting::None
    );
    let rule = DialectRule {
        literal_tsv: true,
        ..DialectRule::default()
    };
    let glue = b"text\tlabel\n\"good\nfilm\"\t1\nb\t0\n";
    assert_eq!(detect(glue, rule, false, &[]).quoting, Quoting::None);
}

#[test]
fn backslashes_and_spaces_before_quotes_are_found() {
    let found = |table: &str| {
        let found = of(table, true);
        (found.escape, found.skips_space)
    };
    let backslash = "text,label\n\"he said \\\"so\\\", left\",pos\n\"b\",neg\n";
    assert_eq!(found(backslash), (Escape::Backslash, false));
    assert_eq!(
        found("text,label\n\"in C:\\\",pos\nb,neg\n"),
        (Escape::Double, false)
    );
    let spaces = "text, label\n\"a, b\", \"pos\"\n\"c\", \"neg\"\n";
    assert_eq!(found(spaces), (Escape::Double, true));
    let both = "text, label\n\"a \\\"b\\\" c\", \"pos\"\n\"c\", \"neg\"\n";
    assert_eq!(found(both), (Escape::Backslash, true));
    assert_eq!(
        found("text,label\nso, \"so\" it is\n"),
        (Escape::Double, false)
    );
    assert_eq!(
        found("text,label\n\"a\"\"b\\\",pos\n"),
        (Escape::Double, false)
    );
}
