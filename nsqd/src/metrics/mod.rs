//! What the daemon shows of itself: one walk over topics and connections gives a [`snapshot`], and pure
//! renderers make of it what is asked for.
//!
//! `snapshot` is plain data and the filter of `/stats`; `json` and `text` are the two forms of `/stats`;
//! `statsd` makes lines and datagrams, `statsd_push` sends them; `memory` asks the system what the process
//! uses. None of them takes a lock or knows where the numbers come from.

pub mod json;
pub mod memory;
pub mod snapshot;
pub mod statsd;
pub mod statsd_push;
pub mod text;

#[cfg(test)]
mod sample;
