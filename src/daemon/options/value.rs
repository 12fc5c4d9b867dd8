//! The kinds of values an option can have, and how each is read from a command line and from a TOML file.
//!
//! Pure. The rules are those of NSQ (Go's flag package and what it makes of a configuration file), so that
//! existing command lines and files keep their meaning. Ranges are no business of a kind.

use crate::daemon::go_duration::GoDuration;

/// What sort of value an option takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`, or one of Go's other words for them. Stands for `true` when no value is given.
    Bool,
    /// A whole number; on a command line also hexadecimal (`0x10`), octal, binary, with `_` between digits.
    Int,
    /// A Go duration (`1h30m`); a bare whole number in a file counts milliseconds.
    Duration,
    /// Any text.
    Text,
    /// Texts: one more each time the flag is given; an array or a comma-separated text in a file.
    List,
    /// Numbers: comma-separated, more each time the flag is given; an array or a text in a file. Those of a
    /// command line are put in descending order, those of a file stay as they are.
    Floats,
    /// One of a few words.
    Words(&'static Words),
}

/// A closed set of words, in any case, each standing for a number.
#[derive(Debug)]
pub struct Words {
    /// What `--help` calls such a value.
    pub name: &'static str,
    /// Every word, in lower case. Several may stand for the same number.
    pub words: &'static [(&'static str, i64)],
    /// The words a user needs to hear of.
    pub shown: &'static str,
    /// What the flag means without a value; if there is nothing, a value must follow.
    pub bare: Option<&'static str>,
}

/// A value of one of the kinds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Int`], or the number a word of [`Kind::Words`] stands for.
    Int(i64),
    /// Of [`Kind::Duration`], in nanoseconds.
    Duration(i64),
    /// Of [`Kind::Text`].
    Text(String),
    /// Of [`Kind::List`].
    List(Vec<String>),
    /// Of [`Kind::Floats`].
    Floats(Vec<f64>),
}

impl Kind {
    /// What `--help` calls such a value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Duration => "duration",
            Self::Text | Self::List => "text",
            Self::Floats => "numbers",
            Self::Words(words) => words.name,
        }
    }

    /// What the flag means when nothing stands behind it; `None` if a value must.
    #[must_use]
    pub fn bare(self) -> Option<&'static str> {
        match self {
            Self::Bool => Some("true"),
            Self::Words(words) => words.bare,
            _ => None,
        }
    }

    /// Whether each use of the flag adds to the ones before; otherwise the last one wins.
    #[must_use]
    pub fn is_repeatable(self) -> bool {
        matches!(self, Self::List | Self::Floats)
    }

    /// Reads one value as it was typed on a command line.
    ///
    /// # Errors
    /// What is wrong with it, to be printed behind the flag and the value.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Bool => parse_bool(text).map(Value::Bool),
            Self::Int => parse_int(text).map(Value::Int),
            Self::Duration => parse_duration(text),
            Self::Text => Ok(Value::Text(text.to_owned())),
            Self::List => Ok(Value::List(vec![text.to_owned()])),
            Self::Floats => text.split(',').map(parse_float).collect::<Result<_, _>>().map(Value::Floats),
            Self::Words(words) => words.parse(text).map(Value::Int),
        }
    }

    /// Reads a value of a configuration file.
    ///
    /// # Errors
    /// What is wrong with it, to be printed behind the key and the value.
    pub fn coerce(self, value: &toml::Value) -> Result<Value, String> {
        use toml::Value as Toml;
        match (self, value) {
            (Self::Bool, Toml::Boolean(flag)) => Ok(Value::Bool(*flag)),
            (Self::Bool, Toml::Integer(number @ 0..=1)) => Ok(Value::Bool(*number == 1)),
            (Self::Int, Toml::Integer(number)) => Ok(Value::Int(*number)),
            (Self::Int, Toml::String(text)) => {
                text.parse().map(Value::Int).map_err(|_| NOT_A_WHOLE_NUMBER.to_owned())
            }
            (Self::Duration, Toml::Integer(ms)) => ms
                .checked_mul(1_000_000)
                .map(Value::Duration)
                .ok_or_else(|| "more milliseconds than a duration can hold".to_owned()),
            (Self::Text, Toml::String(text)) => Ok(Value::Text(text.clone())),
            (Self::Text, Toml::Integer(_) | Toml::Float(_) | Toml::Boolean(_)) => {
                Ok(Value::Text(value.to_string()))
            }
            (Self::List, Toml::String(text)) => Ok(Value::List(text.split(',').map(str::to_owned).collect())),
            (Self::List, Toml::Array(items)) => {
                items.iter().map(list_item).collect::<Result<_, _>>().map(Value::List)
            }
            (Self::Floats, Toml::String(text)) => text
                .split(',')
                .map(|item| parse_float(item.trim()))
                .collect::<Result<_, _>>()
                .map(Value::Floats),
            (Self::Floats, Toml::Array(items)) => {
                items.iter().map(float_item).collect::<Result<_, _>>().map(Value::Floats)
            }
            (Self::Words(words), Toml::Boolean(_) | Toml::Integer(_)) => {
                words.parse(&value.to_string()).map(Value::Int)
            }
            (Self::Bool | Self::Duration | Self::Words(_), Toml::String(text)) => self.parse(text),
            (kind, other) => Err(format!("{} cannot stand for {}", other.type_str(), kind.name())),
        }
    }
}

