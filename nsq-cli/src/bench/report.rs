//! All that was measured, as a table for people and as JSON for programs. Pure.

use serde_json::{Value, json};

use super::figures::{Figures, Unit, median};

/// All that was measured.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What each side is called: ours first, then the peer, if there is one.
    pub sides: Vec<String>,
    pub results: Vec<Outcome>,
    pub about: About,
}

/// Under what circumstances.
#[derive(Debug, Default)]
pub(super) struct About {
    pub date: String,
    pub machine: String,
    /// Of each side, as it says it.
    pub versions: Vec<String>,
    pub rounds: u32,
    /// What was asked for that is not as usual.
    pub options: Vec<String>,
    /// What else the reader must know.
    pub notes: Vec<String>,
}

/// One workload.
#[derive(Debug)]
pub(super) struct Outcome {
    pub workload: String,
    /// What it is, in a few words.
    pub about: String,
    /// The names of the figures that it comes to.
    pub key_figures: &'static [&'static str],
    /// The rounds of each side.
    pub rounds: Vec<Vec<Figures>>,
}

/// One figure of a workload, over all rounds.
pub(super) struct Row {
    pub name: &'static str,
    pub unit: Unit,
    /// By side; `None` where a side has no such figure.
    pub medians: Vec<Option<f64>>,
    /// By side and round.
    values: Vec<Vec<f64>>,
}

impl Row {
    /// The first side's median as a multiple of the second's.
    pub(super) fn ratio(&self) -> Option<f64> {
        match self.medians[..] {
            [Some(ours), Some(peer)] if peer != 0.0 => Some(ours / peer),
            _ => None,
        }
    }
}

impl Outcome {
    /// In the order in which the first run gave them; what only later ones gave stands behind.
    pub(super) fn rows(&self) -> Vec<Row> {
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
                    median.map_or_else(|| "-".to_owned(), |value| row.unit.text(value))
                };
                line.extend(row.medians.iter().map(shown));
                if self.sides.len() == 2 {
                    line.push(row.ratio().map_or_else(|| "-".to_owned(), ratio_text));
                }
                lines.push(line);
            }
        }
        let mut table = aligned(&lines);
        for line in self.about.lines(&self.sides) {
            table.push_str(&line);
            table.push('\n');
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
            json!({
                "workload": outcome.workload,
                "about": outcome.about,
                "figures": figures.collect::<Vec<_>>(),
            })
        });
        let About { date, machine, versions, rounds, options, notes } = &self.about;
        json!({
            "sides": self.sides,
            "versions": versions,
            "date": date,
            "machine": machine,
            "rounds": rounds,
            "options": options,
            "notes": notes,
            "workloads": workloads.collect::<Vec<_>>(),
        })
    }
}

impl About {
    /// When, on what and how, on one line.
    pub(super) fn circumstances(&self) -> String {
        let rounds = if self.rounds == 1 {
            "1 round".to_owned()
        } else {
            format!("medians of {} rounds", self.rounds)
        };
        let with: String = self.options.iter().map(|option| format!(", {option}")).collect();
        format!("{}, {}, {rounds}{with}", self.date, self.machine)
    }

    /// In words.
    fn lines(&self, sides: &[String]) -> Vec<String> {
        let versions = sides.iter().zip(&self.versions).map(|(side, version)| format!("{side}: {version}"));
        let mut lines: Vec<String> = versions.collect();
        lines.push(self.circumstances());
        lines.extend(self.notes.iter().cloned());
        lines
    }
}

/// A ratio to two places, or as many as say something.
fn ratio_text(ratio: f64) -> String {
    if ratio > 0.0 && ratio < 0.0995 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
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
        let (workload, about) = ("mpub".to_owned(), "MPUB".to_owned());
        let about_it = About {
            date: "2026-11-26".to_owned(),
            machine: "2 cores".to_owned(),
            versions: vec!["nsqd 2".to_owned(), "nsqd 1".to_owned()],
            rounds: 2,
            options: vec!["--size=100".to_owned()],
            notes: vec!["a note".to_owned()],
        };
        Report {
            sides: vec!["nsqd".to_owned(), "peer".to_owned()],
            results: vec![Outcome { workload, about, key_figures: &["published"], rounds }],
            about: about_it,
        }
    }

    #[test]
    fn medians_stand_in_columns_with_their_ratio() {
        let expected = "\
workload  figure            nsqd     peer  ratio
mpub      published      1.50M/s   500k/s   3.00
          CPU a message   400 ns  1.60 us   0.25
nsqd: nsqd 2
peer: nsqd 1
2026-11-26, 2 cores, medians of 2 rounds, --size=100
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
    fn a_small_ratio_is_not_nothing() {
        assert_eq!(ratio_text(0.003_86), "0.0039");
        assert_eq!(ratio_text(0.25), "0.25");
        assert_eq!(ratio_text(0.0), "0.00");
    }

    #[test]
    fn json_has_the_values_of_each_round() {
        let json = report().json();
        assert_eq!(json["sides"], json!(["nsqd", "peer"]));
        assert_eq!(json["versions"], json!(["nsqd 2", "nsqd 1"]));
        let figure = &json["workloads"][0]["figures"][0];
        assert_eq!(figure["medians"], json!([1_500_000.0, 500_000.0]));
        assert_eq!(figure["ratio"], json!(3.0));
        assert_eq!(figure["rounds"], json!([[2_000_000.0, 1_000_000.0], [500_000.0]]));
    }
}
