//! `/api/graphite` and `/render`: what Graphite knows.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use nsq::api::admin::GraphiteRate;
use nsq::daemon::http::{HttpError, Query, Remote, Reply};
use nsq::exchange::Url;
use tracing::{error, info};

use super::Site;
use super::visitor::Viewer;
use crate::graphite;

pub(super) async fn rate(State(site): State<Arc<Site>>, _: Viewer, query: Query) -> Result<Reply, HttpError> {
    let bad = |code: &'static str| HttpError::new(StatusCode::BAD_REQUEST, code);
    if query.first("metric") != Some("rate") {
        return Err(bad("INVALID_ARG_METRIC"));
    }
    let target = query.first("target").ok_or_else(|| bad("INVALID_ARG_TARGET"))?;
    let (url, interval) = (&site.options.graphite_url, site.options.statsd_interval);
    info!("GRAPHITE: {target}");
    match graphite::rate(&site.exchange, url, interval, target).await {
        Ok(rate) => Ok(Reply::json(&GraphiteRate { rate })),
        Err(why) => {
            error!("graphite request failed - {why}");
            Err(HttpError::internal_error())
        }
    }
}

pub(super) async fn render(
    State(site): State<Arc<Site>>,
    _: Viewer,
    Extension(remote): Extension<Remote>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, HttpError> {
    if !site.options.proxy_graphite {
        return Err(HttpError::not_found());
    }
    let url = Url::parse(&site.options.graphite_url).map_err(|_| HttpError::internal_error())?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let remote_ip = remote.0.parse::<SocketAddr>().map_or(remote.0, |peer| peer.ip().to_string());
    let relayed =
        graphite::relay(&site.exchange, &url, &format!("/render{query}"), &headers, &remote_ip).await;
    match relayed {
        Ok(answer) => {
            let mut response = Response::new(Body::from(answer.body));
            *response.status_mut() = answer.status;
            *response.headers_mut() = graphite::relayed(&answer.headers);
            // Whatever Graphite answers is a picture or data, no page of this server, and sets no cookies here.
            response.headers_mut().remove(SET_COOKIE);
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            Ok(response)
        }
        Err(why) => {
            error!("graphite request failed - {why}");
            Ok(StatusCode::BAD_GATEWAY.into_response())
        }
    }
}

/// What is relayed does nothing, should a browser show it by itself.
const POLICY: &str = "default-src 'none'; sandbox";
