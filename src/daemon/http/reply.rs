//! A success, in the three forms the daemons give: nothing, text, JSON.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use crate::api::json::to_go_json;

/// A successful answer. It carries the version header; what must not is [`plain_text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// 200 without a body or a content type.
    Empty,
    /// 200 with text. Empty text has no content type.
    Text(Bytes),
    /// 200 with JSON that has been written already.
    Json(Bytes),
}

impl Reply {
    /// The text `OK`.
    pub fn ok() -> Self {
        Self::Text(Bytes::from_static(b"OK"))
    }

    /// The value as Go would write it.
    pub fn json(value: &impl Serialize) -> Self {
        Self::Json(to_go_json(value).into())
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = match self {
            Reply::Empty => Response::new(Body::empty()),
            Reply::Text(text) => plain_text(StatusCode::OK, text),
            Reply::Json(json) => with_content_type(json, "application/json; charset=utf-8"),
        };
        response.headers_mut().insert(VERSION_HEADER, HeaderValue::from_static("nsq; version=1.0"));
        response
    }
}

/// Text without the version header, as `/ping` and the debug pages give it.
pub fn plain_text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let text = text.into();
    let mut response = match text.is_empty() {
        true => Response::new(Body::empty()),
        false => with_content_type(text, "text/plain; charset=utf-8"),
    };
    *response.status_mut() = status;
    response
}

fn with_content_type(body: Bytes, content_type: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Which form of the API an answer has. On the wire it is spelled `X-Nsq-Content-Type`.
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-nsq-content-type");
