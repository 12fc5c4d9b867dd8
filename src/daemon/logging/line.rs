//! One log line: what it holds and how it is written. Pure; the time comes in.
//!
//! Much of what is logged was sent by strangers (client ids, topic names, addresses). Whatever could break a
//! line in two or move a terminal's cursor is escaped here, so a peer cannot write lines of its own.

use std::fmt::{self, Debug, Write as _};

use jiff::ZonedDateTime;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tracing::field::{Field, Visit};

use super::Level;

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// NSQ's: `[nsqd] 2026/11/23 17:56:34.147594 INFO: ID: 617`. Fields that the message does not name stand
    /// behind it as ` key=value`.
    #[default]
    Text,
    /// One JSON object a line: `time`, `level`, `message` and `fields`. It carries no prefix.
    Json,
}

/// A message and its fields, in the order they were given.
#[derive(Debug, Default)]
pub(super) struct Line {
    message: String,
    fields: Fields,
}

#[derive(Debug, Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Line {
    pub(super) fn of(event: &tracing::Event<'_>) -> Self {
        let mut line = Self::default();
        event.record(&mut line);
        line
    }

    pub(super) fn message(text: impl Into<String>) -> Self {
        Self { message: text.into(), fields: Fields::default() }
    }

    /// Puts a field before all others.
    pub(super) fn put_first(&mut self, key: &'static str, value: impl Into<Value>) {
        self.fields.0.insert(0, (key, value.into()));
    }

    /// The whole line with its line feed.
    pub(super) fn render(
        &self,
        format: LogFormat,
        prefix: &str,
        time: &ZonedDateTime,
        level: Level,
    ) -> String {
        let mut out = String::with_capacity(128);
        // Writing to a `String` cannot fail, which is all these results can say.
        let _ = match format {
            LogFormat::Text => self.write_text(&mut out, prefix, time, level),
            LogFormat::Json => self.write_json(&mut out, time, level),
        };
        out.push('\n');
        out
    }

    fn write_text(&self, out: &mut String, prefix: &str, time: &ZonedDateTime, level: Level) -> fmt::Result {
        let stamp = time.strftime("%Y/%m/%d %H:%M:%S.%6f");
        write!(out, "{prefix}{stamp} {level}: ")?;
        push_escaped(out, &self.message);
        for (key, value) in &self.fields.0 {
            // NSQ's texts name their topic or client already; machines read the fields from JSON.
            if value.as_str().is_some_and(|text| names(&self.message, text)) {
                continue;
            }
            write!(out, " {key}=")?;
            match value {
                Value::String(text) if needs_quotes(text) => write!(out, "{text:?}")?,
                Value::String(text) => push_escaped(out, text),
                other => write!(out, "{other}")?,
            }
        }
        Ok(())
    }

    fn write_json(&self, out: &mut String, time: &ZonedDateTime, level: Level) -> fmt::Result {
        let offset = if time.offset().is_zero() { "Z" } else { "%:z" };
        let stamp = time.strftime(&format!("%Y-%m-%dT%H:%M:%S.%6f{offset}")).to_string();
        let object = JsonLine {
            time: &stamp,
            level: &level.to_string(),
            message: &self.message,
            fields: &self.fields,
        };
        out.push_str(&serde_json::to_string(&object).map_err(|_| fmt::Error)?);
        Ok(())
    }

    fn put(&mut self, field: &Field, value: Value) {
        if field.name() != "message" {
            self.fields.0.push((field.name(), value));
        } else if let Value::String(text) = value {
            self.message = text;
        } else {
            self.message = value.to_string();
        }
    }
}

/// Whether the message has the text as a word of its own.
fn names(message: &str, text: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    message.match_indices(text).any(|(at, _)| {
        let (before, after) = (message[..at].chars().next_back(), message[at + text.len()..].chars().next());
        !is_part(before) && !is_part(after)
    })
}

