//! All that was measured, as a table for people and as JSON for programs. Pure.

use serde_json::{Value, json};

use super::figures::{Figures, Unit, median};

/// All that was measured.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What each side is called: ours first, then the peer, if there is one.
    pub sides: Vec<String>,
    pub results: Vec<Outcome>,
    /// What the reader must know.
    pub notes: Vec<String>,
}

/// One workload.
#[derive(Debug)]
pub(super) struct Outcome {
    pub workload: String,
    /// The rounds of each side.
    pub rounds: Vec<Vec<Figures>>,
}

/// One figure of a workload, over all rounds.
struct Row {
    name: &'static str,
    unit: Unit,
    /// By side; `None` where a side has no such figure.
    medians: Vec<Option<f64>>,
    /// By side and round.
    values: Vec<Vec<f64>>,
}

impl Row {
    /// The first side's median as a multiple of the second's.
    fn ratio(&self) -> Option<f64> {
        match self.medians[..] {
            [Some(ours), Some(peer)] if peer != 0.0 => Some(ours / peer),
            _ => None,
        }
    }
}

impl Outcome {
    /// In the order in which the first run gave them; what only later ones gave stands behind.
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for (side, rounds) in self.rounds.iter().enumerate() {
            for figure in rounds.iter().flat_map(|figures| &figures.all) {
                let at = rows.iter().position(|row| row.name == figure.name).unwrap_or_else(|| {
                    let values = vec![Vec::new(); self.rounds.len()];
                    rows.push(Row { name: figure.name, unit: figure.unit, medians: Vec::new(), values });
                    rows.len() - 1
                });
                rows[at].values[side].push(figure.value);
            }
        }
        for row in &mut rows {
            row.medians = row.values.iter().map(|values| median(values)).collect();
        }
        rows
    }
}

impl Report {
    /// The table: a line a figure, with medians and their ratio.
    pub(super) fn table(&self) -> String {
        let mut head = vec!["workload".to_owned(), "figure".to_owned()];
        head.extend(self.sides.iter().cloned());
        if self.sides.len() == 2 {
            head.push("ratio".to_owned());
        }
        let mut lines = vec![head];
        for outcome in &self.results {
            let mut name = outcome.workload.as_str();
            for row in outcome.rows() {
                // Once is enough.
                let mut line = vec![std::mem::take(&mut name).to_owned(), row.name.to_owned()];
                let shown = |median: &Option<f64>| {
                    median.map_or_else(|| "-".to_owned(), |value| text(value, row.unit))
                };
                line.extend(row.medians.iter().map(shown));
                if self.sides.len() == 2 {
                    line.push(row.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")));
                }
                lines.push(line);
            }
        }
        let mut table = aligned(&lines);
        for note in &self.notes {
            table.push_str(&format!("{note}\n"));
        }
        table
    }

    /// The same, with each round's values.
    pub(super) fn json(&self) -> Value {
        let workloads = self.results.iter().map(|outcome| {
            let figures = outcome.rows().into_iter().map(|row| {
                let ratio = row.ratio();
                json!({
                    "name": row.name,
                    "unit": row.unit.name(),
                    "medians": row.medians,
                    "ratio": ratio,
                    "rounds": row.values,
                })
            });
            json!({ "workload": outcome.workload, "figures": figures.collect::<Vec<_>>() })
        });
        json!({ "sides": self.sides, "workloads": workloads.collect::<Vec<_>>(), "notes": self.notes })
    }
}

/// Lines in columns: the first two of text, the others of numbers.
fn aligned(lines: &[Vec<String>]) -> String {
    const TEXTS: usize = 2;
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(String::len).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < TEXTS { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A value with three digits and a unit that suits it.
fn text(value: f64, unit: Unit) -> String {
    const LARGE: [(f64, &str); 3] = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    const SMALL: [(f64, &str); 4] = [(1.0, " s"), (1e-3, " ms"), (1e-6, " us"), (1e-9, " ns")];
    let (scales, suffix): (&[(f64, &str)], &str) = match unit {
        Unit::PerSecond => (&LARGE, "/s"),
        Unit::Bytes => (&LARGE, "B"),
        Unit::Seconds => (&SMALL, ""),
    };
    let whole = (1.0, "");
    let smallest = if unit == Unit::Seconds { SMALL[3] } else { whole };
    // A value that is rounded up to the next scale is written in that.
    let fits = |scale: &&(f64, &str)| value >= scale.0 * 0.9995;
    let (scale, name) = scales.iter().find(fits).copied().unwrap_or(smallest);
    let scaled = value / scale;
    let digits = if scaled >= 99.95 || scaled == 0.0 {
        0
    } else if scaled >= 9.995 {
        1
    } else {
        2
    };
    let space = if unit == Unit::Bytes { " " } else { "" };
    format!("{scaled:.digits$}{space}{name}{suffix}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report() -> Report {
        let run = |count, cpu: u64| {
            let mut figures = Figures::default();
            figures.rate("published", count, Duration::from_secs(1));
            figures.time("CPU a message", Duration::from_nanos(cpu));
            figures
        };
        let rounds = vec![vec![run(2_000_000, 300), run(1_000_000, 500)], vec![run(500_000, 1_600)]];
        let outcome = Outcome { workload: "mpub".to_owned(), rounds };
        Report {
            sides: vec!["nsqd".to_owned(), "peer".to_owned()],
            results: vec![outcome],
            notes: vec!["a note".to_owned()],
        }
    }

    #[test]
    fn medians_stand_in_columns_with_their_ratio() {
        let expected = "\
workload  figure            nsqd     peer  ratio
mpub      published      1.50M/s   500k/s   3.00
          CPU a message   400 ns  1.60 us   0.25
a note
";
        assert_eq!(report().table(), expected);
    }

    #[test]
    fn one_side_has_no_ratio() {
        let mut report = report();
        report.sides.pop();
        report.results[0].rounds.pop();
        let table = report.table();
        assert!(
            table.starts_with("workload  figure            nsqd\nmpub      published      1.50M/s\n"),
            "{table}"
        );
    }

    #[test]
    fn json_has_the_values_of_each_round() {
        let json = report().json();
        assert_eq!(json["sides"], json!(["nsqd", "peer"]));
        let figure = &json["workloads"][0]["figures"][0];
        assert_eq!(figure["medians"], json!([1_500_000.0, 500_000.0]));
        assert_eq!(figure["ratio"], json!(3.0));
        assert_eq!(figure["rounds"], json!([[2_000_000.0, 1_000_000.0], [500_000.0]]));
    }

    #[test]
    fn values_are_written_with_three_digits() {
        for (value, unit, expected) in [
            (0.0, Unit::PerSecond, "0/s"),
            (12.34, Unit::PerSecond, "12.3/s"),
            (999.0, Unit::PerSecond, "999/s"),
            (999_900.0, Unit::PerSecond, "1.00M/s"),
            (1_234_567.0, Unit::PerSecond, "1.23M/s"),
            (123_456_789.0, Unit::Bytes, "123 MB"),
            (0.000_000_35, Unit::Seconds, "350 ns"),
            (0.001_234, Unit::Seconds, "1.23 ms"),
            (75.0, Unit::Seconds, "75.0 s"),
            (0.0, Unit::Seconds, "0 ns"),
        ] {
            assert_eq!(text(value, unit), expected);
        }
    }
}
