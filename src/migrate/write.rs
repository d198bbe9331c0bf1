//! A draft as an experiment file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use toml::Value;

use super::draft::{Draft, Setting};
use crate::document::{Fault, Faults};
use crate::experiment::{Experiment, Kinds, in_toml, quoted, settings_of};

/// The file of a draft: tables in the order of an experiment file, each key with its origin.
///
/// # Errors
/// What this version's reader says of the keys, all together, each at the value of the
/// configuration that it is from.
pub(super) fn text(kinds: Kinds, draft: &Draft<'_>) -> Result<String, Faults> {
    let files = draft.names();
    let mut text = format!(
        "# Made by tinyrun init --from-mindspore of {}.\n\
         # A key in a comment has the value of the recipe: remove the `#` to change it.\n\
         # Check the file, then run: tinyrun THIS-FILE --dry-run\n",
        files.join(", ")
    );
    let active = active(kinds, draft)?;
    for table in tables(draft) {
        let settings = draft.settings.iter().zip(&active);
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
        for (setting, is_active) in settings {
            let mark = if *is_active { "" } else { "# " };
            let (key, value) = (setting.key, toml(&setting.value));
            let _ = writeln!(text, "{mark}{key} = {value} # {}", setting.from.text);
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

/// Which keys of the draft are written as keys: those that an experiment needs, and those whose
/// values the others alone do not give.
fn active(kinds: Kinds, draft: &Draft<'_>) -> Result<Vec<bool>, Faults> {
    // All together: a width fits its heads, not those of the recipe.
    read(kinds, draft, &vec![true; draft.settings.len()])?;
    let required = draft.settings.iter().map(|setting| setting.is_required);
    let mut active: Vec<bool> = required.collect();
    loop {
        // A default may depend on another key, so that the rest is compared again. Some of the keys
        // alone may contradict each other, as a width does the recipe's heads.
        let defaults = read(kinds, draft, &active).unwrap_or_default();
        let mut is_whole = true;
        for (setting, is_active) in draft.settings.iter().zip(&mut active) {
            if !*is_active && !same(&defaults, setting) {
                *is_active = true;
                is_whole = false;
            }
        }
        if is_whole {
            return Ok(active);
        }
    }
}

/// The settings of the experiment that these keys of the draft give.
fn read(
    kinds: Kinds,
    draft: &Draft<'_>,
    active: &[bool],
) -> Result<BTreeMap<String, String>, Faults> {
    let mut tables_alone = "recipe = \"mindspore\"\n".to_owned();
    for table in tables(draft).iter().filter(|table| !table.is_empty()) {
        let _ = writeln!(tables_alone, "[{table}]");
    }
    let settings = draft.settings.iter().zip(active);
    let settings: Vec<&Setting> = settings
        .filter_map(|(setting, is_active)| is_active.then_some(setting))
        .collect();
    let keys = settings.iter();
    let keys: Vec<String> = keys
        .map(|setting| format!("{}={}", path(setting), toml(&setting.value)))
        .collect();
    let read = Experiment::read(kinds, "experiment.toml", "experiment", &tables_alone, &keys);
    match read {
        Ok((experiment, _)) => Ok(settings_of(&experiment)),
        Err(found) => {
            let faults = found.faults.into_iter().map(|fault| Fault {
                // The keys are the sources from 1.
                span: fault.span.as_ref().and_then(|span| {
                    let setting = settings.get(span.source.checked_sub(1)?)?;
                    setting.from.span.clone()
                }),
                ..fault
            });
            let mut faults = Faults::new(faults.collect(), draft.sources().clone());
            // A value that stands for several keys is at fault once.
            let is_again =
                |one: &mut Fault, other: &mut Fault| one.span.is_some() && one.span == other.span;
            faults.faults.dedup_by(is_again);
            Err(faults)
        }
    }
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

fn path(setting: &Setting) -> String {
    match setting.table {
        "" => setting.key.to_owned(),
        table => format!("{table}.{}", setting.key),
    }
}

fn same(defaults: &BTreeMap<String, String>, setting: &Setting) -> bool {
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
