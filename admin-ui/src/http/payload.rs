//! The JSON that a request brings.

use axum::body::Body;
use axum::http::StatusCode;
use nsq::daemon::http::{BodyError, HttpError, read_body};
use serde::de::DeserializeOwned;

/// The longest body of a request, in bytes: a message of the size that nsqd takes by default, and what JSON makes of it.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The first JSON value of the body; like v1.3.0, nothing behind it is looked at.
pub(super) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, HttpError> {
    read_up_to(BODY_BYTES_MAX, body).await
}

/// The same, of a body of so many bytes at most.
pub(super) async fn read_up_to<T: DeserializeOwned>(bytes_max: usize, body: Body) -> Result<T, HttpError> {
    let bytes = read_body(body, bytes_max).await.map_err(|error| match error {
        BodyError::TooBig { .. } => HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_BIG"),
        BodyError::Broken(_) => HttpError::internal_error(),
    })?;
    let mut values = serde_json::Deserializer::from_slice(&bytes).into_iter::<T>();
    let bad = |text: String| HttpError::new(StatusCode::BAD_REQUEST, text);
    match values.next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(bad(error.to_string())),
        None => Err(bad("EOF".to_owned())),
    }
}
