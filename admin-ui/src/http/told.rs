//! Answers that say who failed, and the refusals that only this server has.

use axum::http::StatusCode;
use nsq::api::admin::Told;
use nsq::daemon::http::{HttpError, Reply};
use serde::Serialize;

use crate::cluster::{Failures, NobodyAnswered};

/// The body, and who failed.
pub(super) fn told(body: impl Serialize, failures: &Failures) -> Reply {
    Reply::json(&Told { body, message: failures.message(), warnings: failures.warnings() })
}

/// 502: nobody could be asked.
pub(super) fn nobody_answered(why: NobodyAnswered) -> HttpError {
    HttpError::new(StatusCode::BAD_GATEWAY, format!("UPSTREAM_ERROR: {why}"))
}

/// 404: no such node is known.
pub(super) fn node_not_found() -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "NODE_NOT_FOUND")
}

/// The time in Unix seconds.
pub(super) fn now_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
