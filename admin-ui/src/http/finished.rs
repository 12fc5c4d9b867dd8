//! What every answer goes through at last: what a browser may make of it, and how small it is.

use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use super::compression::compressed;

/// Marks an answer that is the same for everybody, whoever he is: it may be kept as it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct ForEverybody;

/// The answer, taken for nothing else than it is. Where answers are private, nobody keeps one, whatever it says itself: not the
/// index, which holds settings, nor what Graphite would let everybody keep.
pub(super) fn finished(request: &HeaderMap, mut response: Response, is_private: bool) -> Response {
    let headers = response.headers_mut();
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    if is_private && response.extensions().get::<ForEverybody>().is_none() {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    compressed(request, response)
}