impl Value {
    /// What several uses of one flag amount to; `None` where there was none.
    pub(super) fn merge(uses: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut merged = uses.into_iter().reduce(|sum, next| match (sum, next) {
            (Self::List(mut sum), Self::List(next)) => {
                sum.extend(next);
                Self::List(sum)
            }
            (Self::Floats(mut sum), Self::Floats(next)) => {
                sum.extend(next);
                Self::Floats(sum)
            }
            (_, last) => last,
        })?;
        if let Self::Floats(numbers) = &mut merged {
            numbers.sort_by(|a, b| b.total_cmp(a));
        }
        Some(merged)
    }
}

impl Words {
    fn parse(&self, text: &str) -> Result<i64, String> {
        let known = self.words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        known.map(|(_, number)| *number).ok_or_else(|| format!("not one of {}", self.shown))
    }
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

fn parse_duration(text: &str) -> Result<Value, String> {
    text.parse::<GoDuration>().map(|duration| Value::Duration(duration.0)).map_err(|error| error.to_string())
}

fn parse_float(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

/// Reads a whole number in the forms of a Go literal.
fn parse_int(text: &str) -> Result<i64, String> {
    let refused = || NOT_A_WHOLE_NUMBER.to_owned();
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &unsigned[2..]),
        [b'0', b'b' | b'B', ..] => (2, &unsigned[2..]),
        [b'0', b'o' | b'O', ..] => (8, &unsigned[2..]),
        [b'0', _, ..] => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    // An underscore stands between two digits, or between a prefix and a digit.
    let digits = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if digits.split('_').any(|part| part.is_empty() || !part.chars().all(|c| c.is_digit(radix))) {
        return Err(refused());
    }
    let magnitude = i128::from_str_radix(&digits.replace('_', ""), radix).map_err(|_| refused())?;
    i64::try_from(if negative { -magnitude } else { magnitude })
        .map_err(|_| "beyond what 64 bits can hold".to_owned())
}

fn list_item(item: &toml::Value) -> Result<String, String> {
    item.as_str().map(str::to_owned).ok_or_else(|| format!("{item} is not a text"))
}

fn float_item(item: &toml::Value) -> Result<f64, String> {
    match item {
        toml::Value::Float(number) => Ok(*number),
        // Whole numbers of this size are exact as floats; others are no percentiles.
        toml::Value::Integer(number) => Ok(*number as f64),
        _ => Err(format!("{item} is not a number")),
    }
}

const NOT_A_WHOLE_NUMBER: &str = "not a whole number";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static LEVELS: Words = Words {
        name: "level",
        words: &[("low", 1), ("high", 2), ("1", 1), ("true", 2)],
        shown: "low, high",
        bare: None,
    };

    fn list(items: &[&str]) -> Value {
        Value::List(items.iter().map(|item| (*item).to_owned()).collect())
    }

