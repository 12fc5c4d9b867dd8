//! Patterns as authorization servers write them, in Go's syntax (RE2), put into the syntax of the crate `regex`.
//!
//! The two engines are of one kind, linear in time, and nearly of one syntax. Where the same text would mean something
//! else it is written so that it means what it does in Go, or refused: a misread pattern could allow too much.

/// The names that may stand in `[[:name:]]`.
const CLASS_NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// The same pattern in the other syntax; or why it has none.
pub(super) fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut translated = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(char) = rest.chars().next() {
        rest = match char {
            '\\' => escape(rest, &mut translated),
            '[' => class(rest, &mut translated)?,
            // A brace that begins no repetition stands for itself.
            '{' if !is_repetition(rest) => {
                translated.push_str("\\{");
                &rest[1..]
            }
            _ => {
                translated.push(char);
                &rest[char.len_utf8()..]
            }
        };
    }
    Ok(translated)
}

/// What begins with a backslash. Returns what follows it.
fn escape<'p>(pattern: &'p str, translated: &mut String) -> &'p str {
    let escaped = &pattern[1..];
    if let Some(literal) = escaped.strip_prefix('Q') {
        let (literal, rest) = literal.split_once("\\E").unwrap_or((literal, ""));
        translated.push_str(&regex::escape(literal));
        return rest;
    }
    let Some(char) = escaped.chars().next() else {
        translated.push('\\');
        return escaped;
    };
    // In `regex` these two stand for the ends of words.
    if !matches!(char, '<' | '>') {
        translated.push('\\');
    }
    translated.push(char);
    &escaped[char.len_utf8()..]
}

/// A class in brackets: in `regex` it may hold classes, and operations between them. Returns what follows it.
fn class<'p>(pattern: &'p str, translated: &mut String) -> Result<&'p str, &'static str> {
    let mut rest = &pattern[1..];
    translated.push('[');
    // A bracket that comes first stands for itself.
    for first in ["^", "]"] {
        if let Some(after) = rest.strip_prefix(first) {
            translated.push_str(first);
            rest = after;
        }
    }
    loop {
        let char = rest.chars().next().ok_or("a class has no end")?;
        rest = match char {
            ']' => {
                translated.push(']');
                return Ok(&rest[1..]);
            }
            '\\' if rest.starts_with("\\Q") => return Err("a class holds a quotation"),
            '\\' => escape(rest, translated),
            '[' => match rest.strip_prefix("[:").and_then(|named| named.split_once(":]")) {
                Some((name, after)) if CLASS_NAMES.contains(&name.trim_start_matches('^')) => {
                    translated.extend(["[:", name, ":]"]);
                    after
                }
                Some(_) => return Err("a class is named that is not known"),
                None => {
                    translated.push_str("\\[");
                    &rest[1..]
                }
            },
            '&' | '~' => {
                translated.extend(['\\', char]);
                &rest[1..]
            }
            '-' if rest.starts_with("--") => return Err("a class holds two hyphens"),
            _ => {
                translated.push(char);
                &rest[char.len_utf8()..]
            }
        };
    }
}

/// Whether it begins with `{2}`, `{2,}` or `{2,3}`.
fn is_repetition(pattern: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((counts, _)) = pattern[1..].split_once('}') else { return false };
    let (least, most) = counts.split_once(',').unwrap_or((counts, ""));
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        let translated = translate(pattern).unwrap();
        let regex = regex::bytes::RegexBuilder::new(&translated).unicode(false).build();
        regex.unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(name.as_bytes())
    }

    #[test]
    fn a_pattern_means_what_it_means_in_go() {
        for (pattern, name, expected) in [
            ("t", "tt", true),
            ("^t$", "tt", false),
            (".*", "", true),
            (".+", "", false),
            (r"^\Qa.b\E$", "a.b", true),
            (r"^\Qa.b\E$", "axb", false),
            (r"\Qa.b", "a.b", true),
            (r"^[[:alpha:]]+$", "abc", true),
            (r"^[[:^alpha:]]+$", "abc", false),
            (r"^[[a]$", "[", true),
            (r"^[]a]$", "]", true),
            (r"^[^]a]$", "]", false),
            // A set of three characters, and what is not in it; `regex` alone would see an empty set and all but that.
            (r"^[a&&b]$", "a", true),
            (r"^[^a&&b]$", "a", false),
            (r"^[a~~b]$", "a", true),
            (r"^[a-]$", "-", true),
            (r"^[\]\-]$", "-", true),
            ("^a{2}$", "aa", true),
            ("^a{2,}$", "aaa", true),
            ("^a{1,2}$", "aaa", false),
            ("^a{,2}$", "aa", false),
            ("^a{,2}$", "a{,2}", true),
            ("^a{$", "a{", true),
            (r"\<a", "a", false),
            (r"a\b.", "a.", true),
            ("(?i)^ABC$", "abc", true),
            (r"^\w+\d$", "topic_1", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name:?}");
        }
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        for pattern in ["[a", "[", "[a--b]", r"[\Qa\E]", "[[:nope:]]"] {
            assert!(translate(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        for pattern in ["", "\\", "[\\", "{", "é[é]\\é{é}", "[^", "[[:", "\\Q", "a{1", "[]"] {
            let _ = translate(pattern);
        }
    }
}
