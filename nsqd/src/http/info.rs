//! `GET /info`: who this daemon is.

use std::sync::Arc;

use axum::extract::State;
use nsq::daemon::http::Reply;

use super::HttpState;

pub(super) async fn show(State(state): State<Arc<HttpState>>) -> Reply {
    Reply::json(&state.info)
}
