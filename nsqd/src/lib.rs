//! The NSQ message queue daemon: topics and channels behind the V2 protocol and HTTP.
//!
//! What a topic *is* stands in the crate `nsqd_broker`, which knows no socket, disk or clock. This crate connects
//! it to the world; ARCHITECTURE.md is the map.

pub mod auth;
mod certificates;
mod daemon;
pub mod data_dir;
pub mod http;
pub mod import;
pub mod inspect;
pub mod lookup;
pub mod metrics;
pub mod node;
pub mod options;
pub mod store;
pub mod tcp;
pub mod topology_file;

pub use daemon::{StartError, run, serve};
pub use nsq::daemon::version::NSQ_VERSION as VERSION;
