//! A first experiment file for a user's table, with comments.

use std::fmt::Write as _;

use crate::data::Survey;

/// A comment holds no line's end and no other control character.
fn in_comment(text: &str) -> String {
    text.replace(|letter: char| letter.is_control() && letter != '\t', " ")
}

/// The file that `tinyrun init` writes: it reads as an experiment with these settings.
/// `table` and `corpus` are paths as the file is to name them.
pub fn starter(survey: &Survey, table: &str, corpus: Option<&str>, model: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = String::new();
    let rows = if survey.is_part {
        format!("the first {} rows", survey.rows)
    } else {
        format!("{} rows", survey.rows)
    };
    let _ = writeln!(
        text,
        "# Made from {}: {rows}, columns {}.\n\
         # Look it over, then: tinyrun THIS-FILE --dry-run\n",
        in_comment(table),
        in_comment(&survey.columns.join(", "))
    );
    let _ = writeln!(text, "[task]\nname = \"custom\"\ntrain = {}", quoted(table));
    text.push_str(
        "dev-fraction = 0.1 # held out by hash of the text; or: dev = \"another table\"\n",
    );
    let _ = writeln!(text, "text = {}", quoted(&survey.text));
    if let Some(pair) = &survey.pair {
        let _ = writeln!(
            text,
            "pair = {} # leave it out if only the first counts",
            quoted(pair)
        );
    }
    let _ = writeln!(text, "label = {}", quoted(&survey.label));
    if survey.classes.is_empty() {
        text.push_str("regression = true # the labels are numbers on a scale\n");
    } else {
        let names: Vec<String> = survey.classes.keys().map(|name| quoted(name)).collect();
        let counts = survey.classes.iter();
        let counts: Vec<String> = counts
            .map(|(name, rows)| format!("{name} {rows}"))
            .collect();
        let _ = writeln!(text, "# Rows: {}", in_comment(&counts.join(", ")));
        let _ = writeln!(text, "labels = [{}]", names.join(", "));
    }
    // A word is 1.3 tokens or so, and two or three are added.
    let tokens = (survey.words * 13 / 10 + 3)
        .clamp(16, 512)
        .next_multiple_of(16);
    let _ = writeln!(
        text,
        "max-seq-length = {tokens} # 99 of 100 rows have at most {} words\n",
        survey.words
    );
    let _ = writeln!(
        text,
        "# A BERT in a Hugging Face folder. Fine-tuned on this task already? Then leave [stages.finetune] out.\n\
         [teacher]\nmodel = {}\n",
        quoted(model)
    );
    text.push_str(
        "# The small model. Its heads must be as many as the teacher's.\n\
         [student]\nnum-hidden-layers = 3\nhidden-size = 192\nintermediate-size = 768\n\
         num-attention-heads = 12\n\n\
         [stages.finetune]\nepochs = 2\n\n",
    );
    match corpus {
        Some(corpus) => {
            let _ = writeln!(
                text,
                "# Unlabelled text of your domain, one paragraph a line.\n\
                 [stages.general-distill]\ncorpus = [{}]\nepochs = 1\nlearning-rate = 3e-4\n",
                quoted(corpus)
            );
        }
        None => text.push_str(
            "# With unlabelled text of your domain the student gets better: one paragraph a line.\n\
             # [stages.general-distill]\n# corpus = [\"data/corpus/*.txt\"]\n# epochs = 1\n# learning-rate = 3e-4\n\n",
        ),
    }
    text.push_str(
        "# Layers first, then answers. Small data sets want more epochs: the paper takes 10 to 50 and 3.\n\
         [stages.td-phase1]\nepochs = 5\nlearning-rate = 3e-4\n",
    );
    if corpus.is_none() {
        text.push_str("student = \"random\"\n");
    }
    text.push_str(
        "\n[stages.td-phase2]\nepochs = 3\nlearning-rate = 1e-4\n\n\
         # Teacher and student on dev: accuracy, size, speed.\n[stages.eval]\n",
    );
    if !survey.classes.is_empty() {
        text.push_str(
            "\n# What the student must reach, or the command ends in exit code 3.\n\
             # [goal]\n# \"custom.accuracy\" = 0.9\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Experiment;
    use super::*;

    #[test]
    fn what_is_written_reads_as_an_experiment_of_that_table() {
        let survey = Survey {
            columns: ["id\r\n", "say \"it\"", "team\u{14}"]
                .map(str::to_owned)
                .to_vec(),
            is_csv: true,
            rows: 1200,
            is_part: false,
            text: "say \"it\"".to_owned(),
            pair: None,
            label: "team".to_owned(),
            classes: BTreeMap::from([("a\u{14}b".to_owned(), 700), ("c\nd".to_owned(), 500)]),
            words: 40,
        };
        for corpus in [None, Some("data/more/*.txt")] {
            let text = starter(&survey, "data/my \"table\"\n.csv", corpus, "models/bert");
            let read = Experiment::read("x.toml", "x", &text, &[]);
            let (experiment, _) = read.unwrap_or_else(|faults| panic!("{faults}\n{text}"));
            let task = experiment.task;
            assert_eq!(*task.text, survey.text);
            assert_eq!(task.labels.expect("classes").value, ["a\u{14}b", "c\nd"]);
            assert_eq!(*task.max_seq_length, 64);
            assert_eq!(
                experiment.stages.general_distill.is_some(),
                corpus.is_some()
            );
            assert!(experiment.stages.eval.is_some());
        }
        let regression = Survey {
            classes: BTreeMap::new(),
            pair: Some("id".to_owned()),
            ..survey
        };
        let text = starter(&regression, "t.tsv", None, "m");
        let (experiment, _) = Experiment::read("x.toml", "x", &text, &[]).expect("no faults");
        assert!(experiment.task.regression && experiment.task.pair.is_some());
    }
}
