//! A refusal: a status and a code, rendered as `{"message":"CODE"}`.

use std::borrow::Cow;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::reply::Reply;
use crate::api::error::ErrorBody;

/// Why a request was not carried out. The constructors are named after what happened; those that only one
/// daemon needs are made there with [`new`](HttpError::new).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    status: StatusCode,
    message: Cow<'static, str>,
}

impl HttpError {
    /// A refusal with any status and code.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into() }
    }

    /// 400: the query cannot be read.
    pub fn invalid_request() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST")
    }

    /// 400: the parameter `topic` is missing.
    pub fn missing_topic() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MISSING_ARG_TOPIC")
    }

    /// 400: the parameter `topic` is no valid name, where a channel is named too.
    pub fn invalid_topic_argument() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_ARG_TOPIC")
    }

    /// 400: the parameter `channel` is missing.
    pub fn missing_channel() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MISSING_ARG_CHANNEL")
    }

    /// 400: the parameter `channel` is no valid name.
    pub fn invalid_channel_argument() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_ARG_CHANNEL")
    }

    /// 404: no such path.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND")
    }

    /// 404: there is no topic of that name.
    pub fn topic_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND")
    }

    /// 404: the topic has no channel of that name.
    pub fn channel_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "CHANNEL_NOT_FOUND")
    }

    /// 405: the path exists, but not for this method.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED")
    }

    /// 500: our fault, or the request broke off.
    pub fn internal_error() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR")
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The code, as the client gets it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let reply = Reply::json(&ErrorBody { message: self.message.into_owned() });
        (self.status, reply).into_response()
    }
}
