//! What every answer goes through at last: what a browser may make of it, and how small it is.

use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use super::compression::compressed;

/// The answer, taken for nothing else than it is. One that is private, and says nothing else itself, is kept by nobody.
pub(super) fn finished(request: &HeaderMap, mut response: Response, is_private: bool) -> Response {
    let headers = response.headers_mut();
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    if is_private {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    compressed(request, response)
}
