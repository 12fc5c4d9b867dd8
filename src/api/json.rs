//! JSON as Go's `encoding/json` writes it, so that a body can be compared byte by byte with NSQ v1.3.0's.
//!
//! Compact; `<`, `>`, `&` and the two line separators escaped; a whole float without a fraction. Reading JSON
//! needs nothing special and is `serde_json`'s.

use std::io;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// The value as compact JSON in Go's spelling.
///
/// # Panics
///
/// Only for a type that has no JSON form at all (a map with keys that are not strings); no type of
/// [`api`](crate::api) is one.
pub fn to_go_json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, GoFormatter))
        .expect("writing to memory does not fail, and the types of this module have a JSON form");
    bytes
}

/// Reads a `null` like a key that is not there. For `#[serde(deserialize_with = ...)]`.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether a key that Go marks `omitempty` is left out.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let magnitude = value.abs();
        if magnitude == 0.0 || (FIXED_FLOAT_MIN..FIXED_FLOAT_END).contains(&magnitude) {
            return write!(writer, "{value}");
        }
        let digits = format!("{value:e}");
        // Rust writes `1e21` where Go writes `1e+21`; both write `1e-7`.
        match digits.split_once('e') {
            Some((mantissa, exponent)) if !exponent.starts_with('-') => {
                write!(writer, "{mantissa}e+{exponent}")
            }
            _ => writer.write_all(digits.as_bytes()),
        }
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        // Nearly every text has none of these bytes, and long lists have a million texts.
        if !text.bytes().any(|byte| matches!(byte, b'<' | b'>' | b'&' | SEPARATOR_LEAD)) {
            return writer.write_all(text.as_bytes());
        }
        let mut rest = text;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, tail) = rest.split_at(at);
            let mut characters = tail.chars();
            let escaped = characters.next().expect("find stops at a character");
            write!(writer, "{plain}\\u{:04x}", u32::from(escaped))?;
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let short: &[u8] = match escape {
            CharEscape::Quote => b"\\\"",
            CharEscape::ReverseSolidus => b"\\\\",
            CharEscape::Solidus => b"/",
            CharEscape::LineFeed => b"\\n",
            CharEscape::CarriageReturn => b"\\r",
            CharEscape::Tab => b"\\t",
            CharEscape::Backspace => b"\\u0008",
            CharEscape::FormFeed => b"\\u000c",
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04x}"),
        };
        writer.write_all(short)
    }
}

/// What the UTF-8 of both line separators begins with.
const SEPARATOR_LEAD: u8 = 0xe2;

/// The smallest and the first too large magnitude that Go writes without an exponent.
const FIXED_FLOAT_MIN: f64 = 1e-6;
const FIXED_FLOAT_END: f64 = 1e21;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: impl Serialize) -> String {
        String::from_utf8(to_go_json(&value)).unwrap()
    }

    #[test]
    fn floats_are_spelled_as_go_spells_them() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.99, "0.99"),
            (901_171.0, "901171"),
            (-2.5, "-2.5"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-9, "1.5e-9"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (-1.25e300, "-1.25e+300"),
        ] {
            assert_eq!(written(value), text);
        }
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        assert_eq!(written("<a & b>"), r#""\u003ca \u0026 b\u003e""#);
        assert_eq!(written("x\u{2028}y\u{2029}"), r#""x\u2028y\u2029""#);
        assert_eq!(written("\"\\/\n\r\t"), r#""\"\\/\n\r\t""#);
        assert_eq!(written("\u{8}\u{c}\u{1}\u{7f}é"), "\"\\u0008\\u000c\\u0001\u{7f}é\"");
        assert_eq!(written("<\"<"), r#""\u003c\"\u003c""#);
    }

    #[test]
    fn keys_and_lists_are_compact() {
        assert_eq!(
            written(serde_json::json!({"a": [1, null, true], "b": {}})),
            r#"{"a":[1,null,true],"b":{}}"#
        );
    }
}
