//! nsqlookupd's HTTP API (spec nsqlookupd.md, §7): all routes in one list, one file a resource.
//!
//! Handlers read their parameters, ask the directory, and answer. What HTTP demands of every daemon is
//! [`nsq::daemon::http`]; who has which topic, only the [registry](crate::registry) knows.

mod channels;
mod database;
mod info;
mod lookup;
mod nodes;
mod topics;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use axum::http::StatusCode;
use nsq::daemon::http::{App, HttpError, Routes, debug};

use crate::directory::Directory;
use crate::registry::Full;

/// The whole API over one directory.
pub fn app(directory: Arc<Directory>) -> App {
    Routes::new(directory)
        .get("/ping", info::ping)
        .get("/info", info::show)
        .get("/debug", database::show)
        .get("/lookup", lookup::show)
        .get("/topics", topics::list)
        .get("/channels", channels::list)
        .get("/nodes", nodes::list)
        .post("/topic/create", topics::create)
        .post("/topic/delete", topics::delete)
        .post("/channel/create", channels::create)
        .post("/channel/delete", channels::delete)
        .post("/topic/tombstone", topics::tombstone)
        .with(|routes| debug::pages(routes, "/debug/pprof"))
        .app()
}

/// 503: nothing more can be registered. (v1.3.0 has no limit.)
fn no_room(full: Full) -> HttpError {
    tracing::error!("DB: nothing was added - {full}");
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_REGISTRATIONS")
}