/// The shape of a line of JSON; the keys stand in this order.
#[derive(Serialize)]
struct JsonLine<'a> {
    time: &'a str,
    level: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    fields: &'a Fields,
}

impl Fields {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN: such a number is written as a word.
        self.put(field, if value.is_finite() { json!(value) } else { value.to_string().into() });
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        if breaks_lines(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
}

/// Control characters, and what some viewers take for a line's end or a change of direction.
fn breaks_lines(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a reader could not tell where such a value ends. Quoting escapes as well.
fn needs_quotes(text: &str) -> bool {
    text.is_empty() || text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(format: LogFormat, line: &Line, time: &str) -> String {
        line.render(format, "[nsqd] ", &time.parse().unwrap(), Level::Warn)
    }

    fn line(message: &str, fields: &[(&'static str, Value)]) -> Line {
        Line { message: message.to_owned(), fields: Fields(fields.to_vec()) }
    }

    const UTC: &str = "2026-11-23T17:56:34.147594[UTC]";

    #[test]
    fn text_lines_look_like_those_of_nsq() {
        let plain = line("ID: 617", &[]);
        let expected = "[nsqd] 2026/11/23 17:56:34.147594 WARNING: ID: 617\n";
        assert_eq!(render(LogFormat::Text, &plain, UTC), expected);
    }

    #[test]
    fn a_text_line_does_not_repeat_what_its_message_names() {
        let named = line("TOPIC(t): created", &[("topic", json!("t"))]);
        assert!(render(LogFormat::Text, &named, UTC).ends_with("WARNING: TOPIC(t): created\n"));
        let unnamed = line("it is gone", &[("topic", json!("t"))]);
        assert!(render(LogFormat::Text, &unnamed, UTC).ends_with("it is gone topic=t\n"));
        assert!(render(LogFormat::Json, &named, UTC).contains(r#""fields":{"topic":"t"}"#));
    }

    #[test]
    fn text_times_are_local_and_keep_their_zeros() {
        let text = render(LogFormat::Text, &line("x", &[]), "2026-01-02T03:04:05.000007+05:30[+05:30]");
        assert_eq!(text, "[nsqd] 2026/01/02 03:04:05.000007 WARNING: x\n");
    }

    #[test]
    fn text_lines_append_their_fields() {
        let rich =
            line("peer gone", &[("topic", json!("a")), ("depth", json!(3)), ("why", json!("by choice"))]);
        let text = render(LogFormat::Text, &rich, UTC);
        assert!(text.ends_with(": peer gone topic=a depth=3 why=\"by choice\"\n"), "{text}");
    }

    #[test]
    fn no_text_from_outside_makes_a_second_line() {
        for evil in ["a\nb", "a\r\nFATAL: b", "a\u{1b}[2Jb", "a\u{2028}b", "\u{202e}b", "a\u{85}b", "\0"] {
            let line = line(evil, &[("client_id", json!(evil)), ("note", json!(format!("{evil} c")))]);
            for format in [LogFormat::Text, LogFormat::Json] {
                let text = render(format, &line, UTC);
                let body = text.strip_suffix('\n').unwrap();
                assert!(!body.contains(|c: char| c.is_ascii_control()), "{body:?}");
            }
            let body = render(LogFormat::Text, &line, UTC);
            assert!(!body.trim_end().contains(breaks_lines), "{body:?}");
        }
    }

    #[test]
    fn json_lines_are_objects_that_keep_the_types_of_fields() {
        let rich = line("peer \"x\" gone", &[("depth", json!(3)), ("paused", json!(false))]);
        let text = render(LogFormat::Json, &rich, UTC);
        let expected = concat!(
            r#"{"time":"2026-11-23T17:56:34.147594Z","level":"WARNING","message":"peer \"x\" gone","#,
            r#""fields":{"depth":3,"paused":false}}"#,
            "\n"
        );
        assert_eq!(text, expected);
    }
}
