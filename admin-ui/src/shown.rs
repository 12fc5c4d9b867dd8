//! What others said, as much of it as is shown: a text of theirs is repeated in logs, in warnings and to each viewer, again and
//! again, and may be as long as they like.

/// How much of a text is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 200;

/// The text, or its beginning.
#[must_use]
pub(crate) fn shown(mut text: String) -> String {
    if text.len() > SHOWN_BYTES_MAX {
        let whole = (0..=SHOWN_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(whole);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_ends_at_a_whole_character() {
        assert_eq!(shown("ü".repeat(100)), "ü".repeat(100));
        assert_eq!(shown(format!("x{}", "ü".repeat(100))), format!("x{}…", "ü".repeat(99)));
    }
}
