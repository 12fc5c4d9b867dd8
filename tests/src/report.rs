//! Figures that a run shows also where it succeeds, and what sets how long it runs.

use std::fmt::Display;
use std::io::Write;
use std::str::FromStr;

/// Writes a line past what the test runner keeps to itself.
pub fn report(line: impl Display) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A number of the environment, or this one where there is none.
///
/// # Panics
/// When what is there is no number.
pub fn setting<T: FromStr>(variable: &str, default: T) -> T {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number"))
}
