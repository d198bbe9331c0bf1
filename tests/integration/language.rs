//! The words of what users read. A term that the field has another word for does not come back.

use std::fs;
use std::path::{Path, PathBuf};

use tinyrun::experiment::keys;

/// What is not written, and what is written instead.
const TERMS: &[(&str, &str)] = &[
    ("goes on from", "resumes from"),
    ("go on from", "resume from"),
    ("went on", "resumed"),
    ("gave up", "failed"),
    ("is told", "is reported"),
    ("are told", "are reported"),
    ("says that", "reports, prints"),
    ("is asked", "teacher forward pass"),
    ("are asked", "teacher forward pass"),
    ("asks", "requests, runs"),
    ("answers of", "outputs of"),
    ("teacher's answer", "teacher outputs"),
    ("remembered", "cached"),
    ("halves", "bf16, 16-bit"),
    ("words' table", "word-embedding matrix"),
    ("table of words", "word-embedding matrix"),
    ("like lengths", "length-bucketed"),
    ("one after the other", "packed, sequentially"),
    ("unpadded", "packed"),
    ("left out", "skipped, omitted"),
    ("leave out", "skip, omit"),
    ("leaves out", "skips, omits"),
    ("leave it out", "remove it"),
    ("learnt from", "distilled"),
    ("squares", "squared error"),
    ("teacher gate", "teacher check"),
    ("what came out", "results, output"),
    ("of which nothing", "unknown"),
    ("is none", "is not"),
    ("is no", "is not a"),
    ("holds no", "contains no, has no"),
    ("holds neither", "has neither"),
    ("one a layer", "one per layer"),
    ("waits for nobody", "never blocks"),
    ("nobody", "no process, no stage"),
    ("anew", "again"),
    ("differently", "changed"),
    ("bring back", "restore"),
    ("make room", "free some disk space"),
    ("whole number", "integer"),
];

/// The first forbidden term in a text, outside of names in backquotes.
fn forbidden(text: &str) -> Option<(&'static str, &'static str)> {
    let prose: Vec<&str> = text.split('`').step_by(2).collect();
    let words = prose.join(" ").to_lowercase();
    let words = words.replace(|it: char| !it.is_alphanumeric() && it != '\'', " ");
    let words: Vec<&str> = words.split_whitespace().collect();
    let words = format!(" {} ", words.join(" "));
    // "there is no CUDA device" and "is no longer used" are as anybody writes them.
    let words = words
        .replace(" there is no ", " ")
        .replace(" no longer ", " ");
    let mut terms = TERMS.iter().copied();
    terms.find(|(term, _)| words.contains(&format!(" {term} ")))
}

fn check(place: &str, text: &str, found: &mut Vec<String>) {
    if let Some((term, instead)) = forbidden(text) {
        found.push(format!(
            "{place}: \"{term}\" (write: {instead}) in {text:?}"
        ));
    }
}

/// The texts of a source file that a user may read: string literals of more than one word,
/// outside of tests, comments and the reasons of lints.
fn messages(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap_or(source);
    let lines = code.lines().filter(|line| {
        let line = line.trim_start();
        !line.starts_with("//") && !line.contains("reason = \"")
    });
    let code = lines.collect::<Vec<_>>().join("\n").replace("'\"'", "");
    let mut found = Vec::new();
    let mut characters = code.chars();
    while characters.any(|it| it == '"') {
        let mut literal = String::new();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                // An escape, or the end of a line within the literal: a blank to a reader.
                '\\' => {
                    characters.next();
                    literal.push(' ');
                }
                other => literal.push(other),
            }
        }
        if literal.trim().contains(' ') {
            found.push(literal);
        }
    }
    found
}

/// Source files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        // Tests in files of their own.
        if stem == "tests" || stem.ends_with("_test") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn help(command: &clap::Command, found: &mut Vec<String>) {
    let mut command = command.clone();
    let text = command.render_long_help().to_string();
    check(&format!("help of {}", command.get_name()), &text, found);
    for inner in command.get_subcommands() {
        help(inner, found);
    }
}

#[test]
fn help_keys_and_messages_use_the_terms_of_the_field() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    help(&tinyrun::cli::command(), &mut found);
    for table in keys::tables(tinyrun::kinds::KINDS) {
        check(table.title, table.title, &mut found);
        for key in table.keys {
            for text in [key.meaning, key.range, key.kind] {
                check(key.name, &text, &mut found);
            }
        }
    }
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    for file in files {
        let source = fs::read_to_string(&file).expect("readable");
        let place = file.strip_prefix(root).unwrap_or(&file);
        for text in messages(&source) {
            check(&place.display().to_string(), &text, &mut found);
        }
    }
    let makefile = fs::read_to_string(root.join("Makefile")).expect("readable");
    for line in makefile.lines() {
        if let Some((target, text)) = line.split_once(" ## ") {
            check(&format!("make {target}"), text, &mut found);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_forbidden_term_is_found_in_messages_and_not_in_names_or_comments() {
    let source = "// goes on from\nfn f() {\n    g(\"`go on from` is a name\");\n    \
                  g(\"the run goes \\\n        on from step {step}\");\n}\n";
    let texts = messages(source);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_eq!(forbidden(&texts[0]), None);
    let found = forbidden(&texts[1]);
    assert_eq!(found, Some(("goes on from", "resumes from")));
}
