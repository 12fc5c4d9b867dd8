//! `/api/overview`: is anything wrong?

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use nsq::daemon::http::{HttpError, Query, Reply};

use super::Site;
use super::compression::wanted;
use super::visitor::Viewer;
use crate::overview::SPARK_MAX;
use crate::sampler::Page;

/// What is asked for without parameters is made once for all who ask until the next tick. `spark=N` gives each row its newest N depths, `topic=NAME` only the rows of that topic, `filter=TEXT` only those whose
/// topic or channel holds the text, `limit` and `offset` a part of them.
pub(super) async fn show(
    State(site): State<Arc<Site>>,
    _: Viewer,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, HttpError> {
    if query == Query::default() {
        return Ok(whole(site.sampled()?.page().await, &headers));
    }
    let spark = number(&query, "spark")?.unwrap_or(0).min(SPARK_MAX);
    let (offset, limit) = (number(&query, "offset")?.unwrap_or(0), number(&query, "limit")?);
    let mut told = site.sampled()?.overview(spark).await;
    let rows = &mut told.body.channels;
    if let Some(topic) = query.first("topic") {
        rows.retain(|row| row.topic == topic);
    }
    if let Some(filter) = query.first("filter").map(str::to_lowercase) {
        let holds = |name: &str| name.to_lowercase().contains(&filter);
        rows.retain(|row| holds(&row.topic) || row.channel.as_deref().is_some_and(holds));
    }
    rows.drain(..offset.min(rows.len()));
    rows.truncate(limit.unwrap_or(usize::MAX));
    Ok(Reply::json(&told).into_response())
}

fn whole(page: Page, request: &HeaderMap) -> Response {
    if wanted(request) != Some("gzip") {
        return Reply::Json(page.plain).into_response();
    }
    let mut response = Reply::Json(page.gzipped).into_response();
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

/// A parameter that is a number.
pub(super) fn number(query: &Query, key: &'static str) -> Result<Option<usize>, HttpError> {
    let invalid = || HttpError::new(StatusCode::BAD_REQUEST, format!("INVALID_ARG_{}", key.to_uppercase()));
    query.first(key).map(|text| text.parse().map_err(|_| invalid())).transpose()
}
