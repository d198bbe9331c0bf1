//! Settings that are not the recipe's.

use super::kind::Kinds;
use super::resolved::{in_toml, settings_of};
use super::settings::Settings;
use super::stages;
use super::top::Experiment;

/// Keys of a resolved experiment that count and have another value than the recipe gives them, by
/// their dotted paths, with their values as TOML; of stages only those whose kind is `wanted`.
/// Columns, files and models, which no recipe knows, are left out.
///
/// A key is looked at by reading the file without it: whatever its default depends on, that is the
/// value it would have.
pub(crate) fn departures(
    kinds: Kinds,
    resolved: &str,
    wanted: impl Fn(&str) -> bool,
) -> Vec<(String, String)> {
    let read = |text: &str| {
        let read = Experiment::read(kinds, "", "experiment", text, &[]);
        read.ok().map(|(experiment, _)| experiment)
    };
    let (Some(experiment), Ok(whole)) = (read(resolved), resolved.parse::<toml::Table>()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (path, entries) in tables(&experiment, wanted) {
        for entry in entries {
            // A layer map counts as the layers that it comes to.
            let counts = entry.counted.is_some() || entry.key == "layer-map";
            let Some(value) = entry.written.filter(|_| counts) else {
                continue;
            };
            let mut without = whole.clone();
            let table = path.iter().try_fold(&mut without, |table, name| {
                table.get_mut(*name)?.as_table_mut()
            });
            let Some(table) = table else { continue };
            table.remove(entry.key);
            // A key that is required has no default to differ from.
            let Some(other) = read(&without.to_string()) else {
                continue;
            };
            let name = path
                .iter()
                .copied()
                .chain([entry.key])
                .collect::<Vec<_>>()
                .join(".");
            let settings = [settings_of(&experiment), settings_of(&other)];
            if settings[0].get(&name) != settings[1].get(&name) {
                found.push((name, in_toml(&value)));
            }
        }
    }
    found
}

/// Every setting that counts, but for seeds, by its dotted path: repeats of an experiment have the
/// same. `None` where the text is no experiment.
pub(crate) fn repeated_settings(kinds: Kinds, resolved: &str) -> Option<Vec<(String, String)>> {
    let read = Experiment::read(kinds, "", "experiment", resolved, &[]);
    let (experiment, _) = read.ok()?;
    let mut found = Vec::new();
    for (path, entries) in tables(&experiment, |_| true) {
        let entries = entries.into_iter().filter(|entry| entry.key != "seed");
        found.extend(entries.filter_map(|entry| {
            let name = path.iter().copied().chain([entry.key]);
            let name = name.collect::<Vec<_>>().join(".");
            Some((name, in_toml(&entry.counted?)))
        }));
    }
    Some(found)
}

type Table<'a> = (Vec<&'a str>, Vec<super::declared::Entry>);

fn tables(experiment: &Experiment, wanted: impl Fn(&str) -> bool) -> Vec<Table<'_>> {
    // Of the task what a recipe has a default of.
    let mut length = experiment.task.entries();
    length.retain(|entry| entry.key == "max-seq-length");
    let mut tables = vec![
        (vec![], experiment.entries()),
        (vec!["task"], length),
        (vec!["teacher"], experiment.teacher.entries()),
        (vec!["student"], experiment.student.entries()),
    ];
    let stages = experiment.stages.iter();
    let stages = stages.filter(|stage| stage.has_table && wanted(stage.kind()));
    tables.extend(stages.map(|stage| {
        let path = vec!["stages", stage.name.as_str()];
        (path, stages::entries(stage))
    }));
    tables
}

#[cfg(test)]
mod tests {
    use super::super::testing::{pipeline, read_with};
    use super::super::to_toml;
    use super::*;
    use crate::kinds::KINDS;

    fn of(sets: &[&str]) -> Vec<String> {
        let experiment = read_with(&pipeline(), sets).unwrap();
        let all = departures(KINDS, &to_toml(&experiment), |_| true);
        all.into_iter()
            .map(|(key, value)| format!("{key} = {value}"))
            .collect()
    }

    #[test]
    fn only_what_differs_from_the_recipe_is_listed() {
        let before = of(&[]);
        let sets = [
            "stages.td-phase1.epochs=9",
            "stages.td-phase2.temperature=2",
            // The default, spelled out.
            "stages.td-phase2.hard-label-weight=0",
            // Nothing depends on it.
            "stages.td-phase1.log-interval=7",
        ];
        let mut after = of(&sets);
        after.retain(|line| !before.contains(line));
        assert_eq!(
            after,
            [
                "stages.td-phase1.epochs = 9",
                "stages.td-phase2.temperature = 2.0"
            ]
        );
    }

    #[test]
    fn a_default_of_another_recipe_is_no_difference() {
        assert_eq!(of(&["recipe=huawei"]), of(&["recipe=paper"]));
    }
}
