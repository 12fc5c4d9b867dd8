//! The byte between two records, as it is typed: itself, or by its escape.

/// Reads one byte, or `\n`, `\r`, `\t`, `\0`, `\\` or `\xNN`.
pub(crate) fn parse(text: &str) -> Result<u8, String> {
    match text {
        "\\n" => Ok(b'\n'),
        "\\r" => Ok(b'\r'),
        "\\t" => Ok(b'\t'),
        "\\0" => Ok(0),
        "\\\\" => Ok(b'\\'),
        _ => match (hexadecimal(text), text.as_bytes()) {
            (Some(byte), _) => Ok(byte),
            (None, [byte]) => Ok(*byte),
            _ => Err("must be a single byte: itself, or \\n, \\r, \\t, \\0, \\\\ or \\xNN".to_owned()),
        },
    }
}

fn hexadecimal(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("\\x").filter(|digits| digits.len() == 2)?;
    let is_digit = |digit: u8| digit.is_ascii_hexdigit();
    digits.bytes().all(is_digit).then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_one_byte() {
        for (text, byte) in [
            ("\n", b'\n'),
            ("\\n", b'\n'),
            ("\\0", 0),
            ("\\t", b'\t'),
            ("\\", b'\\'),
            ("\\\\", b'\\'),
            (",", b','),
            ("\\xff", 0xff),
            ("\\x0A", b'\n'),
        ] {
            assert_eq!(parse(text), Ok(byte), "{text:?}");
        }
        for text in ["", "ab", "\\q", "\\x+f", "\\x1", "é"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
