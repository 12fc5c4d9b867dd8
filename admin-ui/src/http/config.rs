//! `GET` and `PUT /config/{option}`: what the server runs with, and the two options that change while it does.
//!
//! A change lasts until the server stops.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use nsq::daemon::http::config::{LOG_LEVEL, addresses, invalid_option, log_level, read_value, shown};
use nsq::daemon::http::{HttpError, Path, Reply};
use nsq::daemon::options::ConfigValue;

use super::Site;
use super::visitor::Configurer;
use crate::options::PROGRAM;

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    _: Configurer,
    Path(option): Path<String>,
) -> Result<Reply, HttpError> {
    told(&site, &option)
}

pub(super) async fn change(
    State(site): State<Arc<Site>>,
    _: Configurer,
    Path(option): Path<String>,
    body: Body,
) -> Result<Reply, HttpError> {
    let value = read_value(body, VALUE_BYTES_MAX).await?;
    match option.as_str() {
        LOG_LEVEL => site.log_level.set_level(log_level(&value)?),
        LOOKUPD_ADDRESSES => drop(site.cluster.lookupds.send_replace(addresses(&value)?)),
        _ => return Err(invalid_option()),
    }
    told(&site, &option)
}

fn told(site: &Site, option: &str) -> Result<Reply, HttpError> {
    match option {
        LOG_LEVEL => return Ok(Reply::json(&site.log_level.level().number())),
        LOOKUPD_ADDRESSES => return Ok(Reply::json(&*site.cluster.lookupds.borrow())),
        _ => {}
    }
    let entry = PROGRAM.entries().find(|entry| entry.file_key().as_deref() == Some(option));
    let value = entry.and_then(|entry| site.options.value(entry.flag)).ok_or_else(invalid_option)?;
    Ok(shown(ConfigValue::from(value)))
}

const LOOKUPD_ADDRESSES: &str = "nsqlookupd_http_addresses";

/// The longest value, in bytes.
const VALUE_BYTES_MAX: usize = 1024 * 1024;
