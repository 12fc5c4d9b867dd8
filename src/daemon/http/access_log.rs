//! The access log: one line for each request, `<status> <METHOD> <uri> (<remote>) <duration>`.

use std::time::Duration;

use axum::http::{Method, StatusCode, Uri};
use tracing::{debug, info};

use crate::daemon::go_duration::GoDuration;

/// Writes the line for a request that has been answered. One that is `routine` is no news where it went well.
pub fn record(
    status: StatusCode,
    method: &Method,
    uri: &Uri,
    remote: &str,
    elapsed: Duration,
    routine: bool,
) {
    let (code, elapsed) = (status.as_u16(), GoDuration::from(elapsed));
    match routine && status.is_success() {
        true => debug!("{code} {method} {uri} ({remote}) {elapsed}"),
        false => info!("{code} {method} {uri} ({remote}) {elapsed}"),
    }
}
