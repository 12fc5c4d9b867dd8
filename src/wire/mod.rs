//! The NSQ protocol V2 (`  V2`): bytes to commands, frames to bytes.
//!
//! Pure: nothing here reads a socket or a clock, and nothing here knows what a topic holds. Bytes that
//! came from a peer are judged here, once; what leaves this module as a value cannot be wrong.
//!
//! A server feeds what it has read to a [`decoder::Decoder`] and gets [`command::Command`]s, or a
//! [`error::ProtocolError`] with the exact words of v1.3.0; it answers with [`frame`]s and
//! [`message`]s. [`identify`] knows what a client may ask for in `IDENTIFY`. A client writes commands
//! with [`encode`] and reads [`frame::Frame`]s.
//!
//! The protocol that daemons speak with nsqlookupd is another, and much smaller: [`lookup`].

pub mod command;
pub mod decoder;
pub mod encode;
pub mod error;
pub mod frame;
pub mod go_json;
pub mod identify;
pub mod lookup;
pub mod message;
pub mod messages;
pub mod name;

mod head;
mod quote;
mod sized;

/// What a client sends first, once: two spaces and the version of the protocol.
pub const MAGIC_V2: &[u8; 4] = b"  V2";
