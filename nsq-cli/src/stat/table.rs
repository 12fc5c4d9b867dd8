//! The table of all topics and channels, cut to fit. Pure.
//!
//! Where there is no room for all columns the least telling ones are left out, where there is none for a name its middle
//! is, and where there is none for all rows the deepest are shown; what is left out is said.

use super::counts::{Counts, Row};
use super::number;
use crate::failure::printable;

/// A column of numbers.
struct Column {
    title: &'static str,
    value: fn(&Row) -> Number,
    /// The higher, the sooner it is left out.
    rank: u8,
}

enum Number {
    Count(i64),
    /// Not known until the second poll.
    Rate(Option<f64>),
}

const COLUMNS: [Column; 12] = [
    Column { title: "depth", value: |row| Number::Count(row.counts.depth), rank: 0 },
    Column { title: "mem", value: |row| Number::Count(memory(&row.counts)), rank: 9 },
    Column { title: "disk", value: |row| Number::Count(row.counts.disk), rank: 10 },
    Column { title: "inflt", value: |row| Number::Count(row.counts.in_flight), rank: 3 },
    Column { title: "def", value: |row| Number::Count(row.counts.deferred), rank: 5 },
    Column { title: "req", value: |row| Number::Count(row.counts.requeued), rank: 6 },
    Column { title: "t-o", value: |row| Number::Count(row.counts.timed_out), rank: 8 },
    Column { title: "msgs", value: |row| Number::Count(row.counts.messages), rank: 7 },
    Column { title: "in/s", value: |row| Number::Rate(row.rates.map(|rates| rates.ingress)), rank: 1 },
    Column { title: "out/s", value: |row| Number::Rate(row.rates.map(|rates| rates.egress)), rank: 2 },
    Column { title: "clients", value: |row| Number::Count(row.counts.clients), rank: 4 },
    Column { title: "nodes", value: |row| Number::Count(row.counts.nodes), rank: 11 },
];

/// The narrowest column of numbers.
const NUMBER_WIDTH: usize = 5;

/// What both names together are given, if they need it, before columns of numbers are.
const NAMES_WIDTH: usize = 24;

fn memory(counts: &Counts) -> i64 {
    (counts.depth - counts.disk).max(0)
}

impl Column {
    fn width(&self) -> usize {
        self.title.len().max(NUMBER_WIDTH)
    }
}

fn names(row: &Row) -> (String, String) {
    let mut channel = row.key.channel.as_deref().map_or_else(|| "-".to_owned(), printable);
    if row.counts.paused > 0 {
        channel.push_str(" (paused)");
    }
    (printable(&row.key.topic), channel)
}

/// The table, as at most `height` lines of at most `width` characters.
pub(super) fn fit(mut rows: Vec<Row>, width: usize, height: usize) -> Vec<String> {
    rows.sort_by(|a, b| b.counts.depth.cmp(&a.counts.depth).then_with(|| a.key.cmp(&b.key)));
    let named: Vec<(String, String)> = rows.iter().map(names).collect();
    let longest = |texts: &mut dyn Iterator<Item = &String>, title: &str| {
        texts.map(String::len).max().unwrap_or(0).max(title.len())
    };
    let topic_width = longest(&mut named.iter().map(|(topic, _)| topic), "topic");
    let channel_width = longest(&mut named.iter().map(|(_, channel)| channel), "channel");

    let mut columns: Vec<&Column> = COLUMNS.iter().collect();
    let mut left_out = Vec::new();
    let wanted = (topic_width + 1 + channel_width).min(NAMES_WIDTH);
    let mut room = width.saturating_sub(numbers_width(&columns));
    while room < wanted && columns.len() > 1 {
        let worst = (0..columns.len()).max_by_key(|at| columns[*at].rank).unwrap_or(0);
        left_out.push(columns.remove(worst).title);
        room = width.saturating_sub(numbers_width(&columns));
    }
    let (topic_width, channel_width) = share(room.saturating_sub(1), topic_width, channel_width);

    let line = |topic: &str, channel: &str, numbers: &mut dyn Iterator<Item = String>| {
        let (topic, channel) = (shorten(topic, topic_width), shorten(channel, channel_width));
        let mut line = format!("{topic:<topic_width$} {channel:<channel_width$}");
        numbers.for_each(|number| line.push_str(&number));
        line.truncate(width);
        line
    };
    let cell = |column: &&Column, text: &str| format!(" {text:>width$}", width = column.width());
    let mut lines =
        vec![line("topic", "channel", &mut columns.iter().map(|column| cell(column, column.title)))];
    // The header and, where something is left out, a line that says so.
    let notes_height = usize::from(!left_out.is_empty() || rows.len() + 1 > height);
    let shown = rows.len().min(height.saturating_sub(1 + notes_height));
    for (row, (topic, channel)) in rows.iter().zip(&named).take(shown) {
        let numbers = &mut columns.iter().map(|column| cell(column, &short((column.value)(row))));
        lines.push(line(topic, channel, numbers));
    }
    if notes_height > 0 {
        let mut note = left_out_note(rows.len() - shown, &left_out);
        note.truncate(width);
        lines.push(note);
    }
    lines.truncate(height);
    lines
}

