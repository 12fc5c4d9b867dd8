//! nsqd's HTTP API (spec nsqd-http.md): all routes in one list, one file a resource.
//!
//! Handlers read their parameters, ask the node, and answer. What HTTP demands of every daemon is
//! [`nsq::daemon::http`]; what a topic is, only the node knows.

mod arguments;
mod channels;
pub mod config;
mod info;
mod ping;
mod publish;
mod stats;
mod topics;

#[cfg(test)]
mod debug_pages;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use nsq::api::info::Info;
use nsq::daemon::http::{App, Routes, debug};

use crate::node::Node;
use config::LiveConfig;

/// What the handlers work with.
pub struct HttpState {
    /// The topics.
    pub node: Arc<Node>,
    /// The line `--version` prints; `/stats` begins with it.
    pub banner: String,
    /// What `/info` shows.
    pub info: Info,
    /// What a publisher may send.
    pub limits: Limits,
    /// What `/config` shows and changes.
    pub config: LiveConfig,
}

/// What a publisher may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest message, in bytes.
    pub message_bytes_max: usize,
    /// The longest body of `/mpub`, in bytes.
    pub body_bytes_max: usize,
    /// The longest `defer`.
    pub delay_max: Duration,
}

/// The API where TLS is required and not spoken: every request is told where it is (spec nsqd-http.md, §8).
pub fn tls_required(app: App, https_port: u16) -> App {
    let json = format!("{{\"message\": \"TLS_REQUIRED\", \"https_port\": {https_port}}}");
    app.refusing(StatusCode::FORBIDDEN, json)
}

/// The whole API over one node.
pub fn app(state: HttpState) -> App {
    Routes::new(Arc::new(state))
        .post("/pub", publish::one)
        .unlogged()
        .post("/mpub", publish::many)
        .unlogged()
        .get("/ping", ping::show)
        .get("/info", info::show)
        .get("/stats", stats::show)
        .post("/topic/create", topics::create)
        .post("/topic/delete", topics::delete)
        .post("/topic/empty", topics::empty)
        .post("/topic/pause", topics::pause)
        .post("/topic/unpause", topics::unpause)
        .post("/channel/create", channels::create)
        .post("/channel/delete", channels::delete)
        .post("/channel/empty", channels::empty)
        .post("/channel/pause", channels::pause)
        .post("/channel/unpause", channels::unpause)
        .get("/config/{option}", config::show)
        .put("/config/{option}", config::change)
        .with(|routes| debug::pages(routes, "/debug/pprof/"))
        .put("/debug/setblockrate", debug::set_block_rate)
        .post("/debug/freememory", debug::free_memory)
        .app()
}
