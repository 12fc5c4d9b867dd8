//! The NSQ message queue daemon.

pub mod store;
