//! The protocol V1 (`  V1`), in which nsqd registers with nsqlookupd (spec nsqlookupd.md, §5).
//!
//! What both ends share: the [`Command`]s, the [`Identity`] a daemon sends and the [`Answer`] it gets, and the form of
//! responses. A response is a size and that many bytes, without a type: that something is an error shows only in its
//! text, and every error is followed by the end of the connection.

mod answer;
mod command;
mod identity;
mod response;

pub use answer::{Answer, InvalidAnswer, dialled_address};
pub use command::{Command, Registration};
pub use identity::{Identity, InvalidIdentity};
pub use response::{InvalidResponse, take_response, write_response};

/// What a client sends first, once: two spaces and the version of the protocol.
pub const MAGIC_V1: &[u8; 4] = b"  V1";

/// The response to a command that was carried out and has nothing else to say.
pub const OK: &[u8] = b"OK";
