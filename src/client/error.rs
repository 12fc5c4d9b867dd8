//! What can go wrong between a client and nsqd, sorted by whose fault it is.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::wire::error::ErrorCode;
use crate::wire::frame::FrameError;

/// An error frame of nsqd's: a code such as `E_PUB_FAILED` and a text. Codes that are not known here are kept too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError(String);

impl ServerError {
    /// Reads the data of an error frame. Bytes that are no text are shown as U+FFFD.
    #[must_use]
    pub fn parse(data: &[u8]) -> Self {
        Self(String::from_utf8_lossy(data).into_owned())
    }

    /// The code: the first word.
    #[must_use]
    pub fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// Whether nsqd closes the connection after this error.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        let harmless = [ErrorCode::FinFailed, ErrorCode::ReqFailed, ErrorCode::TouchFailed];
        !harmless.iter().any(|code| code.as_str() == self.code())
    }

    /// Whether nsqd could not take a message that was in order: another nsqd may, or this one later.
    #[must_use]
    pub fn is_servers_trouble(&self) -> bool {
        let trouble = [ErrorCode::PubFailed, ErrorCode::MpubFailed, ErrorCode::DpubFailed];
        trouble.iter().any(|code| code.as_str() == self.code())
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}

/// Why there is no connection to an nsqd, or no longer one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// Nothing listens at the address, or it names nothing.
    #[error("cannot connect to {address}")]
    Dial {
        /// The address as it was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The address did not answer in time.
    #[error("{address} did not answer within {timeout:?}")]
    DialTimeout {
        /// The address as it was given.
        address: String,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// nsqd closed the connection.
    #[error("nsqd closed the connection")]
    ClosedByServer,
    /// Nothing came, not even a heartbeat.
    #[error("nsqd said nothing for {silence:?}")]
    Silent {
        /// For how long.
        silence: Duration,
    },
    /// nsqd refused a command, and closed the connection.
    #[error("nsqd refused: {0}")]
    Refused(ServerError),
    /// What came is no frame.
    #[error("nsqd does not speak the protocol")]
    Frame(#[from] FrameError),
    /// What came is a frame that is no answer to what was said.
    #[error("unexpected answer to {command}: {data}")]
    Unexpected {
        /// What was said, or `nothing`.
        command: &'static str,
        /// The beginning of what came, made readable.
        data: String,
    },
    /// nsqd wants a secret, and there is none in the options.
    #[error("nsqd asks for authorisation, and no secret is set")]
    AuthRequired,
}

impl ConnectionError {
    pub(super) fn unexpected(command: &'static str, data: &[u8]) -> Self {
        let shown = &data[..data.len().min(SHOWN_BYTES_MAX)];
        Self::Unexpected { command, data: shown.escape_ascii().to_string() }
    }
}

/// How much of an unexpected answer is repeated in the error, in bytes.
const SHOWN_BYTES_MAX: usize = 100;

/// An error and its causes on one line, for a log.
pub(super) struct Causes<'a>(pub(super) &'a (dyn std::error::Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, " - {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_frame_is_a_code_and_a_text() {
        for (data, code, fatal, trouble) in [
            ("E_PUB_FAILED PUB failed exiting", "E_PUB_FAILED", true, true),
            ("E_BAD_MESSAGE PUB message too big 2 > 1", "E_BAD_MESSAGE", true, false),
            ("E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight", "E_FIN_FAILED", false, false),
            ("E_OF_ANOTHER_DAY", "E_OF_ANOTHER_DAY", true, false),
            ("", "", true, false),
        ] {
            let error = ServerError::parse(data.as_bytes());
            assert_eq!((error.code(), error.is_fatal(), error.is_servers_trouble()), (code, fatal, trouble));
            assert_eq!(error.to_string(), data);
        }
    }

    #[test]
    fn causes_stand_on_one_line() {
        let error = ConnectionError::Io(io::Error::other("broken"));
        assert_eq!(Causes(&error).to_string(), "the connection failed - broken");
    }
}
