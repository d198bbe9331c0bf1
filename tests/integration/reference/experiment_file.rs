//! `docs/reference/experiment-file.md`: a heading for every key.

use std::fmt::Write as _;

use tinyrun::experiment::keys::{self, Fallback, Key, Table};

use super::Anchors;
use super::examples::example;
use super::see_also::page_about;

/// The whole generated part: an index of the keys, then each of them.
pub(super) fn markdown() -> String {
    let mut anchors = Anchors::default();
    // The page's own headings come first.
    for heading in ["Experiment file", "Index of keys"] {
        anchors.of(heading);
    }
    let (mut index, mut entries) = (String::new(), String::new());
    for table in &keys::tables(tinyrun::kinds::KINDS) {
        let heading = title(table);
        let anchor = anchors.of(&heading);
        let mut links = Vec::new();
        let _ = write!(entries, "\n## {heading}\n\n{}", tables_of(table));
        for key in &table.keys {
            let anchor = anchors.of(&heading_of(table, key));
            links.push(format!("[`{}`](#{anchor})", key.name));
            entries.push_str(&entry(table, key));
        }
        let _ = writeln!(index, "* [{heading}](#{anchor}):");
        let _ = writeln!(index, "{}", wrap(&links.join(", "), "  "));
    }
    format!("## Index of keys\n\n{index}{entries}")
}

/// The part of the title that names the keys.
fn title(table: &Table) -> String {
    let title = table.title.split(", also written").next();
    title.unwrap_or(table.title).to_owned()
}

/// Where the keys stand in the file.
fn tables_of(table: &Table) -> String {
    let paths = table.paths.iter().filter(|path| !path.is_empty());
    let paths: Vec<String> = paths.map(|path| format!("`[{path}]`")).collect();
    match &paths[..] {
        [] => "Keys above the first table of the file.\n".to_owned(),
        [path] => format!("Keys of {path}.\n"),
        paths => wrap(&format!("Keys of {}.", paths.join(", ")), "") + "\n",
    }
}

/// With the table's name where the key has one table.
fn heading_of(table: &Table, key: &Key) -> String {
    match &table.paths[..] {
        [path] if path.is_empty() => format!("`{}`", key.name),
        [path] => format!("`{path}.{}`", key.name),
        _ => format!("`{}`", key.name),
    }
}

fn entry(table: &Table, key: &Key) -> String {
    let mut text = format!("\n### {}\n\n", heading_of(table, key));
    let _ = writeln!(text, "{}\n", wrap(&key.meaning, ""));
    let _ = writeln!(text, "{}", bullet("Type", &key.kind));
    if !key.range.is_empty() {
        let _ = writeln!(text, "{}", bullet("Range", &key.range));
    }
    let _ = writeln!(text, "{}", bullet("Default", &default_of(&key.default)));
    let path = table.paths.last().expect("a table has a path");
    if let Some((title, page)) = page_about(path, key.name) {
        let _ = writeln!(text, "* **See**: [{title}]({page})");
    }
    let _ = write!(text, "\n```toml\n{}```\n", example(path, key));
    text
}

fn bullet(name: &str, text: &str) -> String {
    let lines = wrap(&format!("**{name}**: {text}"), "  ");
    format!("* {}", lines.trim_start())
}

fn default_of(default: &Fallback) -> String {
    match default {
        Fallback::Required => "none; the key is required".to_owned(),
        Fallback::Value(value) => format!("`{value}`"),
        Fallback::Each(values) => {
            let each = values.iter();
            let each = each.map(|(table, value)| format!("`{value}` in `{table}`"));
            each.collect::<Vec<_>>().join(", ")
        }
        Fallback::Words(words) => (*words).to_owned(),
    }
}

/// Lines of at most 100 columns, each after `indent`. Code and links are not broken.
pub(super) fn wrap(text: &str, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut line = indent.to_owned();
    for word in words(text) {
        let is_empty = line.trim().is_empty();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > 100 {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
        } else if !is_empty {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines.join("\n")
}

/// Words of a text; what stands between two backquotes is one.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut in_code = false;
    for c in text.chars() {
        in_code ^= c == '`';
        match c {
            ' ' if !in_code => words.push(String::new()),
            c => words.last_mut().expect("one at least").push(c),
        }
    }
    words
}

#[test]
fn code_is_not_broken_across_lines() {
    let text = format!("{} `a b c` end", "x".repeat(96));
    assert_eq!(wrap(&text, ""), format!("{}\n`a b c` end", "x".repeat(96)));
}

#[test]
fn every_key_has_a_heading_and_a_link() {
    let text = markdown();
    let tables = keys::tables(tinyrun::kinds::KINDS);
    let keys: usize = tables.iter().map(|table| table.keys.len()).sum();
    let headings = text.lines().filter(|line| line.starts_with("### "));
    assert_eq!(headings.count(), keys);
    assert_eq!(text.matches("](#").count(), keys + tables.len());
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest.unwrap() <= 160, "{longest:?}");
}
