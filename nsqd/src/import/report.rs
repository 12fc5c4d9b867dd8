//! What is said in the log of a file that was imported: one line each.

use std::collections::BTreeMap;

use super::file_name::{Kind, QueueFile};
use super::queue::Report;

/// What is to be said of the files, by name.
#[derive(Debug, Default)]
pub(super) struct Reports(BTreeMap<String, Report>);

impl Reports {
    pub(super) fn extend(&mut self, reports: impl IntoIterator<Item = Report>) {
        self.0.extend(reports.into_iter().map(|report| (report.name.clone(), report)));
    }

    /// Says what became of a file, now that it is moved.
    pub(super) fn log(&self, name: &str, moved_to: &str) {
        let said = match self.0.get(name) {
            Some(report) => of_messages(report),
            None => of_others(name).to_owned(),
        };
        let messages = self.0.get(name).map(|report| report.taken);
        if self.0.get(name).is_some_and(|report| report.bytes_left + report.bytes_missing > 0) {
            tracing::warn!(file = name, messages, moved_to, "IMPORT: {name}: {said}; moved to {moved_to}");
        } else {
            tracing::info!(file = name, messages, moved_to, "IMPORT: {name}: {said}; moved to {moved_to}");
        }
    }
}

fn of_messages(report: &Report) -> String {
    let is_set_aside =
        QueueFile::parse(&report.name).is_some_and(|file| matches!(file.kind, Kind::SetAside(_)));
    let mut said = match (report.taken + report.repeated, report.start) {
        (_, None) => return "had been read through, no message imported".to_owned(),
        (0, _) if is_set_aside => {
            "set aside by v1.3.0, which had read all that is whole; no message imported".to_owned()
        }
        (0, _) => "no message imported, all that is whole had been read".to_owned(),
        (_, Some(0)) => format!("{} imported", messages(report.taken)),
        (_, Some(start)) => format!("{} imported, from byte {start} on", messages(report.taken)),
    };
    if report.repeated > 0 {
        said += &format!(", {} left out that are there twice", messages(report.repeated));
    }
    if report.bytes_left > 0 {
        said += &format!(", the last {} bytes are no whole message and not imported", report.bytes_left);
    }
    if report.bytes_missing > 0 {
        said +=
            &format!(", {} bytes that v1.3.0 had written behind them are not there", report.bytes_missing);
    }
    said
}

fn of_others(name: &str) -> &'static str {
    match QueueFile::parse(name).map(|file| file.kind) {
        Some(Kind::Positions) => "the positions",
        Some(Kind::Leftover) => "left over from an earlier write, nothing imported",
        _ => "imported before",
    }
}

fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_imported_and_what_was_not() {
        let (good, bad) = ("t.diskqueue.000000.dat", "t.diskqueue.000000.dat.bad");
        for (name, start, taken, repeated, (bytes_left, bytes_missing), said) in [
            (good, None, 0, 0, (0, 0), "had been read through, no message imported"),
            (good, Some(0), 1, 0, (0, 0), "1 message imported"),
            (good, Some(31), 20, 0, (0, 0), "20 messages imported, from byte 31 on"),
            (good, Some(31), 0, 0, (0, 0), "no message imported, all that is whole had been read"),
            (good, Some(0), 0, 2, (0, 0), "0 messages imported, 2 messages left out that are there twice"),
            (
                good,
                Some(0),
                2,
                1,
                (17, 0),
                "2 messages imported, 1 message left out that are there twice, the last 17 bytes are no whole message and not imported",
            ),
            (
                good,
                Some(0),
                2,
                0,
                (0, 9),
                "2 messages imported, 9 bytes that v1.3.0 had written behind them are not there",
            ),
            (
                bad,
                Some(99),
                0,
                0,
                (0, 0),
                "set aside by v1.3.0, which had read all that is whole; no message imported",
            ),
        ] {
            let report = Report { name: name.to_owned(), taken, start, repeated, bytes_left, bytes_missing };
            assert_eq!(of_messages(&report), said);
        }
    }
}