fn left_out_note(rows: usize, columns: &[&str]) -> String {
    let rows = match rows {
        0 => String::new(),
        1 => "1 more, less deep".to_owned(),
        count => format!("{count} more, less deep"),
    };
    let columns =
        if columns.is_empty() { String::new() } else { format!("wider for: {}", columns.join(" ")) };
    let separator = if rows.is_empty() || columns.is_empty() { "" } else { "; " };
    format!("({rows}{separator}{columns})")
}

fn numbers_width(columns: &[&Column]) -> usize {
    columns.iter().map(|column| 1 + column.width()).sum()
}

/// How much of `room` each of two columns gets: what it needs, or else at least half.
fn share(room: usize, first: usize, second: usize) -> (usize, usize) {
    if first + second <= room {
        return (first, second);
    }
    let half = room / 2;
    if first <= half {
        (first, room - first)
    } else if second <= room - half {
        (room - second, second)
    } else {
        (half, room - half)
    }
}

/// The text, with its middle left out where it is too long: names often differ at their ends.
fn shorten(text: &str, width: usize) -> String {
    if text.len() <= width {
        return text.to_owned();
    }
    let Some(kept) = width.checked_sub(1) else { return String::new() };
    // Names are ASCII by now, so that bytes are characters.
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    format!("{}~{}", &text[..head], &text[text.len() - tail..])
}

fn short(number: Number) -> String {
    match number {
        Number::Count(count) => number::compact(count),
        Number::Rate(Some(rate)) => number::rate(rate),
        Number::Rate(None) => "-".to_owned(),
    }
}

/// What stands above lines that are not cut.
pub(super) fn full_header() -> String {
    let mut header = format!("{:<25} {:<20} {:<20}", "time", "topic", "channel");
    for column in &COLUMNS {
        header.push_str(&format!(" {:>width$}", column.title, width = FULL_WIDTH.max(column.title.len())));
    }
    header
}

/// A line that is not cut, for another program to read: every number in full, names never shortened, `-` for none.
pub(super) fn full_line(row: &Row, time: &str) -> String {
    let topic = printable(&row.key.topic);
    // What marks a paused channel would be a column of its own.
    let channel = row.key.channel.as_deref().map_or_else(|| "-".to_owned(), printable);
    let mut line = format!("{time:<25} {topic:<20} {channel:<20}");
    for column in &COLUMNS {
        let number = match (column.value)(row) {
            Number::Count(count) => count.to_string(),
            Number::Rate(Some(rate)) => format!("{rate:.1}"),
            Number::Rate(None) => "-".to_owned(),
        };
        line.push_str(&format!(" {number:>width$}", width = FULL_WIDTH.max(column.title.len())));
    }
    line
}

