//! The access log: one line for each request, `<status> <METHOD> <uri> (<remote>) <duration>`.

use std::time::Instant;

use axum::http::{Method, Request, StatusCode, Uri};
use tracing::{debug, info};

use crate::api::WATCHER;
use crate::daemon::go_duration::GoDuration;

/// A request whose answer will make a line.
pub(super) struct Entry {
    method: Method,
    uri: Uri,
    /// What is asked again and again is no news where it goes well.
    is_routine: bool,
    begun: Instant,
}

impl Entry {
    /// The entry of a request that is about to be answered.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            is_routine: request.method() == Method::GET && request.headers().contains_key(WATCHER),
            begun: Instant::now(),
        }
    }

    /// Writes the line: the request of the peer called `remote` was answered with this status.
    pub(super) fn write(self, status: StatusCode, remote: &str) {
        let Self { method, uri, is_routine, begun } = self;
        let (code, elapsed) = (status.as_u16(), GoDuration::from(begun.elapsed()));
        match is_routine && status.is_success() {
            true => debug!("{code} {method} {uri} ({remote}) {elapsed}"),
            false => info!("{code} {method} {uri} ({remote}) {elapsed}"),
        }
    }
}
