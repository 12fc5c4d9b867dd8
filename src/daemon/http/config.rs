//! `/config/{option}`: what may be put there, and how an option is told. Which options there are, and what follows from a
//! change, is each daemon's.

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;

use super::{BodyError, HttpError, Reply, read_body};
use crate::daemon::logging::Level;
use crate::daemon::options::ConfigValue;

/// The option that is told as NSQ's number and put as a word.
pub const LOG_LEVEL: &str = "log_level";

/// What is put, of so many bytes at most.
///
/// # Errors
/// It is empty, larger, or broke off.
pub async fn read_value(body: Body, bytes_max: usize) -> Result<Bytes, HttpError> {
    match read_body(body, bytes_max).await {
        Ok(value) if !value.is_empty() => Ok(value),
        Ok(_) | Err(BodyError::TooBig { .. }) => {
            Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "INVALID_VALUE"))
        }
        Err(BodyError::Broken(_)) => Err(HttpError::internal_error()),
    }
}

/// A level of the log, by its name.
///
/// # Errors
/// There is none of that name.
pub fn log_level(value: &Bytes) -> Result<Level, HttpError> {
    let word = std::str::from_utf8(value).map_err(|_| invalid_value())?;
    word.parse().map_err(|_| invalid_value())
}

/// A list of addresses, or `null`. A `null` in the list is an empty text, as Go reads it.
///
/// # Errors
/// It is neither.
pub fn addresses(value: &Bytes) -> Result<Option<Vec<String>>, HttpError> {
    let addresses: Option<Vec<Option<String>>> =
        serde_json::from_slice(value).map_err(|_| invalid_value())?;
    Ok(addresses.map(|addresses| addresses.into_iter().map(Option::unwrap_or_default).collect()))
}

/// An option as it is told.
#[must_use]
pub fn shown(value: ConfigValue) -> Reply {
    match value {
        ConfigValue::Text(text) => Reply::Text(text.into()),
        ConfigValue::Json(value) => Reply::json(&value),
    }
}

/// 400: it cannot have that value.
#[must_use]
pub fn invalid_value() -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "INVALID_VALUE")
}

/// 400: there is none of that name, or it does not change.
#[must_use]
pub fn invalid_option() -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "INVALID_OPTION")
}
