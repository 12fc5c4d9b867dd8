//! nsqadmin's HTTP API and pages (spec nsqadmin.md, §4): all routes in one list, one file a resource.
//!
//! Handlers read their parameters, ask the cluster, and answer. What HTTP demands of every daemon is
//! [`nsq::daemon::http`].

mod channel;
mod config;
mod counter;
mod node;
mod nodes;
mod pages;
mod ping;
mod settings;
mod site;
mod told;
mod topic;
mod topics;

pub use self::site::Site;

use std::sync::Arc;

use nsq::daemon::http::{App, Routes};

/// The whole server.
pub fn app(site: Arc<Site>) -> App {
    let routes = Routes::under(&site.options.base_path)
        .get("/", pages::index)
        .get("/ping", ping::ping)
        .get("/topics", pages::index)
        .get("/topics/{topic}", pages::index)
        .get("/topics/{topic}/{channel}", pages::index)
        .get("/nodes", pages::index)
        .get("/nodes/{node}", pages::index)
        .get("/counter", pages::index)
        .get("/lookup", pages::index)
        .get("/static/{asset}", pages::asset)
        .get("/fonts/{asset}", pages::asset)
        .get("/api/settings", settings::show)
        .get("/api/topics", topics::list)
        .get("/api/topics/{topic}", topic::show)
        .get("/api/topics/{topic}/{channel}", channel::show)
        .get("/api/nodes", nodes::list)
        .get("/api/nodes/{node}", node::show)
        .get("/api/counter", counter::show)
        .get("/config/{option}", config::show)
        .put("/config/{option}", config::change);
    routes.with_state(site).finishing(|_, response| response)
}
