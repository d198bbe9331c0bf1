//! A draft as an experiment file.

use std::fmt::Write as _;

use toml::Value;

use super::draft::{Draft, Setting};
use crate::document::Faults;
use crate::experiment::{Experiment, Kinds, in_toml, quoted, settings_of};

/// How a key is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Active,
    /// The recipe has the same value.
    Default,
    /// This version does not read it.
    Later,
}

/// The file of a draft: tables in the order of an experiment file, each key with its origin.
///
/// # Errors
/// What this version's reader says of the keys that an experiment needs.
pub(super) fn text(kinds: Kinds, draft: &Draft<'_>) -> Result<String, Faults> {
    let files = draft.names();
    let mut text = format!(
        "# Made by tinyrun init --from-mindspore of {}.\n\
         # A key in a comment has the value of the recipe: remove the `#` to change it.\n\
         # Check the file, then run: tinyrun THIS-FILE --dry-run\n",
        files.join(", ")
    );
    let skeleton = skeleton(draft);
    let (base, _) = Experiment::read(kinds, "experiment.toml", "experiment", &skeleton, &[])?;
    let mut defaults = settings_of(&base);
    let mut accepted: Vec<String> = Vec::new();
    let mut ways = Vec::new();
    for setting in &draft.settings {
        let how = if setting.is_required {
            How::Active
        } else if same(&defaults, setting) {
            How::Default
        } else {
            accepted.push(format!("{}={}", path(setting), toml(&setting.value)));
            let read =
                Experiment::read(kinds, "experiment.toml", "experiment", &skeleton, &accepted);
            if let Ok((experiment, _)) = read {
                defaults = settings_of(&experiment);
                How::Active
            } else {
                accepted.pop();
                How::Later
            }
        };
        ways.push(how);
    }
    for table in tables(draft) {
        let settings = draft.settings.iter().zip(&ways);
        let mut settings: Vec<_> = settings
            .filter(|(setting, _)| setting.table == table)
            .collect();
        settings.sort_by_key(|(setting, _)| !setting.is_required);
        text.push('\n');
        if table.is_empty() {
            text.push_str("recipe = \"mindspore\"\ndevice = \"auto\"\n");
        } else {
            let _ = writeln!(text, "[{table}]");
        }
        for (setting, how) in settings {
            write_key(&mut text, setting, *how);
        }
    }
    if !draft.notes.is_empty() {
        text.push_str("\n# Not taken over:\n");
        for note in &draft.notes {
            let _ = writeln!(text, "# {note}");
        }
    }
    Ok(text)
}

/// Tables in the order of an experiment file.
fn tables(draft: &Draft<'_>) -> Vec<&'static str> {
    const ORDER: [&str; 4] = ["", "task", "teacher", "student"];
    let mut found = ORDER.to_vec();
    found.extend(draft.tables.iter());
    let is_used = |table: &&str| {
        table.is_empty()
            || draft.tables.contains(table)
            || draft.settings.iter().any(|setting| setting.table == *table)
    };
    found.retain(is_used);
    found
}

/// The least of the file that is an experiment.
fn skeleton(draft: &Draft<'_>) -> String {
    let mut text = "recipe = \"mindspore\"\n".to_owned();
    for table in tables(draft) {
        if !table.is_empty() {
            let _ = writeln!(text, "[{table}]");
        }
        let needed = draft.settings.iter().filter(|setting| setting.is_required);
        for setting in needed.filter(|setting| setting.table == table) {
            let _ = writeln!(text, "{} = {}", setting.key, toml(&setting.value));
        }
    }
    text
}

fn path(setting: &Setting) -> String {
    match setting.table {
        "" => setting.key.to_owned(),
        table => format!("{table}.{}", setting.key),
    }
}

fn same(defaults: &std::collections::BTreeMap<String, String>, setting: &Setting) -> bool {
    let Some(default) = defaults.get(&path(setting)) else {
        return false;
    };
    let default: Option<toml::Table> = format!("x = {default}").parse().ok();
    let Some(default) = default.and_then(|mut table| table.remove("x")) else {
        return false;
    };
    match (&default, &setting.value) {
        (Value::Float(default), Value::Integer(number)) => (default - *number as f64).abs() == 0.0,
        (default, value) => default == value,
    }
}

fn write_key(text: &mut String, setting: &Setting, how: How) {
    let mark = if how == How::Active { "" } else { "# " };
    let (key, value) = (setting.key, toml(&setting.value));
    let from = &setting.from;
    let why = match how {
        How::Later => "; this version of tinyrun does not read the key here",
        How::Active | How::Default => "",
    };
    let _ = writeln!(text, "{mark}{key} = {value} # {from}{why}");
}

/// A value as TOML in which nothing is hidden.
fn toml(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        other => in_toml(other),
    }
}