/// The narrowest column of numbers where nothing is cut.
const FULL_WIDTH: usize = 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::counts::{Key, Rates};
    use super::*;

    fn row(topic: &str, channel: &str, depth: i64) -> Row {
        let channel = (channel != "-").then(|| channel.to_owned());
        let counts = Counts {
            depth,
            disk: 1,
            in_flight: 2,
            messages: 123_456,
            clients: 3,
            nodes: 1,
            ..Counts::default()
        };
        let rates = Some(Rates { ingress: 0.5, egress: 1234.0 });
        Row { key: Key { topic: topic.to_owned(), channel }, counts, rates }
    }

    #[test]
    fn all_columns_are_there_where_there_is_room() {
        let lines = fit(vec![row("t", "c", 5)], 160, 24);
        assert_eq!(
            lines,
            [
                "topic channel depth   mem  disk inflt   def   req   t-o  msgs  in/s out/s clients nodes",
                "t     c           5     4     1     2     0     0     0  123k   0.5  1234       3     1",
            ]
        );
    }

    #[test]
    fn eighty_columns_hold_what_matters_most() {
        let lines = fit(vec![row("a_topic_with_a_name", "and_a_channel_with_one", 5)], 80, 24);
        assert_eq!(
            lines,
            [
                "topic       channel      depth inflt   def   req   t-o  msgs  in/s out/s clients",
                "a_top~_name and_a_~h_one     5     2     0     0     0  123k   0.5  1234       3",
                "(wider for: nodes disk mem)",
            ]
            .map(|line| line.to_owned())
        );
    }

    #[test]
    fn the_deepest_come_first_and_the_others_are_counted() {
        let rows = (0..30).map(|number| row("t", &format!("c{number}"), number)).collect();
        let lines = fit(rows, 160, 5);
        assert_eq!(lines.len(), 5);
        assert!(lines[1].contains("c29") && lines[3].contains("c27"), "{lines:?}");
        assert_eq!(lines[4], "(27 more, less deep)");
    }

    #[test]
    fn what_is_paused_is_marked() {
        let mut paused = row("t", "-", 5);
        paused.counts.paused = 1;
        assert!(fit(vec![paused], 160, 24)[1].starts_with("t     - (paused)"));
    }

    #[test]
    fn names_from_outside_cannot_move_the_cursor() {
        let evil = row("t\u{1b}[2J\n", "c\u{e9}\u{202e}", 1);
        let lines = fit(vec![evil.clone()], 160, 24).join("");
        assert!(lines.chars().all(|char| matches!(char, ' '..='~')), "{lines:?}");
        assert!(full_line(&evil, "now").chars().all(|char| matches!(char, ' '..='~')));
    }

    #[test]
    fn lines_for_programs_are_whole() {
        let line = full_line(&row("t", "c", 5), "2026-11-26T10:00:00Z");
        let words: Vec<&str> = line.split_whitespace().collect();
        let expected = [
            "2026-11-26T10:00:00Z",
            "t",
            "c",
            "5",
            "4",
            "1",
            "2",
            "0",
            "0",
            "0",
            "123456",
            "0.5",
            "1234.0",
            "3",
            "1",
        ];
        assert_eq!(words, expected);
        assert_eq!(full_header().split_whitespace().count(), expected.len());
        assert_eq!(full_header().len(), line.len());
    }

    proptest! {
        #[test]
        fn nothing_is_larger_than_the_screen(
            width in 1_usize..200,
            height in 1_usize..40,
            rows in proptest::collection::vec(("[a-z]{1,64}", "[a-z]{1,64}", 0_i64..i64::MAX / 4), 0..50),
        ) {
            let rows = rows.iter().map(|(topic, channel, depth)| row(topic, channel, *depth)).collect();
            let lines = fit(rows, width, height);
            prop_assert!(lines.len() <= height, "{lines:?}");
            prop_assert!(lines.iter().all(|line| line.len() <= width), "{lines:?}");
        }
    }
}
