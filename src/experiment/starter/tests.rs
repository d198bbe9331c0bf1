use super::super::Experiment;
use super::*;
use crate::data::DialectRule;
use crate::data::table::Dialect;
use crate::kinds::KINDS;

fn survey() -> Survey {
    Survey {
        columns: ["id\r\n", "say \"it\"", "team\u{14}"]
            .map(str::to_owned)
            .to_vec(),
        dialect: Dialect {
            delimiter: b';',
            ..Dialect::standard(true)
        },
        standard: Dialect::standard(true),
        given: DialectRule::default(),
        rows: 1200,
        is_part: false,
        text: "say \"it\"".to_owned(),
        pair: None,
        label: "team".to_owned(),
        classes: vec![
            ("a\u{14}b".to_owned(), 700),
            ("c\nd\u{202e}".to_owned(), 500),
        ],
        tokens: 60,
        warnings: Vec::new(),
    }
}

fn paths<'a>(table: &'a str, corpus: Option<&'a str>) -> StarterPaths<'a> {
    StarterPaths {
        table,
        corpus,
        teacher: "models/bert",
    }
}

#[test]
fn what_is_written_reads_as_an_experiment_of_that_table() {
    let survey = survey();
    for corpus in [None, Some("data/more/*.txt")] {
        let text = starter(&survey, paths("data/my \"table\"\n.csv", corpus));
        let read = Experiment::read(KINDS, "x.toml", "x", &text, &[]);
        let (experiment, _) = read.unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        let task = experiment.task;
        assert_eq!(*task.text, survey.text);
        assert_eq!(task.delimiter, Some(';'));
        assert_eq!(
            task.labels.expect("classes").value,
            ["a\u{14}b", "c\nd\u{202e}"]
        );
        assert_eq!(*task.max_seq_length.unwrap(), 64);
        assert_eq!(
            experiment.stages.get("general-distill").is_some(),
            corpus.is_some()
        );
        assert!(experiment.stages.get("eval").is_some());
    }
    let regression = Survey {
        classes: Vec::new(),
        pair: Some("id".to_owned()),
        ..survey
    };
    let text = starter(&regression, paths("t.tsv", None));
    let (experiment, _) = Experiment::read(KINDS, "x.toml", "x", &text, &[]).expect("no faults");
    assert!(experiment.task.regression && experiment.task.pair.is_some());
}

#[test]
fn what_the_user_says_of_a_table_is_written_though_its_ending_says_the_same() {
    let given = DialectRule {
        format: TableFormat::Csv,
        delimiter: Some(b','),
        quoting: Some(Quoting::Quoted),
        escape: Some(Escape::Double),
        literal_tsv: false,
    };
    let survey = Survey {
        dialect: Dialect::standard(true),
        given,
        ..survey()
    };
    let text = starter(&survey, paths("t.csv", None));
    let keys = "format = \"csv\"\ndelimiter = \",\"\nquoting = \"quotes\"\nescape = \"doubled\"\n";
    assert!(text.contains(keys), "{text}");
    let (experiment, _) = Experiment::read(KINDS, "x.toml", "x", &text, &[]).expect("no faults");
    let task = experiment.task;
    let read = super::super::dialect_rule(
        task.format.table(),
        task.delimiter,
        task.quoting,
        task.escape,
    );
    assert_eq!(read, given);
}

#[test]
fn nothing_of_a_table_reaches_a_terminal_unescaped() {
    let survey = Survey {
        columns: vec![
            "te\u{1b}[31mxt".to_owned(),
            "la\u{9b}bel\u{202e}".to_owned(),
        ],
        text: "te\u{1b}[31mxt".to_owned(),
        label: "la\u{9b}bel\u{202e}".to_owned(),
        ..survey()
    };
    let text = starter(&survey, paths("a\u{7}.csv", None));
    let is_shown = |letter: char| letter == '\n' || !letter.is_control() && letter != '\u{202e}';
    assert!(text.chars().all(is_shown), "{text:?}");
    let (experiment, _) = Experiment::read(KINDS, "x.toml", "x", &text, &[]).expect("no faults");
    assert_eq!(*experiment.task.label, survey.label);
    assert_eq!(*experiment.task.train, "a\u{7}.csv");
}

#[test]
fn many_classes_and_few_rows_get_more_epochs() {
    let with = |rows, classes: usize| {
        let classes = (0..classes).map(|class| (class.to_string(), 2));
        epochs(&Survey {
            rows,
            classes: classes.collect(),
            ..survey()
        })
    };
    assert_eq!(with(10_003, 77), [4, 8, 8]);
    assert_eq!(with(9_537, 2), [2, 5, 3]);
    assert_eq!(with(67_349, 2), [2, 2, 2]);
    assert_eq!(with(500, 2), [10, 20, 20]);
    let text = starter(
        &Survey {
            classes: (0..77)
                .map(|class| (class.to_string(), class + 2))
                .collect(),
            ..survey()
        },
        paths("t.csv", None),
    );
    assert!(text.contains("\nlearning-rate = 2e-4\n"), "{text}");
    assert!(
        text.contains("# 77 classes, 2 to 78 rows each") && !text.contains("labels = ["),
        "{text}"
    );
}
