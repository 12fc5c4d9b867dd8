//! `/api/live`: the overview as it changes, as server-sent events. All viewers are told the same, made once.
//!
//! First comes the event `overview` with everything, then an `update` each time the nodes were asked. A viewer who cannot
//! keep up is given an `overview` again.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use nsq::api::json::to_go_json;
use nsq::daemon::http::{HttpError, Query};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::Site;
use super::overview::number;
use super::visitor::Viewer;
use crate::overview::SPARK_MAX;
use crate::sampler::Sampled;

/// How many may watch at the same time.
const VIEWERS_MAX: usize = 256;

/// How many events may wait for a viewer's connection.
const WAITING_MAX: usize = 2;

/// `spark=N` gives each row of the event `overview` its newest N depths.
pub(super) async fn watch(
    State(site): State<Arc<Site>>,
    _: Viewer,
    query: Query,
) -> Result<Response, HttpError> {
    let spark = number(&query, "spark")?.unwrap_or(0).min(SPARK_MAX);
    let sampled = Arc::clone(site.sampled()?);
    if sampled.viewers() >= VIEWERS_MAX {
        return Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_VIEWERS"));
    }
    let (say, said) = mpsc::channel(WAITING_MAX);
    let stopping = site.stopping();
    tokio::spawn(async move {
        tokio::select! {
            () = tell(&sampled, spark, &say) => {}
            () = say.closed() => {}
            () = stopping => {}
        }
    });
    let mut response = Response::new(Body::new(Events(said)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy is to pass each event on at once.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// Tells a viewer until he is gone.
async fn tell(sampled: &Sampled, spark: usize, say: &mpsc::Sender<Bytes>) {
    let mut updates = sampled.updates();
    let mut is_behind = true;
    loop {
        if is_behind {
            let overview = to_go_json(&sampled.overview(spark).await);
            if say.send(event("overview", &overview)).await.is_err() {
                return;
            }
            is_behind = false;
        }
        match updates.recv().await {
            Ok(update) => {
                if say.send(event("update", &update)).await.is_err() {
                    return;
                }
            }
            Err(RecvError::Lagged(_)) => is_behind = true,
            Err(RecvError::Closed) => return,
        }
    }
}

/// JSON as Go writes it has no line breaks.
fn event(name: &str, json: &[u8]) -> Bytes {
    [b"event: ", name.as_bytes(), b"\ndata: ", json, b"\n\n"].concat().into()
}

struct Events(mpsc::Receiver<Bytes>);

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
