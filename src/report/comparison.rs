//! Experiments side by side: what `tinyrun compare` prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Style;
use super::table::aligned;

/// One experiment of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// Every key after defaults.
    pub settings: BTreeMap<String, String>,
    /// What eval found; empty where it has not run.
    pub results: BTreeMap<String, String>,
}

/// Rows of keys that differ, then rows of results, a column an experiment. Few wide experiments stand in
/// columns; more than fit a line are written one below the other.
pub fn comparison(experiments: &[Compared], style: Style) -> String {
    let differing = rows(experiments, |it| &it.settings, false);
    let results = rows(experiments, |it| &it.results, true);
    let names: Vec<&str> = experiments.iter().map(|it| it.name.as_str()).collect();
    let mut text = String::new();
    if experiments.len() > MOST_COLUMNS {
        // One below the other: a table of thirty columns is none.
        for (place, name) in names.iter().enumerate() {
            let _ = writeln!(text, "{}", style.strong(name));
            for (key, cells) in differing.iter().chain(&results) {
                let _ = writeln!(text, "  {key:40}{}", cells[place]);
            }
        }
        return text;
    }
    let row = |key: &str, cells: &[String]| [&[key.to_owned()], cells].concat();
    let headings: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut lines = vec![row("", &headings)];
    if differing.is_empty() {
        lines.push(row("(no settings differ)", &[]));
    }
    lines.extend(differing.iter().map(|(key, cells)| row(key, cells)));
    lines.push(row("", &[]));
    if results.is_empty() {
        lines.push(row("(no results yet)", &[]));
    }
    lines.extend(results.iter().map(|(key, cells)| row(key, cells)));
    for (index, line) in aligned(lines, 0).iter().enumerate() {
        let _ = match index {
            0 => writeln!(text, "{}", style.strong(line)),
            _ => writeln!(text, "{line}"),
        };
    }
    text
}

/// Experiments that stand in columns.
const MOST_COLUMNS: usize = 6;

type Row = (String, Vec<String>);

/// Keys of all experiments with their values; those that all agree in only where `all`.
fn rows(
    experiments: &[Compared],
    of: impl Fn(&Compared) -> &BTreeMap<String, String>,
    all: bool,
) -> Vec<Row> {
    let keys: BTreeSet<&String> = experiments.iter().flat_map(|it| of(it).keys()).collect();
    let row = |key: &String| {
        let cells = experiments.iter().map(|it| of(it).get(key));
        let cells: Vec<Option<&String>> = cells.collect();
        let differs = cells.iter().any(|cell| cell != &cells[0]);
        let text = |cell: Option<&String>| cell.map_or_else(|| "-".to_owned(), Clone::clone);
        (all || differs).then(|| (key.clone(), cells.into_iter().map(text).collect()))
    };
    keys.into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(name: &str, rate: &str, accuracy: Option<&str>) -> Compared {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Compared {
            name: name.to_owned(),
            settings: BTreeMap::from([pair("learning-rate", rate), pair("seed", "42")]),
            results: accuracy
                .map(|accuracy| pair("accuracy", accuracy))
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn only_settings_that_differ_stand_beside_all_results() {
        let experiments = [
            experiment("a", "1e-4", Some("0.8500")),
            experiment("longer", "3e-4", None),
        ];
        let expected = "               a       longer\n\
                        learning-rate  1e-4    3e-4\n\
                        \n\
                        accuracy       0.8500  -\n";
        assert_eq!(comparison(&experiments, Style::PLAIN), expected);
    }
}
