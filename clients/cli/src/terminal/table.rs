//! Plain tables: columns as wide as they need, the first lines dim.

use crate::terminal::{Terminal, fit};

/// Lays rows out under a heading; the last column takes what is left of the width.
///
/// `rows` have as many cells as `heads`. No rows give no lines.
pub fn table(heads: &[&str], rows: &[Vec<String>], terminal: Terminal) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let widths = widths(heads, rows, terminal.width);
    let head: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let mut lines = vec![terminal.dim(&layout(&head, &widths))];
    lines.extend(rows.iter().map(|row| layout(row, &widths)));
    lines
}

fn widths(heads: &[&str], rows: &[Vec<String>], room: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let cells = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells
                .chain([heads[column].chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let others: usize = widths.iter().rev().skip(1).map(|width| width + 2).sum();
    if let Some(last) = widths.last_mut() {
        *last = (*last).min(room.saturating_sub(others).max(12));
    }
    widths
}

fn layout(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        let cell = fit(cell, *width);
        line.push_str(&cell);
        line.extend(std::iter::repeat_n(
            ' ',
            width + 2 - cell.chars().count().min(*width),
        ));
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_one_is_cut() {
        let rows = vec![
            vec!["ses_1".into(), "now".into(), "a title".into()],
            vec![
                "ses_22".into(),
                "5 min ago".into(),
                "a title that is far too long for this".into(),
            ],
        ];
        let terminal = Terminal {
            width: 40,
            ..Terminal::plain()
        };
        assert_eq!(
            table(&["id", "updated", "title"], &rows, terminal),
            [
                "id      updated    title",
                "ses_1   now        a title",
                "ses_22  5 min ago  a title that is far…",
            ]
        );
    }
}
