//! `GET /ping` and `GET /info`: that the daemon is there, and what it is.

use axum::http::StatusCode;
use axum::response::Response;
use nsq::api::lookup::Info;
use nsq::daemon::http::{Reply, plain_text};

pub(super) async fn ping() -> Response {
    plain_text(StatusCode::OK, "OK")
}

pub(super) async fn show() -> Reply {
    Reply::json(&Info { version: crate::VERSION.to_owned() })
}
