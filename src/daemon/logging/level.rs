//! How serious a line is, in NSQ's five steps.

use std::{fmt, str::FromStr};

use tracing::level_filters::LevelFilter;

/// A level, as what is asked for ("at least this") and as what a line has.
///
/// The discriminants are NSQ's own numbers, which `GET /config/log_level` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// What each command did; a line or more for each.
    Debug = 1,
    /// What an operator may want to look up later.
    #[default]
    Info = 2,
    /// Something is odd and was dealt with.
    Warn = 3,
    /// Something failed.
    Error = 4,
    /// The program ends for this reason.
    Fatal = 5,
}

/// The words that ask for a level, in any case, with their numbers.
pub(crate) const LEVEL_WORDS: [(&str, i64); 5] =
    [("debug", 1), ("info", 2), ("warn", 3), ("error", 4), ("fatal", 5)];

impl Level {
    /// The level of that number, 1 to 5.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        [Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal]
            .into_iter()
            .find(|level| level.number() == number)
    }

    /// NSQ's number for it: 1 for debug to 5 for fatal.
    #[must_use]
    pub fn number(self) -> i64 {
        i64::from(self as u8)
    }

    /// The events that pass when this level is asked for. `fatal` lets none pass: such lines are written past
    /// the filter.
    pub(super) fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
            Self::Fatal => LevelFilter::OFF,
        }
    }
}

impl From<tracing::Level> for Level {
    fn from(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

impl fmt::Display for Level {
    /// The word a log line carries: `WARNING`, though it is `warn` that asks for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARNING",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        })
    }
}

/// The text is none of NSQ's words for a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of debug, info, warn, error, fatal")]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let known = LEVEL_WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        known.and_then(|(_, number)| Self::from_number(*number)).ok_or(UnknownLevel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_in_any_case_and_warning_is_not_one() {
        assert_eq!("warn".parse(), Ok(Level::Warn));
        assert_eq!("DeBuG".parse(), Ok(Level::Debug));
        for text in ["warning", "", " info", "info\n", "2", "\"info\""] {
            assert_eq!(text.parse::<Level>(), Err(UnknownLevel), "{text:?}");
        }
    }

    #[test]
    fn every_word_has_its_own_number() {
        for (word, number) in LEVEL_WORDS {
            assert_eq!(word.parse::<Level>().unwrap().number(), number);
        }
        assert_eq!(Level::from_number(0), None);
        assert_eq!(Level::from_number(6), None);
    }

    #[test]
    fn lines_carry_nsqs_words() {
        let words: Vec<String> = (1..=5).filter_map(Level::from_number).map(|l| l.to_string()).collect();
        assert_eq!(words, ["DEBUG", "INFO", "WARNING", "ERROR", "FATAL"]);
    }
}
