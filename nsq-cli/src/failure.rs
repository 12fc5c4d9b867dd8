//! Why a command failed, in words, and the exit code that says so to scripts.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use nsq::daemon::os_error::os_error_text;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense, which only a look at it as a whole shows.
    Usage(String),
    /// It could not be done.
    Failed(String),
    /// It could not be done, and everything has been said.
    Told(ExitCode),
}

impl Failure {
    /// Says why on standard error, and gives the exit code: 2 for a wrong command line, 1 else.
    pub(crate) fn report(self) -> ExitCode {
        // Where even standard error is gone, only the exit code is left.
        match self {
            Self::Usage(text) => {
                let _ = writeln!(io::stderr(), "error: {text}\n\nFor more information, try '--help'.");
                ExitCode::from(2)
            }
            Self::Failed(text) => {
                let _ = writeln!(io::stderr(), "nsq: {text}");
                ExitCode::FAILURE
            }
            Self::Told(code) => code,
        }
    }
}

impl Failure {
    /// The same, and where it happened.
    pub(crate) fn within(self, place: &str) -> Self {
        match self {
            Self::Failed(text) => Self::Failed(format!("{place}: {text}")),
            other => other,
        }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(os_error_text(&error))
    }
}

/// An error and its causes on one line; what the system said is in its usual words. Servers may have had a say in
/// it, so that it is made [printable].
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = words(error);
    let mut source = error.source();
    while let Some(cause) = source {
        let words = words(cause);
        // Some errors say their cause themselves.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    printable(&text)
}

fn words(error: &(dyn Error + 'static)) -> String {
    error.downcast_ref().map_or_else(|| error.to_string(), os_error_text)
}

/// The text without anything that could move a cursor or be mistaken for something else.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|char| if matches!(char, ' '..='~') { char } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use nsq::client::ConnectionError;

    use super::*;

    #[test]
    fn causes_stand_on_one_line_in_the_systems_words() {
        let address = "127.0.0.1:1".to_owned();
        let source = io::Error::from_raw_os_error(111);
        let error = ConnectionError::Dial { address, source };
        assert_eq!(causes(&error), "cannot connect to 127.0.0.1:1: connection refused");
        assert_eq!(causes(&io::Error::from_raw_os_error(28)), "no space left on device");
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{9b}d\u{202e}\u{e9}"), "a?[2Jb?c?d??");
    }
}
