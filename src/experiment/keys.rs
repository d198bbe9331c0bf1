//! The reference of an experiment file, made from the declarations of its keys:
//! `docs/reference/experiment-file.md` is generated from it, and a shell completes names by it.

use toml::Value;

use super::kind::Kinds;
use super::resolved::{Written, in_toml, tables as resolved};
use super::settings::{Item, Settings};
use super::stages;
use super::student::{Student, Teacher};
use super::task::Task;
use super::top::Experiment;
use crate::job::LayerMap;

pub use super::declared::{Fallback, Key};

/// Keys that one table has, or that several have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What the tables are, for a heading.
    pub title: &'static str,
    /// Dotted paths of the tables; empty for the file's top.
    pub paths: Vec<String>,
    /// Their keys.
    pub keys: Vec<Key>,
}

/// The keys of every table of the file, for a stage those of its kind.
fn declared(kinds: Kinds) -> Vec<(String, Vec<Item>)> {
    let mut tables = vec![
        (String::new(), Experiment::described()),
        ("task".to_owned(), Task::described()),
        ("teacher".to_owned(), Teacher::described()),
        ("student".to_owned(), Student::described()),
        ("student.layer-map".to_owned(), LayerMap::described()),
    ];
    tables.extend(kinds.with_table().map(|(_, kind, keys)| {
        let mut items = vec![stages::described()];
        items.extend((keys.described)());
        (format!("stages.{}", kind.name()), items)
    }));
    tables
}

/// Every key by heading, in the order of the file.
pub fn tables(kinds: Kinds) -> Vec<Table> {
    let mut tables = headings(kinds);
    let defaults = defaults(kinds);
    for table in &mut tables {
        for key in &mut table.keys {
            if matches!(key.default, Fallback::Value(_)) {
                key.default = default_of(key.name, &table.paths, &defaults);
            }
        }
    }
    tables
}

/// The dotted path of every key, as `--set` takes it.
pub fn paths(kinds: Kinds) -> Vec<String> {
    let mut found = Vec::new();
    for table in headings(kinds) {
        for path in table.paths {
            let keys = table.keys.iter();
            found.extend(keys.map(|key| join(&path, key.name)));
        }
    }
    found.sort();
    found
}

