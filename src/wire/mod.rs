//! The NSQ protocol V2 (`  V2`): bytes to commands, frames to bytes.
//!
//! Pure: nothing here reads a socket or a clock, and nothing here knows what a topic holds.

pub mod message;
pub mod name;
