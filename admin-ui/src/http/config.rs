//! `GET` and `PUT /config/{option}`: what the server runs with, and the two options that change while it does.
//!
//! A change lasts until the server stops.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use bytes::Bytes;
use nsq::daemon::http::{BodyError, HttpError, Path, Reply, read_body};
use nsq::daemon::options::ConfigValue;

use super::Site;
use super::visitor::Configurer;
use crate::options::PROGRAM;

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    _: Configurer,
    Path(option): Path<String>,
) -> Result<Reply, HttpError> {
    shown(&site, &option)
}

pub(super) async fn change(
    State(site): State<Arc<Site>>,
    _: Configurer,
    Path(option): Path<String>,
    body: Body,
) -> Result<Reply, HttpError> {
    let value = match read_body(body, VALUE_BYTES_MAX).await {
        Ok(value) if !value.is_empty() => value,
        Ok(_) | Err(BodyError::TooBig { .. }) => {
            return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "INVALID_VALUE"));
        }
        Err(BodyError::Broken(_)) => return Err(HttpError::internal_error()),
    };
    match option.as_str() {
        LOG_LEVEL => {
            let word = std::str::from_utf8(&value).map_err(|_| invalid_value())?;
            site.log_level.set_level(word.parse().map_err(|_| invalid_value())?);
        }
        LOOKUPD_ADDRESSES => drop(site.cluster.lookupds.send_replace(addresses(&value)?)),
        _ => return Err(invalid_option()),
    }
    shown(&site, &option)
}

fn shown(site: &Site, option: &str) -> Result<Reply, HttpError> {
    match option {
        LOG_LEVEL => return Ok(Reply::json(&site.log_level.level().number())),
        LOOKUPD_ADDRESSES => return Ok(Reply::json(&*site.cluster.lookupds.borrow())),
        _ => {}
    }
    let entry = PROGRAM.entries().find(|entry| entry.file_key().as_deref() == Some(option));
    let value = entry.and_then(|entry| site.options.value(entry.flag)).ok_or_else(invalid_option)?;
    Ok(match ConfigValue::from(value) {
        ConfigValue::Text(text) => Reply::Text(text.into()),
        ConfigValue::Json(value) => Reply::json(&value),
    })
}

/// A `null` in the list is an empty text, as Go reads it.
fn addresses(value: &Bytes) -> Result<Option<Vec<String>>, HttpError> {
    let addresses: Option<Vec<Option<String>>> =
        serde_json::from_slice(value).map_err(|_| invalid_value())?;
    Ok(addresses.map(|addresses| addresses.into_iter().map(Option::unwrap_or_default).collect()))
}

fn invalid_value() -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "INVALID_VALUE")
}

fn invalid_option() -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "INVALID_OPTION")
}

const LOG_LEVEL: &str = "log_level";
const LOOKUPD_ADDRESSES: &str = "nsqlookupd_http_addresses";

/// The longest value, in bytes.
const VALUE_BYTES_MAX: usize = 1024 * 1024;
