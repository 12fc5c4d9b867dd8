//! The access log: one line for each request, `<status> <METHOD> <uri> (<remote>) <duration>`.

use std::time::Duration;

use axum::http::{Method, StatusCode, Uri};
use tracing::info;

use crate::daemon::go_duration::GoDuration;

/// Writes the line for a request that has been answered.
pub fn record(status: StatusCode, method: &Method, uri: &Uri, remote: &str, elapsed: Duration) {
    info!("{} {method} {uri} ({remote}) {}", status.as_u16(), GoDuration::from(elapsed));
}
