//! What the protocol refuses: an error frame's code and text, byte for byte those of v1.3.0
//! (spec nsqd-tcp.md, §3 and §11).
//!
//! An error found in a peer's bytes is worded where it is found; the constructors here are for whoever
//! carries a command out, and name what happened to it.

use std::borrow::Cow;
use std::fmt;

use super::message::MessageId;
use super::name::{ChannelName, TopicName};
use super::quote::quote;

/// An error as it is sent to a client. Displayed as text for logs; sent as bytes, because it may repeat
/// bytes of the client's that are no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// What is said after the code; empty only for [`ErrorCode::BadProtocol`].
    pub text: Cow<'static, [u8]>,
}

impl ProtocolError {
    /// An error that says `text` after its code.
    pub fn new(code: ErrorCode, text: impl Into<Vec<u8>>) -> Self {
        Self { code, text: Cow::Owned(text.into()) }
    }

    /// An error whose text is always the same.
    pub const fn fixed(code: ErrorCode, text: &'static str) -> Self {
        Self { code, text: Cow::Borrowed(text.as_bytes()) }
    }

    /// Whether the connection ends with this error.
    pub fn is_fatal(&self) -> bool {
        self.code.is_fatal()
    }

    /// The data of the error frame: the code, and after one space the text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.code.as_str().len() + 1 + self.text.len());
        self.write_to(&mut bytes);
        bytes
    }

    /// Appends what [`to_bytes`](Self::to_bytes) returns.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.code.as_str().as_bytes());
        if !self.text.is_empty() {
            out.push(b' ');
            out.extend_from_slice(&self.text);
        }
    }
}

/// The connection as a whole, and what `IDENTIFY` led to.
impl ProtocolError {
    /// The first four bytes are not [`MAGIC_V2`](super::MAGIC_V2).
    pub const fn bad_protocol() -> Self {
        Self::fixed(ErrorCode::BadProtocol, "")
    }

    /// The answer to an `IDENTIFY` could not be sent, or the connection not be upgraded as agreed.
    pub fn identify_failed(cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::IdentifyFailed, format!("IDENTIFY failed {cause}"))
    }
}

/// What became of a command that was in order.
impl ProtocolError {
    /// A `PUB` could not be carried out.
    pub fn pub_failed(cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::PubFailed, format!("PUB failed {cause}"))
    }

    /// An `MPUB` could not be carried out.
    pub fn mpub_failed(cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::MpubFailed, format!("MPUB failed {cause}"))
    }

    /// A `DPUB` could not be carried out.
    pub fn dpub_failed(cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::DpubFailed, format!("DPUB failed {cause}"))
    }

    /// A `SUB` could not be carried out.
    pub fn sub_failed(cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::SubFailed, format!("SUB failed {cause}"))
    }

    /// A `SUB` was refused because the channel has as many consumers as it may have.
    pub fn too_many_consumers(topic: &TopicName, channel: &ChannelName, consumers_max: usize) -> Self {
        Self::sub_failed(format_args!("consumers for {topic}:{channel} exceeds limit of {consumers_max}"))
    }

    /// A `SUB` met an ephemeral topic or channel that went away in the meantime, twice.
    pub const fn sub_to_deleted() -> Self {
        Self::fixed(ErrorCode::SubFailed, "SUB failed to deleted topic/channel")
    }

    /// A `FIN` named a message that this client cannot finish.
    pub fn fin_failed(id: &MessageId, cause: impl fmt::Display) -> Self {
        Self::about_message(ErrorCode::FinFailed, "FIN", id, cause)
    }

    /// A `REQ` named a message that this client cannot requeue.
    pub fn req_failed(id: &MessageId, cause: impl fmt::Display) -> Self {
        Self::about_message(ErrorCode::ReqFailed, "REQ", id, cause)
    }

    /// A `TOUCH` named a message whose timeout this client cannot move.
    pub fn touch_failed(id: &MessageId, cause: impl fmt::Display) -> Self {
        Self::about_message(ErrorCode::TouchFailed, "TOUCH", id, cause)
    }

    fn about_message(code: ErrorCode, word: &str, id: &MessageId, cause: impl fmt::Display) -> Self {
        let text = [word.as_bytes(), b" ", &id.0, b" failed ", cause.to_string().as_bytes()].concat();
        Self::new(code, text)
    }
}

