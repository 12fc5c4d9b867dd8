//! Names in error texts: quoted as Go's `%q` quotes a string, which clients and logs have come to know.

/// `raw` in double quotes: printable text as it is, everything else escaped, bytes that are not UTF-8 as `\xNN`.
pub(super) fn quote(raw: &[u8]) -> String {
    let mut quoted = String::with_capacity(raw.len() + 2);
    quoted.push('"');
    for chunk in raw.utf8_chunks() {
        chunk.valid().chars().for_each(|char| push_escaped(&mut quoted, char));
        chunk.invalid().iter().for_each(|&byte| push_byte(&mut quoted, byte));
    }
    quoted.push('"');
    quoted
}

fn push_escaped(quoted: &mut String, char: char) {
    match char {
        '"' => quoted.push_str("\\\""),
        '\\' => quoted.push_str("\\\\"),
        '\x07' => quoted.push_str("\\a"),
        '\x08' => quoted.push_str("\\b"),
        '\x0c' => quoted.push_str("\\f"),
        '\n' => quoted.push_str("\\n"),
        '\r' => quoted.push_str("\\r"),
        '\t' => quoted.push_str("\\t"),
        '\x0b' => quoted.push_str("\\v"),
        '\0'..' ' | '\x7f' => push_byte(quoted, char as u8),
        ' '..='~' => quoted.push(char),
        _ if is_printable(char) => quoted.push(char),
        '\0'..'\u{10000}' => quoted.push_str(&format!("\\u{:04x}", u32::from(char))),
        _ => quoted.push_str(&format!("\\U{:08x}", u32::from(char))),
    }
}

fn push_byte(quoted: &mut String, byte: u8) {
    quoted.push_str(&format!("\\x{byte:02x}"));
}

/// Whether `char` is a letter, mark, number, punctuation, symbol or the ASCII space.
///
/// The standard library knows, but says so only through its own escaping; there a mark at the start of
/// a string is escaped although it is printable, hence the letter before it.
fn is_printable(char: char) -> bool {
    let text = String::from_iter(['a', char]);
    text.escape_debug().nth(1) == Some(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_as_go_quotes_it() {
        for (raw, quoted) in [
            (&b""[..], r#""""#),
            (b"plain name", r#""plain name""#),
            (br#"a"b\c'd"#, r#""a\"b\\c'd""#),
            (b"\x00\x01\x07\x08\x09\x0a\x0b\x0c\x0d\x1b\x7f", r#""\x00\x01\a\b\t\n\v\f\r\x1b\x7f""#),
            (b"caf\xc3\xa9", "\"caf\u{e9}\""),
            (b"caf\xe9", r#""caf\xe9""#),
            (b"\xe2\x82", r#""\xe2\x82""#),
            (b"\xed\xa0\x80", r#""\xed\xa0\x80""#),
            (
                "\u{80}\u{a0}\u{ad}\u{200b}\u{2028}\u{3000}".as_bytes(),
                r#""\u0080\u00a0\u00ad\u200b\u2028\u3000""#,
            ),
            ("\u{301}e\u{301}".as_bytes(), "\"\u{301}e\u{301}\""),
            ("\u{feff}\u{fffd}\u{ffff}".as_bytes(), "\"\\ufeff\u{fffd}\\uffff\""),
            ("\u{1f600}\u{e0001}\u{10ffff}".as_bytes(), "\"\u{1f600}\\U000e0001\\U0010ffff\""),
        ] {
            assert_eq!(quote(raw), quoted, "{raw:?}");
        }
    }
}
