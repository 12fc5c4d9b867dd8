//! `/debug/*`: what can be said here of pages whose formats belong to Go's runtime.
//!
//! A profile is Go's own format and is not given; the answer says so instead of showing something else.

use std::os::unix::ffi::OsStrExt;

use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{Query, Reply, Routes, plain_text};

/// Where Go has its profiles. `index` is the path of the list of them, which not all daemons end with a slash.
pub fn pages<S: Clone + Send + Sync + 'static>(routes: Routes<S>, index: &'static str) -> Routes<S> {
    let routes = routes
        .get(index, show_index)
        .unlogged()
        .get("/debug/pprof/cmdline", command_line)
        .unlogged()
        .get("/debug/pprof/symbol", symbols)
        .unlogged()
        .post("/debug/pprof/symbol", symbols)
        .unlogged();
    PROFILES.into_iter().fold(routes, |routes, profile| routes.get(profile, not_implemented).unlogged())
}

const PROFILES: [&str; 5] = [
    "/debug/pprof/profile",
    "/debug/pprof/heap",
    "/debug/pprof/goroutine",
    "/debug/pprof/block",
    "/debug/pprof/threadcreate",
];

/// What there is.
async fn show_index() -> Response {
    page(INDEX)
}

/// The arguments the process was started with, a NUL between them.
async fn command_line() -> Response {
    let arguments: Vec<_> = std::env::args_os().collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    page(arguments.join(&0))
}

/// What tools ask before they send addresses: yes, there are symbols.
async fn symbols() -> Response {
    page("num_symbols: 1\n")
}

/// A profile in Go's format.
async fn not_implemented() -> Response {
    let refusal = Refusal {
        message: "NOT_IMPLEMENTED",
        hint: "profiles in Go's format are not available; use a profiler of the system, such as perf",
    };
    (StatusCode::NOT_IMPLEMENTED, Reply::json(&refusal)).into_response()
}

/// There is no block profile; a number is accepted and nothing changes, and the answer says so.
pub async fn set_block_rate(query: Query) -> Response {
    let rate = query.first("rate").unwrap_or_default();
    match rate.parse::<i64>() {
        Ok(_) => plain_text(StatusCode::OK, "no effect: there is no block profile here\n"),
        Err(_) => plain_text(
            StatusCode::BAD_REQUEST,
            format!("invalid block rate : strconv.Atoi: parsing {rate:?}: invalid syntax"),
        ),
    }
}

/// Memory is not collected here; the answer says so.
pub async fn free_memory() -> Response {
    plain_text(StatusCode::OK, "no effect: memory is given back as it is freed\n")
}

fn page(text: impl Into<bytes::Bytes>) -> Response {
    let mut response = plain_text(StatusCode::OK, text);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An error body with a word to the reader.
#[derive(Serialize)]
struct Refusal {
    message: &'static str,
    hint: &'static str,
}

const INDEX: &str = "\
/debug/pprof/

cmdline       the command line, its arguments separated by NUL
symbol        num_symbols: 1

Profiles in Go's format (profile, heap, goroutine, block, threadcreate) are not available.
Use a profiler of the system, such as perf.
";