/// Authorisation (spec nsqd-tcp.md, §9). `word` is the command that was refused: `SUB`, `PUB`, `MPUB` or `DPUB`.
impl ProtocolError {
    /// `AUTH` came a second time.
    pub const fn auth_already_set() -> Self {
        Self::fixed(ErrorCode::Invalid, "AUTH already set")
    }

    /// `AUTH` came, but this server asks nobody for authorisation.
    pub const fn auth_disabled() -> Self {
        Self::fixed(ErrorCode::AuthDisabled, "AUTH disabled")
    }

    /// No authorisation server gave a valid answer; why is for the log, not for the client.
    pub const fn auth_failed() -> Self {
        Self::fixed(ErrorCode::AuthFailed, "AUTH failed")
    }

    /// The answer to an `AUTH` could not be sent.
    pub fn auth_error(cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::AuthError, format!("AUTH error {cause}"))
    }

    /// The secret is known but allows nothing.
    pub const fn no_authorizations() -> Self {
        Self::fixed(ErrorCode::Unauthorized, "AUTH no authorizations found")
    }

    /// A command that needs authorisation came before `AUTH`.
    pub fn auth_first(word: &str) -> Self {
        Self::new(ErrorCode::AuthFirst, format!("AUTH required before {word}"))
    }

    /// What the client may do does not include this. `channel` is `None` for a publish.
    pub fn unauthorized(word: &str, topic: &TopicName, channel: Option<&ChannelName>) -> Self {
        let topic = quote(topic.as_bytes());
        let channel = quote(channel.map(ChannelName::as_bytes).unwrap_or_default());
        Self::new(ErrorCode::Unauthorized, format!("AUTH failed for {word} on {topic} {channel}"))
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl std::error::Error for ProtocolError {}

/// The kinds of errors of spec nsqd-tcp.md, §11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// `E_BAD_PROTOCOL`
    BadProtocol,
    /// `E_INVALID`
    Invalid,
    /// `E_BAD_BODY`
    BadBody,
    /// `E_BAD_TOPIC`
    BadTopic,
    /// `E_BAD_CHANNEL`
    BadChannel,
    /// `E_BAD_MESSAGE`
    BadMessage,
    /// `E_PUB_FAILED`
    PubFailed,
    /// `E_MPUB_FAILED`
    MpubFailed,
    /// `E_DPUB_FAILED`
    DpubFailed,
    /// `E_SUB_FAILED`
    SubFailed,
    /// `E_IDENTIFY_FAILED`
    IdentifyFailed,
    /// `E_AUTH_DISABLED`
    AuthDisabled,
    /// `E_AUTH_FAILED`
    AuthFailed,
    /// `E_AUTH_FIRST`
    AuthFirst,
    /// `E_AUTH_ERROR`
    AuthError,
    /// `E_UNAUTHORIZED`
    Unauthorized,
    /// `E_FIN_FAILED`
    FinFailed,
    /// `E_REQ_FAILED`
    ReqFailed,
    /// `E_TOUCH_FAILED`
    TouchFailed,
}

