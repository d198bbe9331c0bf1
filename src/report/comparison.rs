//! Experiments side by side: what `tinyrun compare` prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Style;

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
    let all = || differing.iter().chain(&results);
    let width = |place: usize| {
        let cells = all().map(|(_, cells)| cells[place].chars().count());
        cells
            .chain([names[place].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let first = all().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    let mut line = |key: &str, cells: &[String], strong: bool| {
        let mut row = format!("{key:first$}");
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(row, "  {cell:width$}");
        }
        let row = row.trim_end();
        let row = if strong {
            style.strong(row)
        } else {
            row.to_owned()
        };
        let _ = writeln!(text, "{row}");
    };
    let headings: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    line("", &headings, true);
    if differing.is_empty() {
        line("(no settings differ)", &[], false);
    }
    for (key, cells) in &differing {
        line(key, cells, false);
    }
    line("", &[], false);
    if results.is_empty() {
        line("(no results yet)", &[], false);
    }
    for (key, cells) in &results {
        line(key, cells, false);
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
