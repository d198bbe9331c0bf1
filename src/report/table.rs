//! Rows of cells as aligned columns.

use comfy_table::{ContentArrangement, Table};

/// Blanks between two columns.
const GAP: u16 = 2;

/// One line per row, each column as wide as its widest cell and `indent` blanks in front. Only
/// cells of the last column may hold escape codes: the others are padded by their width.
pub(super) fn aligned(rows: Vec<Vec<String>>, indent: usize) -> Vec<String> {
    let mut table = Table::new();
    table
        .set_content_arrangement(ContentArrangement::Disabled)
        .load_style(comfy_table::presets::NOTHING)
        .add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let indent = " ".repeat(indent);
    let lines = table.lines();
    lines
        .map(|line| format!("{indent}{line}").trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_a_terminal_draws_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = vec![
            row(["", "a", "b"]),
            row(["电影", "1", ""]),
            row(["größe", "1000", "\u{1b}[2mx\u{1b}[0m"]),
        ];
        let expected = [
            "         a     b",
            "  电影   1",
            "  größe  1000  \u{1b}[2mx\u{1b}[0m",
        ];
        assert_eq!(aligned(rows, 2), expected);
        assert!(aligned(Vec::new(), 2).is_empty());
    }
}