/// Every key by heading, defaults not filled in.
fn headings(kinds: Kinds) -> Vec<Table> {
    let mut tables = Vec::new();
    for (path, items) in declared(kinds) {
        add(&path, items, &mut tables);
    }
    tables
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Adds a table's keys under their headings; those of a heading that is there are the same.
fn add(path: &str, items: Vec<Item>, tables: &mut Vec<Table>) {
    for item in items {
        let Item::Part(title, items) = item else {
            continue;
        };
        let known = tables.iter_mut().find(|table| table.title == title);
        match known {
            Some(table) => table.paths.push(path.to_owned()),
            None => tables.push(Table {
                title,
                paths: vec![path.to_owned()],
                keys: items.iter().filter_map(Item::key).cloned().collect(),
            }),
        }
        add(path, items, tables);
    }
}

/// What is filled in by default, by table: of a file with every stage and what it must say.
fn defaults(kinds: Kinds) -> Vec<Written> {
    let mut text = "task = { name = \"custom\", train = \"train.tsv\", dev = \"dev.tsv\" }\n\
                    teacher = { model = \"models/teacher\" }\n[stages]\n"
        .to_owned();
    for (_, kind, _) in kinds.with_table() {
        text.extend([kind.name(), " = ", kind.example(), "\n"]);
    }
    let read = Experiment::read(kinds, "reference.toml", "reference", &text, &[]);
    read.map(|(experiment, _)| resolved(&experiment))
        .unwrap_or_default()
}

/// One value, or one for each table.
fn default_of(key: &str, paths: &[String], defaults: &[Written]) -> Fallback {
    let value_in = |path: &String| {
        let (_, values) = defaults.iter().find(|(table, _)| table == path)?;
        let (_, value) = values.iter().find(|(name, _)| name == key)?;
        Some(shown(value))
    };
    let values: Option<Vec<String>> = paths.iter().map(value_in).collect();
    let Some(values) = values else {
        return Fallback::Words("none");
    };
    if values.iter().all(|value| *value == values[0]) {
        return Fallback::Value(values[0].clone());
    }
    let names = paths
        .iter()
        .map(|path| path.rsplit('.').next().unwrap_or(path).to_owned());
    Fallback::Each(names.zip(values).collect())
}

/// A number with an exponent where that is shorter.
fn shown(value: &Value) -> String {
    let text = in_toml(value);
    match value {
        Value::Float(number) => {
            let exponent = format!("{number:e}");
            if exponent.len() < text.len() {
                exponent
            } else {
                text
            }
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::testing::{pipeline, read_with};
    use super::super::to_toml;
    use super::*;
    use crate::kinds::KINDS;

    const EXPLICIT_MAP: &str =
        "student.layer-map={ attention = [0, 1, 2, 3], hidden = [0, 1, 2, 3, 4] }";

    fn keys_by_path() -> Vec<(String, Key)> {
        let tables = tables(KINDS).into_iter().flat_map(|table| {
            let keys = table.keys;
            let paths = table.paths.into_iter();
            paths.flat_map(move |path| {
                let keys = keys.clone().into_iter();
                keys.map(move |key| (path.clone(), key))
            })
        });
        tables.collect()
    }

    #[test]
    fn what_is_documented_is_what_is_read() {
        let keys = keys_by_path();
        let paths: BTreeSet<&str> = keys.iter().map(|(path, _)| path.as_str()).collect();
        for path in paths {
            let unknown = format!("{}=1", join(path, "no-such-key"));
            let faults = read_with(&pipeline(), &[EXPLICIT_MAP, &unknown]).unwrap_err();
            let note = faults.faults[0].note.as_deref().unwrap();
            let mut allowed: BTreeSet<&str> = note.split('`').skip(1).step_by(2).collect();
            if path.is_empty() {
                for table in ["task", "teacher", "student", "stages", "goal", "matrix"] {
                    assert!(allowed.remove(table));
                }
            }
            let of_path = keys.iter().filter(|(other, _)| other == path);
            let documented: BTreeSet<&str> = of_path.map(|(_, key)| key.name).collect();
            assert_eq!(documented, allowed, "[{path}]");
        }
    }

    #[test]
    fn a_documented_default_is_a_value_a_value_for_each_table_or_words() {
        let default = |path: &str, name: &str| {
            let mut keys = keys_by_path().into_iter();
            let found = keys.find(|(other, key)| other == path && key.name == name);
            found.unwrap().1.default
        };
        assert_eq!(default("", "seed"), Fallback::Value("42".to_owned()));
        assert_eq!(
            default("", "threads"),
            Fallback::Words("all cores, shared by the ranks")
        );
        assert_eq!(default("task", "train"), Fallback::Required);
        let rates = [
            ("finetune", "2e-5"),
            ("general-distill", "1e-4"),
            ("td-phase1", "5e-5"),
            ("td-phase2", "3e-5"),
        ];
        let rates = rates
            .map(|(stage, rate)| (stage.to_owned(), rate.to_owned()))
            .to_vec();
        assert_eq!(
            default("stages.finetune", "learning-rate"),
            Fallback::Each(rates)
        );
        let steps = default("stages.finetune", "warmup-steps");
        assert_eq!(steps, Fallback::Words("none"));
    }

    #[test]
    fn what_is_documented_as_required_cannot_be_left_out() {
        let text = to_toml(&read_with(&pipeline(), &[EXPLICIT_MAP]).unwrap());
        for (path, key) in keys_by_path() {
            if key.default != Fallback::Required {
                continue;
            }
            let mut table: toml::Table = text.parse().unwrap();
            let mut inner = &mut table;
            for part in path.split('.') {
                inner = inner[part].as_table_mut().unwrap();
            }
            inner.remove(key.name).unwrap();
            let faults = Experiment::read(KINDS, "x", "x", &table.to_string(), &[]).unwrap_err();
            let message = format!("missing key `{}` in `[{path}]`", key.name);
            assert_eq!(faults.faults[0].message, message);
        }
    }
}
