//! Percentiles and the table.

use serde_json::{Value, json};
use std::fmt::Write;

/// Rounds to two places.
pub fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// The value below which `share` of the sorted values lie; 0 for none.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values
        .get((last as f64 * share).round() as usize)
        .copied()
        .unwrap_or_default()
}

/// `{n, p50, p99, max}` of values in one unit.
pub fn spread(mut values: Vec<f64>) -> Value {
    let at = |values: &mut Vec<f64>, share| round(percentile(values, share));
    json!({
        "n": values.len(),
        "p50": at(&mut values, 0.5),
        "p99": at(&mut values, 0.99),
        "max": at(&mut values, 1.0),
    })
}

/// A row as lines `row.field  value`.
pub fn table(name: &str, row: &Value) -> String {
    let mut out = String::new();
    lines(name, row, &mut out);
    out
}

fn lines(path: &str, value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| lines(&format!("{path}.{name}"), value, out)),
        other => {
            let _ = writeln!(out, "{path:<52} {other}");
        }
    }
}
