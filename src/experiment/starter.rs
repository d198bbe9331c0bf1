//! A first experiment file for a user's table, with comments.

use std::fmt::Write as _;

use crate::data::{Escape, Quoting, Survey, TableFormat};
use crate::input::excerpt;

/// Classes that are listed; more are found in the table anew.
const LISTED_CLASSES: usize = 20;

/// What the file is to name, as it is to name it.
#[derive(Debug, Clone, Copy)]
pub struct StarterPaths<'a> {
    /// The table.
    pub table: &'a str,
    /// Unlabelled text, where there is some.
    pub corpus: Option<&'a str>,
    /// The teacher's folder.
    pub teacher: &'a str,
}

/// The file that `tinyrun init` writes: it reads as an experiment with these settings.
pub fn starter(survey: &Survey, paths: StarterPaths<'_>) -> String {
    let mut text = String::new();
    write_head(&mut text, survey, paths.table);
    write_task(&mut text, survey, paths.table);
    let _ = writeln!(
        text,
        "# A BERT in a Hugging Face folder. If it is fine-tuned on this task already, remove [stages.finetune].\n\
         [teacher]\nmodel = {}\n",
        quoted(paths.teacher)
    );
    let (hidden, intermediate) = if survey.classes.len() > MANY_CLASSES {
        (312, 1200)
    } else {
        (192, 768)
    };
    let _ = writeln!(
        text,
        "# The small model. Other numbers of attention heads than the teacher's need attention-loss = \"relations\".\n\
         [student]\nnum-hidden-layers = 3\nhidden-size = {hidden}\nintermediate-size = {intermediate}\n\
         num-attention-heads = 12\n\
         # Short runs learn faster without dropout.\n\
         hidden-dropout-prob = 0.0\nattention-probs-dropout-prob = 0.0\n"
    );
    write_stages(&mut text, survey, paths.corpus);
    if !survey.classes.is_empty() {
        text.push_str(
            "\n# Scores that the student must reach; a missed goal ends in exit code 3.\n\
             # [goal]\n# \"custom.accuracy\" = 0.9\n",
        );
    }
    text
}

fn write_head(text: &mut String, survey: &Survey, table: &str) {
    let first = if survey.is_part { "the first " } else { "" };
    let columns: Vec<String> = survey
        .columns
        .iter()
        .take(20)
        .map(|name| excerpt(name))
        .collect();
    let _ = writeln!(
        text,
        "# Made from {}: {first}{} rows, columns {}.\n\
         # Check it, then run: tinyrun THIS-FILE --dry-run\n",
        excerpt(table),
        survey.rows,
        columns.join(", ")
    );
}

fn write_task(text: &mut String, survey: &Survey, table: &str) {
    let _ = writeln!(text, "[task]\nname = \"custom\"\ntrain = {}", quoted(table));
    text.push_str(
        "dev-fraction = 0.1 # held out by hash of the text; or: dev = \"another table\"\n",
    );
    write_dialect(text, survey);
    let _ = writeln!(text, "text = {}", quoted(&survey.text));
    if let Some(pair) = &survey.pair {
        let _ = writeln!(
            text,
            "pair = {} # remove it if only the first text matters",
            quoted(pair)
        );
    }
    let _ = writeln!(text, "label = {}", quoted(&survey.label));
    if survey.classes.is_empty() {
        text.push_str("regression = true # the labels are numbers on a scale\n");
    } else {
        write_classes(text, &survey.classes);
    }
    let specials = if survey.pair.is_some() { 3 } else { 2 };
    let length = (survey.tokens + specials)
        .clamp(16, 512)
        .next_multiple_of(16);
    let _ = writeln!(
        text,
        "max-seq-length = {length} # 99 % of the rows have at most {} tokens\n",
        survey.tokens + specials
    );
}

/// How the table is cut, where the user said it or its ending does not.
fn write_dialect(text: &mut String, survey: &Survey) {
    let (found, standard, given) = (survey.dialect, survey.standard, survey.given);
    let format = match given.format {
        TableFormat::Auto => None,
        TableFormat::Tsv => Some("tsv"),
        TableFormat::Csv => Some("csv"),
    };
    if let Some(word) = format {
        let _ = writeln!(text, "format = \"{word}\"");
    }
    if given.delimiter.is_some() || found.delimiter != standard.delimiter {
        let delimiter = char::from(found.delimiter).to_string();
        let _ = writeln!(text, "delimiter = {}", quoted(&delimiter));
    }
    if given.quoting.is_some() || found.quoting != standard.quoting {
        let word = match found.quoting {
            Quoting::Quoted => "quotes",
            Quoting::None => "none",
        };
        let _ = writeln!(text, "quoting = \"{word}\"");
    }
    if given.escape.is_some() || found.escape != standard.escape {
        let word = match found.escape {
            Escape::Double => "doubled",
            Escape::Backslash => "backslash",
        };
        let _ = writeln!(text, "escape = \"{word}\"");
    }
}