impl ErrorCode {
    /// The code as it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadProtocol => "E_BAD_PROTOCOL",
            Self::Invalid => "E_INVALID",
            Self::BadBody => "E_BAD_BODY",
            Self::BadTopic => "E_BAD_TOPIC",
            Self::BadChannel => "E_BAD_CHANNEL",
            Self::BadMessage => "E_BAD_MESSAGE",
            Self::PubFailed => "E_PUB_FAILED",
            Self::MpubFailed => "E_MPUB_FAILED",
            Self::DpubFailed => "E_DPUB_FAILED",
            Self::SubFailed => "E_SUB_FAILED",
            Self::IdentifyFailed => "E_IDENTIFY_FAILED",
            Self::AuthDisabled => "E_AUTH_DISABLED",
            Self::AuthFailed => "E_AUTH_FAILED",
            Self::AuthFirst => "E_AUTH_FIRST",
            Self::AuthError => "E_AUTH_ERROR",
            Self::Unauthorized => "E_UNAUTHORIZED",
            Self::FinFailed => "E_FIN_FAILED",
            Self::ReqFailed => "E_REQ_FAILED",
            Self::TouchFailed => "E_TOUCH_FAILED",
        }
    }

    /// Whether the server closes the connection after sending this error.
    pub const fn is_fatal(self) -> bool {
        !matches!(self, Self::FinFailed | Self::ReqFailed | Self::TouchFailed)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_execution_are_worded_as_in_v1_3_0() {
        let topic = TopicName::parse("t").unwrap();
        let channel = ChannelName::parse("c#ephemeral").unwrap();
        let id = MessageId(*b"0123456789abcdef");
        for (error, expected) in [
            (ProtocolError::bad_protocol(), "E_BAD_PROTOCOL"),
            (ProtocolError::identify_failed("EOF"), "E_IDENTIFY_FAILED IDENTIFY failed EOF"),
            (ProtocolError::pub_failed("exiting"), "E_PUB_FAILED PUB failed exiting"),
            (ProtocolError::mpub_failed("exiting"), "E_MPUB_FAILED MPUB failed exiting"),
            (ProtocolError::dpub_failed("exiting"), "E_DPUB_FAILED DPUB failed exiting"),
            (ProtocolError::sub_failed("exiting"), "E_SUB_FAILED SUB failed exiting"),
            (
                ProtocolError::too_many_consumers(&topic, &channel, 2),
                "E_SUB_FAILED SUB failed consumers for t:c#ephemeral exceeds limit of 2",
            ),
            (ProtocolError::sub_to_deleted(), "E_SUB_FAILED SUB failed to deleted topic/channel"),
            (
                ProtocolError::fin_failed(&id, "ID not in flight"),
                "E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight",
            ),
            (
                ProtocolError::req_failed(&id, "client does not own message"),
                "E_REQ_FAILED REQ 0123456789abcdef failed client does not own message",
            ),
            (
                ProtocolError::touch_failed(&id, "ID not in flight"),
                "E_TOUCH_FAILED TOUCH 0123456789abcdef failed ID not in flight",
            ),
            (ProtocolError::auth_already_set(), "E_INVALID AUTH already set"),
            (ProtocolError::auth_disabled(), "E_AUTH_DISABLED AUTH disabled"),
            (ProtocolError::auth_failed(), "E_AUTH_FAILED AUTH failed"),
            (ProtocolError::auth_error("EOF"), "E_AUTH_ERROR AUTH error EOF"),
            (ProtocolError::no_authorizations(), "E_UNAUTHORIZED AUTH no authorizations found"),
            (ProtocolError::auth_first("MPUB"), "E_AUTH_FIRST AUTH required before MPUB"),
            (
                ProtocolError::unauthorized("SUB", &topic, Some(&channel)),
                r#"E_UNAUTHORIZED AUTH failed for SUB on "t" "c#ephemeral""#,
            ),
            (
                ProtocolError::unauthorized("PUB", &topic, None),
                r#"E_UNAUTHORIZED AUTH failed for PUB on "t" """#,
            ),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn an_id_is_repeated_as_it_was_sent() {
        let id = MessageId(*b"\xff\x00\n\x80rest of id!!");
        let sent = ProtocolError::fin_failed(&id, "ID not in flight").to_bytes();
        assert_eq!(sent, b"E_FIN_FAILED FIN \xff\x00\n\x80rest of id!! failed ID not in flight");
    }

    #[test]
    fn only_errors_about_one_message_leave_the_connection_open() {
        let id = MessageId([0; 16]);
        assert!(!ProtocolError::fin_failed(&id, "").is_fatal());
        assert!(!ProtocolError::req_failed(&id, "").is_fatal());
        assert!(!ProtocolError::touch_failed(&id, "").is_fatal());
        assert!(ProtocolError::pub_failed("").is_fatal());
        assert!(ProtocolError::auth_first("PUB").is_fatal());
    }
}
