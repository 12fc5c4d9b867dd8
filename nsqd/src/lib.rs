//! The NSQ message queue daemon.

pub mod node;
pub mod store;
pub mod tcp;

/// The version of NSQ that this daemon speaks for: clients and tools ask for it.
pub const VERSION: &str = "1.3.0";
