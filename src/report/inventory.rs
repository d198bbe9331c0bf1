//! What lies in `runs/`: what `tinyrun verify`, `gc` and `clean` print.

use std::fmt::Write as _;

use super::Style;
use super::amounts::{bytes, counted};
use super::table::aligned;

/// What was found of one result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `experiment/stage`, or its folder where no experiment uses it.
    pub name: String,
    /// Files read.
    pub files: usize,
    /// Their bytes, of artifacts.
    pub bytes: u64,
    /// What is wrong.
    pub faults: Vec<String>,
}

/// A line a result, and below it what is wrong; at the end how many are.
pub fn verdict_lines(verdicts: &[Verdict], style: Style) -> String {
    let mut text = String::new();
    let rows = verdicts.iter().map(|verdict| {
        let files = counted(verdict.files as u64, "file");
        let amount = format!("{files}, {}", bytes(verdict.bytes));
        let is_sound = verdict.faults.is_empty();
        let amount = if is_sound {
            style.faint(amount)
        } else {
            String::new()
        };
        vec![verdict.name.clone(), amount]
    });
    for (verdict, line) in verdicts.iter().zip(aligned(rows.collect(), 0)) {
        if verdict.faults.is_empty() {
            let _ = writeln!(text, "{}   {line}", style.good("ok"));
        } else {
            let _ = writeln!(text, "{}  {line}", style.error("bad"));
            for fault in &verdict.faults {
                let _ = writeln!(text, "       {fault}");
            }
        }
    }
    let bad = verdicts.iter().filter(|it| !it.faults.is_empty()).count();
    let all = counted(verdicts.len() as u64, "result");
    let last = match bad {
        0 => format!("{all}, all match their records"),
        1 => format!("{all}, 1 does not match its record: the next run repeats it"),
        bad => format!("{all}, {bad} do not match their records: the next run repeats them"),
    };
    let _ = writeln!(text, "{}", style.strong(last));
    text
}

/// Something that may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removable {
    /// Its path.
    pub path: String,
    /// What it is and how old.
    pub what: String,
    /// Bytes.
    pub size: u64,
}

/// A line each, and what it comes to; `removed` says whether it is gone.
pub fn removable_lines(items: &[Removable], removed: bool, style: Style) -> String {
    let mut text = String::new();
    let rows = items.iter();
    let rows = rows.map(|item| vec![item.path.clone(), style.faint(&item.what)]);
    for (item, line) in items.iter().zip(aligned(rows.collect(), 0)) {
        let size = bytes(item.size);
        let _ = writeln!(text, "{size:>10}  {line}");
    }
    let total = bytes(items.iter().map(|item| item.size).sum());
    let last = match (items.len(), removed) {
        (0, _) => "nothing to delete".to_owned(),
        (_, true) => format!("{total} deleted"),
        (_, false) => format!("{total} can be deleted: add `--delete`"),
    };
    let _ = writeln!(text, "{}", style.strong(last));
    text
}