    #[test]
    fn typed_values_are_read_as_go_reads_them() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (kind, typed, value) in [
            (Kind::Bool, "1", Value::Bool(true)),
            (Kind::Bool, "T", Value::Bool(true)),
            (Kind::Bool, "True", Value::Bool(true)),
            (Kind::Bool, "FALSE", Value::Bool(false)),
            (Kind::Bool, "f", Value::Bool(false)),
            (Kind::Int, "0", Value::Int(0)),
            (Kind::Int, "-12", Value::Int(-12)),
            (Kind::Int, "+12", Value::Int(12)),
            (Kind::Int, "0x1F", Value::Int(31)),
            (Kind::Int, "0b11", Value::Int(3)),
            (Kind::Int, "0o17", Value::Int(15)),
            (Kind::Int, "017", Value::Int(15)),
            (Kind::Int, "1_000", Value::Int(1000)),
            (Kind::Int, "0x_ff", Value::Int(255)),
            (Kind::Int, "-9223372036854775808", Value::Int(i64::MIN)),
            (Kind::Duration, "1m5s", Value::Duration(65_000_000_000)),
            (Kind::Duration, "-1s", Value::Duration(-1_000_000_000)),
            (Kind::Text, "", text("")),
            (Kind::Text, "a,b", text("a,b")),
            (Kind::List, "a,b", list(&["a,b"])),
            (Kind::Floats, "0.5,1.0", Value::Floats(vec![0.5, 1.0])),
            (Kind::Words(&LEVELS), "HiGh", Value::Int(2)),
        ] {
            assert_eq!(kind.parse(typed), Ok(value), "{typed:?}");
        }
    }

    #[test]
    fn other_typed_values_are_refused() {
        for (kind, typed) in [
            (Kind::Bool, "yes"),
            (Kind::Bool, "tRUE"),
            (Kind::Bool, ""),
            (Kind::Int, ""),
            (Kind::Int, "-"),
            (Kind::Int, "x"),
            (Kind::Int, "1.5"),
            (Kind::Int, " 1"),
            (Kind::Int, "08"),
            (Kind::Int, "0x"),
            (Kind::Int, "0x-1"),
            (Kind::Int, "_1"),
            (Kind::Int, "1__0"),
            (Kind::Int, "1_"),
            (Kind::Int, "9223372036854775808"),
            (Kind::Duration, "90"),
            (Kind::Floats, "0.5,"),
            (Kind::Floats, " 0.5"),
            (Kind::Floats, ""),
            (Kind::Words(&LEVELS), "medium"),
        ] {
            assert!(kind.parse(typed).is_err(), "{typed:?}");
        }
    }

    fn coerce(kind: Kind, toml: &str) -> Result<Value, String> {
        kind.coerce(&format!("x = {toml}").parse::<toml::Table>().unwrap()["x"])
    }

    #[test]
    fn values_of_a_file_are_coerced() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (kind, toml, value) in [
            (Kind::Bool, "true", Value::Bool(true)),
            (Kind::Bool, "1", Value::Bool(true)),
            (Kind::Bool, "0", Value::Bool(false)),
            (Kind::Bool, "'f'", Value::Bool(false)),
            (Kind::Int, "5", Value::Int(5)),
            (Kind::Int, "'5'", Value::Int(5)),
            (Kind::Duration, "90", Value::Duration(90_000_000)),
            (Kind::Duration, "'1h30m'", Value::Duration(5_400_000_000_000)),
            (Kind::Text, "'a'", text("a")),
            (Kind::Text, "5", text("5")),
            (Kind::Text, "true", text("true")),
            (Kind::List, "['a', 'b,c']", list(&["a", "b,c"])),
            (Kind::List, "'a,b'", list(&["a", "b"])),
            (Kind::List, "[]", list(&[])),
            (Kind::Floats, "[0.5, 1.0]", Value::Floats(vec![0.5, 1.0])),
            (Kind::Floats, "[1]", Value::Floats(vec![1.0])),
            (Kind::Floats, "'0.5, 1'", Value::Floats(vec![0.5, 1.0])),
            (Kind::Words(&LEVELS), "'Low'", Value::Int(1)),
            (Kind::Words(&LEVELS), "1", Value::Int(1)),
            (Kind::Words(&LEVELS), "true", Value::Int(2)),
        ] {
            assert_eq!(coerce(kind, toml), Ok(value), "{toml}");
        }
    }

    #[test]
    fn other_values_of_a_file_are_refused() {
        for (kind, toml) in [
            (Kind::Bool, "2"),
            (Kind::Bool, "'yes'"),
            (Kind::Bool, "1.0"),
            (Kind::Int, "1.5"),
            (Kind::Int, "true"),
            (Kind::Int, "'0x10'"),
            (Kind::Int, "''"),
            (Kind::Duration, "'90'"),
            (Kind::Duration, "1.5"),
            (Kind::Duration, "9223372036854775807"),
            (Kind::Text, "['a']"),
            (Kind::List, "5"),
            (Kind::List, "[1]"),
            (Kind::Floats, "0.5"),
            (Kind::Floats, "['0.5']"),
            (Kind::Floats, "'0.5,'"),
            (Kind::Words(&LEVELS), "3"),
            (Kind::Words(&LEVELS), "'x'"),
            (Kind::Words(&LEVELS), "[]"),
        ] {
            assert!(coerce(kind, toml).is_err(), "{toml}");
        }
    }

    #[test]
    fn the_last_use_of_a_flag_wins_and_lists_add_up() {
        assert_eq!(Value::merge([]), None);
        assert_eq!(Value::merge([Value::Int(1), Value::Int(2)]), Some(Value::Int(2)));
        assert_eq!(Value::merge([list(&["b"]), list(&["a"])]), Some(list(&["b", "a"])));
        let numbers = [Value::Floats(vec![0.5, 1.0]), Value::Floats(vec![0.99])];
        assert_eq!(Value::merge(numbers), Some(Value::Floats(vec![1.0, 0.99, 0.5])));
    }

    proptest! {
        #[test]
        fn no_typed_text_panics(text in "\\PC{0,12}") {
            for kind in [Kind::Bool, Kind::Int, Kind::Duration, Kind::Floats, Kind::Words(&LEVELS)] {
                let _ = kind.parse(&text);
            }
        }

        #[test]
        fn whole_numbers_are_read_back(number: i64) {
            prop_assert_eq!(Kind::Int.parse(&number.to_string()), Ok(Value::Int(number)));
        }
    }
}
