//! `GET /ping`: that the server is there.

use axum::http::StatusCode;
use axum::response::Response;
use nsq::daemon::http::plain_text;

pub(super) async fn ping() -> Response {
    plain_text(StatusCode::OK, "OK")
}
