//! `GET /ping`: whether the daemon is well, for load balancers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use nsq::daemon::http::plain_text;

use super::HttpState;
use crate::metrics::json::health_text;

pub(super) async fn show(State(state): State<Arc<HttpState>>) -> Response {
    let health = state.node.health();
    let status = if health.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    plain_text(status, health_text(&health))
}
