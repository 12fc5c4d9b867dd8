//! nsqadmin's HTTP API and pages (spec nsqadmin.md, §4): all routes in one list, one file a resource.
//!
//! Handlers read their parameters, ask the cluster, and answer. What HTTP demands of every daemon is
//! [`nsq::daemon::http`].

mod changes;
mod channel;
mod compression;
mod config;
mod counter;
mod finished;
mod graphite;
mod history;
mod live;
mod node;
mod nodes;
mod overview;
mod pages;
mod payload;
mod ping;
mod session;
mod settings;
mod site;
mod told;
mod topic;
mod topics;
mod visitor;

pub use self::site::Site;

use std::sync::Arc;

use axum::http::HeaderMap;
use nsq::daemon::http::{App, Routes};

/// The whole server.
pub fn app(site: Arc<Site>) -> App {
    // What only those see who logged in is not for whoever uses the browser next.
    let is_private = site.access.has_login();
    let finish = move |request: &HeaderMap, response| finished::finished(request, response, is_private);
    Routes::under(&site.options.base_path, Arc::clone(&site))
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
        .get("/render", graphite::render)
        .get("/api/settings", settings::show)
        .get("/api/session", session::show)
        .post("/api/session", session::log_in)
        .delete("/api/session", session::log_out)
        .get("/api/topics", topics::list)
        .post("/api/topics", changes::create)
        .get("/api/topics/{topic}", topic::show)
        .post("/api/topics/{topic}", changes::change_topic)
        .delete("/api/topics/{topic}", changes::delete_topic)
        .get("/api/topics/{topic}/{channel}", channel::show)
        .post("/api/topics/{topic}/{channel}", changes::change_channel)
        .delete("/api/topics/{topic}/{channel}", changes::delete_channel)
        .post("/api/messages/{topic}", changes::publish)
        .get("/api/nodes", nodes::list)
        .get("/api/nodes/{node}", node::show)
        .delete("/api/nodes/{node}", changes::tombstone)
        .get("/api/counter", counter::show)
        .get("/api/graphite", graphite::rate)
        .get("/api/overview", overview::show)
        .get("/api/live", live::watch)
        .get("/api/history", history::show)
        .get("/config/{option}", config::show)
        .put("/config/{option}", config::change)
        .app()
        .finishing(finish)
}
