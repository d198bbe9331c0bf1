//! `docs/reference/recipes.md`: every key whose default is not the same in all recipes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tinyrun::experiment::{Experiment, settings_of};

const RECIPES: [&str; 3] = ["paper", "huawei", "mindspore"];

/// An experiment that has every stage and sets nothing that a recipe sets.
const TEXT: &str = "[task]\nname = \"sst-2\"\ntrain = \"t\"\ndev = \"d\"\n[teacher]\nmodel = \"m\"\n\
                    [stages.finetune]\n[stages.general-distill]\ncorpus = [\"c\"]\n\
                    [stages.td-phase1]\n[stages.td-phase2]\n[stages.eval]\n";

/// A heading and a table for every table of the file, in the file's order.
pub(super) fn markdown() -> String {
    let settings = RECIPES.map(|recipe| {
        let recipe = format!("recipe={recipe}");
        let (experiment, _) =
            Experiment::read(tinyrun::kinds::KINDS, "x", "x", TEXT, &[recipe]).expect("no faults");
        settings_of(&experiment)
    });
    let mut text = String::new();
    for path in [
        "",
        "task",
        "teacher",
        "student",
        "stages.finetune",
        "stages.general-distill",
        "stages.td-phase1",
        "stages.td-phase2",
        "stages.eval",
    ] {
        let rows = rows(path, &settings);
        if rows.is_empty() {
            continue;
        }
        let heading = match path {
            "" => "Top of the file".to_owned(),
            path => format!("`[{path}]`"),
        };
        let _ = writeln!(text, "\n## {heading}\n");
        let _ = writeln!(text, "| key | paper | huawei | mindspore |");
        let _ = writeln!(text, "|---|---|---|---|");
        text.push_str(&rows);
    }
    text
}

/// A row for each key of `path` in which the recipes differ.
fn rows(path: &str, settings: &[BTreeMap<String, String>; 3]) -> String {
    let mut names: Vec<&str> = settings
        .iter()
        .flat_map(|settings| settings.keys())
        .filter_map(|whole| match whole.rsplit_once('.') {
            Some((table, key)) => (table == path).then_some(key),
            None => (path.is_empty() && whole != "recipe").then_some(whole.as_str()),
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut text = String::new();
    for name in names {
        let whole = match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        let values = settings.each_ref().map(|settings| settings.get(&whole));
        if values[0] == values[1] && values[1] == values[2] {
            continue;
        }
        let cells = values.map(|value| value.map_or_else(|| "-".to_owned(), |v| readable(v)));
        let _ = writeln!(text, "| `{name}` | {} |", cells.join(" | "));
    }
    text
}

/// A value as a reader would write it: `1e-14`, not `0.00000000000001`.
fn readable(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if value.contains('.') => format!("`{number:?}`"),
        _ => format!("`{value}`"),
    }
}

#[test]
fn small_numbers_are_written_with_an_exponent() {
    assert_eq!(readable("0.00000000000001"), "`1e-14`");
    assert_eq!(readable("0.01"), "`0.01`");
    assert_eq!(readable("256"), "`256`");
    assert_eq!(readable("\"gelu\""), "`\"gelu\"`");
}
