//! The NSQ admin server: what is in all nsqd of a cluster, what is wrong there, and the means to mend it.
//!
//! [`cluster`] asks the nodes, all at the same time, and makes one picture of their answers; [`actions`] lets them do
//! something. The [`sampler`] asks them again and again, and [`overview`] and [`history`] make of that what is wrong and what
//! was. [`http`] offers all of it as JSON, and the page that shows it, to whom [`access`] lets. Nothing here is on the way of
//! a message: a cluster does without this server.

pub mod access;
pub mod actions;
pub mod assets;
pub mod cidr;
pub mod cluster;
mod daemon;
pub mod graphite;
pub mod history;
pub mod http;
pub mod notify;
pub mod options;
pub mod overview;
pub mod sampler;
#[cfg(test)]
mod samples;
mod shown;

pub use daemon::{StartError, run, serve};
pub use nsq::daemon::version::NSQ_VERSION as VERSION;