fn write_classes(text: &mut String, classes: &[(String, u64)]) {
    if classes.len() > LISTED_CLASSES {
        let rows = classes.iter().map(|(_, rows)| *rows);
        let (least, most) = (rows.clone().min().unwrap_or(0), rows.max().unwrap_or(0));
        let _ = writeln!(
            text,
            "# {} classes, {least} to {most} rows each; `labels` is found in the table.",
            classes.len()
        );
        return;
    }
    let counts: Vec<String> = classes
        .iter()
        .map(|(name, rows)| format!("{} {rows}", excerpt(name)))
        .collect();
    let _ = writeln!(text, "# Rows: {}", counts.join(", "));
    let names: Vec<String> = classes.iter().map(|(name, _)| quoted(name)).collect();
    let _ = writeln!(text, "labels = [{}]", names.join(", "));
}

/// More classes than this are learned more slowly.
const MANY_CLASSES: usize = 10;

/// Epochs of finetune, td-phase1 and td-phase2: as many as make about the same number of steps for
/// every table, twice as many where there are many classes.
fn epochs(survey: &Survey) -> [u64; 3] {
    const BATCH: u64 = 32;
    let steps: [u64; 3] = if survey.classes.len() > MANY_CLASSES {
        [1100, 2200, 2200]
    } else {
        [540, 1350, 810]
    };
    let most = [10, 20, 20];
    let an_epoch = (survey.rows * 9 / 10).div_ceil(BATCH).max(1);
    let mut found = [0; 3];
    for (stage, epochs) in found.iter_mut().enumerate() {
        let wanted = (steps[stage] + an_epoch / 2) / an_epoch;
        *epochs = wanted.clamp(2, most[stage]);
    }
    found
}

fn write_stages(text: &mut String, survey: &Survey, corpus: Option<&str>) {
    let [finetune, phase1, phase2] = epochs(survey);
    // A classifier of many classes begins far from the encoder's features: on 77 classes, 4 epochs
    // reach 79 % with 5e-5 and 93 % with 2e-4.
    let rate = if survey.classes.len() > MANY_CLASSES {
        "2e-4"
    } else {
        "5e-5"
    };
    let _ = writeln!(
        text,
        "[stages.finetune]\nepochs = {finetune}\nlearning-rate = {rate}\noptimizer = \"adamw\"\n"
    );
    match corpus {
        Some(corpus) => {
            let _ = writeln!(
                text,
                "# Unlabelled text of your domain, one paragraph per line.\n\
                 [stages.general-distill]\ncorpus = [{}]\nepochs = 1\nlearning-rate = 3e-4\n\
                 projection = \"shared\"\n",
                quoted(corpus)
            );
        }
        None => text.push_str(
            "# Unlabelled text of your domain makes the student better: one paragraph per line.\n\
             # [stages.general-distill]\n# corpus = [\"data/corpus/*.txt\"]\n# epochs = 1\n\
             # learning-rate = 3e-4\n# projection = \"shared\"\n\n",
        ),
    }
    let _ = writeln!(
        text,
        "# First the layers, then the predictions. More epochs help small tables; later ones are cheap,\n\
         # because the teacher's outputs are cached.\n\
         [stages.td-phase1]\nepochs = {phase1}\nlearning-rate = 3e-4\nschedule = \"linear\"\n\
         warmup-proportion = 0.1\noptimizer = \"adamw\"\nprojection = \"shared\""
    );
    if corpus.is_none() {
        text.push_str("student = \"random\"\n");
    }
    let _ = writeln!(
        text,
        "\n[stages.td-phase2]\nepochs = {phase2}\nlearning-rate = 1e-4\noptimizer = \"adamw\"\n\n\
         # Scores of teacher and student on dev: accuracy, size, speed.\n[stages.eval]"
    );
}

/// A string of TOML in which nothing is hidden.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\t' => quoted.push_str("\\t"),
            _ if excerpt(&format!("a{letter}")).starts_with("a\\") => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(letter));
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
