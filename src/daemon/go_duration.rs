//! Durations as NSQ writes and reads them: Go's `1h30m`, `250ms`, `5.943362103s`.
//!
//! Pure. A duration is a signed count of nanoseconds here because that is what a user may type; what a
//! program does with a negative one is for the program to refuse.

use std::{fmt, str::FromStr, time::Duration};

/// A signed duration in nanoseconds that parses and prints the way Go does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(pub i64);

impl From<Duration> for GoDuration {
    /// Saturates at 292 years, the longest duration Go can express.
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// Nothing, a lone sign, or something where a number should stand.
    #[error("not a duration such as 250ms, 1.5s or 1h30m")]
    Malformed,
    /// A number without a unit. Only `0` may stand alone.
    #[error("missing unit in duration (one of ns, us, ms, s, m, h)")]
    MissingUnit,
    /// A unit Go does not have, such as `d`.
    #[error("unknown unit in duration (one of ns, us, ms, s, m, h)")]
    UnknownUnit,
    /// More than 292 years.
    #[error("duration out of range")]
    OutOfRange,
}

impl FromStr for GoDuration {
    type Err = InvalidDuration;

    /// Reads `[-+]` and then one or more of number and unit, as in `1h30m` or `-1.5s`.
    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(InvalidDuration::Malformed);
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let (nanoseconds, after) = take_term(rest)?;
            total += nanoseconds;
            if total > i128::from(i64::MAX) + i128::from(negative) {
                return Err(InvalidDuration::OutOfRange);
            }
            rest = after;
        }
        let signed = if negative { -total } else { total };
        i64::try_from(signed).map(Self).map_err(|_| InvalidDuration::OutOfRange)
    }
}

/// Takes one number with its unit off the front and returns it in nanoseconds, with what follows it.
fn take_term(text: &str) -> Result<(i128, &str), InvalidDuration> {
    let (whole, rest) = take_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after_point) => take_digits(after_point),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(InvalidDuration::Malformed);
    }
    let unit_len = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_len);
    let unit_ns: i128 = match unit {
        "" => return Err(InvalidDuration::MissingUnit),
        "ns" => 1,
        // Both the micro sign and the Greek letter are in use.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => NS_PER_S as i128,
        "m" => 60 * NS_PER_S as i128,
        "h" => 3600 * NS_PER_S as i128,
        _ => return Err(InvalidDuration::UnknownUnit),
    };
    let whole: i128 = match whole {
        "" => 0,
        digits => digits.parse::<u64>().map_err(|_| InvalidDuration::OutOfRange)?.into(),
    };
    Ok((whole * unit_ns + fraction_of(fraction, unit_ns), rest))
}

fn take_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `digits` read as `0.digits`, of one unit, rounded down. Digits beyond the eighteenth cannot change a
/// nanosecond of it.
fn fraction_of(digits: &str, unit_ns: i128) -> i128 {
    let (mut value, mut scale) = (0, 1);
    for digit in digits.bytes().take(18) {
        value = value * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    value * unit_ns / scale
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match ns {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{ns}ns"),
            1_000..1_000_000 => write_decimal(f, ns, 1_000, "\u{b5}s"),
            1_000_000..NS_PER_S => write_decimal(f, ns, 1_000_000, "ms"),
            _ => {
                let (hours, minutes) = (ns / (3600 * NS_PER_S), ns / (60 * NS_PER_S) % 60);
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if hours > 0 || minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                write_decimal(f, ns % (60 * NS_PER_S), NS_PER_S, "s")
            }
        }
    }
}

/// Writes `ns / unit_ns` with as many decimals as it has, and the unit.
fn write_decimal(f: &mut fmt::Formatter<'_>, ns: u64, unit_ns: u64, unit: &str) -> fmt::Result {
    write!(f, "{}", ns / unit_ns)?;
    let remainder = ns % unit_ns;
    if remainder > 0 {
        let width = unit_ns.ilog10() as usize;
        write!(f, ".{}", format!("{remainder:0width$}").trim_end_matches('0'))?;
    }
    f.write_str(unit)
}

const NS_PER_S: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<i64, InvalidDuration> {
        text.parse::<GoDuration>().map(|duration| duration.0)
    }

    #[test]
    fn go_forms_are_read() {
        for (text, ns) in [
            ("0", 0),
            ("-0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("250ms", 250_000_000),
            ("1h30m", 5_400_000_000_000),
            ("-1.5h", -5_400_000_000_000),
            ("+.5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1.004s", 1_004_000_000),
            ("100.00100s", 100_001_000_000),
            ("3000ns", 3_000),
            ("11us", 11_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s12us", 24_000),
            ("39h9m14.425s", 140_954_425_000_000),
            ("52763797000ns", 52_763_797_000),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("9007199254.740993ms", 9_007_199_254_740_993),
        ] {
            assert_eq!(parse(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        use InvalidDuration::*;
        for (text, error) in [
            ("", Malformed),
            ("-", Malformed),
            ("s", Malformed),
            (".", Malformed),
            (".s", Malformed),
            ("+-5s", Malformed),
            (" 5s", Malformed),
            ("90", MissingUnit),
            ("1h5", MissingUnit),
            ("5d", UnknownUnit),
            ("5s ", UnknownUnit),
            ("5S", UnknownUnit),
            ("9223372036854775808ns", OutOfRange),
            ("-9223372036854775809ns", OutOfRange),
            ("9223372036854775807h", OutOfRange),
            ("99999999999999999999h", OutOfRange),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn durations_print_like_go() {
        for (ns, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (250_000_000, "250ms"),
            (3_300_000_000, "3.3s"),
            (5_943_362_103, "5.943362103s"),
            (60_000_000_000, "1m0s"),
            (65_000_000_000, "1m5s"),
            (245_001_000_000, "4m5.001s"),
            (3_600_000_000_000, "1h0m0s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (-1_500_000_000, "-1.5s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(GoDuration(ns).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(ns: i64) {
            prop_assert_eq!(parse(&GoDuration(ns).to_string()), Ok(ns));
        }

        #[test]
        fn no_text_panics(text in "[-+]?[0-9.hmsnu\u{b5} ]{0,24}") {
            let _ = parse(&text);
        }
    }
}
