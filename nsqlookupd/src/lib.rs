//! The NSQ lookup daemon: nsqd instances say what topics they have, consumers ask who has one.
//!
//! What is known stands in [`registry`], which knows no socket and no clock. The rest connects it to the world:
//! [`tcp`] to those who register, [`http`] to those who ask. Nothing is kept over a restart: every nsqd registers
//! again when it has reconnected.

mod daemon;
pub mod directory;
pub mod http;
pub mod options;
pub mod registry;
pub mod tcp;

pub use daemon::{StartError, run, serve};
pub use nsq::daemon::version::NSQ_VERSION as VERSION;
