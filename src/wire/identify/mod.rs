//! `IDENTIFY`: what a client says of itself and asks for, and what it gets (spec nsqd-tcp.md, §3).
//!
//! A [`Request`] is parsed (row 6 of the table), applied to the connection's [`Settings`] within
//! [`IdentifyLimits`] (rows 7 to 11), and brought together with the server's [`Offer`] (rows 12 and 13);
//! the [`Response`] says what came out (row 14). Who upgrades the connection, and how, is not known here.

mod negotiate;
mod request;
mod response;
mod settings;

pub use negotiate::{Agreement, Compression, Offer};
pub use request::Request;
pub use response::Response;
pub use settings::{IdentifyLimits, Settings};
