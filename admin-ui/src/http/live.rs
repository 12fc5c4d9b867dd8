//! `/api/live`: the overview as it changes, as server-sent events. All viewers are told the same, made once.
//!
//! First comes the event `overview` with everything, then an `update` each time the nodes were asked. A viewer who cannot
//! keep up is given an `overview` again; one whose session has ended is told nothing more.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use nsq::daemon::http::HttpError;
use tokio::sync::mpsc;

use super::Site;
use super::compression::wanted;
use super::visitor::Viewer;
use crate::sampler::{GZIP_HEAD, Sampled};

/// How many events may wait for a viewer's connection.
const WAITING_MAX: usize = 2;

/// Each row of the event `overview` has its newest depths.
pub(super) async fn watch(
    State(site): State<Arc<Site>>,
    _: Viewer,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let sampled = Arc::clone(site.sampled()?);
    let full = || HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_VIEWERS");
    let seat = sampled.seat().ok_or_else(full)?;
    let encoding = wanted(&headers);
    let (say, said) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        let stopping = site.stopping();
        // Looking counts as using a session.
        let may_look = || site.visitor(&headers).is_some();
        tokio::select! {
            () = tell(&sampled, encoding, may_look, &say) => {}
            () = say.closed() => {}
            () = stopping => {}
        }
        drop(seat);
    });
    let mut response = Response::new(Body::new(Events(said)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    // A proxy is to pass each event on at once.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// Tells a viewer until he is gone, or may not look any more.
async fn tell(
    sampled: &Sampled,
    encoding: Option<&str>,
    may_look: impl Fn() -> bool,
    say: &mpsc::Sender<Bytes>,
) {
    if encoding == Some("gzip") && say.send(Bytes::from_static(&GZIP_HEAD)).await.is_err() {
        return;
    }
    loop {
        let (overview, mut updates) = sampled.watch().await;
        let mut next = Ok(overview);
        while let Ok(event) = next {
            let bytes = if encoding.is_some() { event.deflated } else { event.plain };
            if !may_look() || say.send(bytes).await.is_err() {
                return;
            }
            next = updates.recv().await;
        }
        // He cannot keep up.
    }
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
