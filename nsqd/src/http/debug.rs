//! `/debug/*`: what can be said here of pages whose formats belong to Go's runtime.
//!
//! A profile is Go's own format and is not given; the answer says so instead of showing something else.

use std::os::unix::ffi::OsStrExt;

use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use nsq::daemon::http::{Query, Reply, plain_text};
use serde::Serialize;

pub(super) async fn index() -> Response {
    page(INDEX)
}

/// The arguments the process was started with, a NUL between them.
pub(super) async fn command_line() -> Response {
    let arguments: Vec<_> = std::env::args_os().collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    page(arguments.join(&0))
}

/// What tools ask before they send addresses: yes, there are symbols.
pub(super) async fn symbols() -> Response {
    page("num_symbols: 1\n")
}

pub(super) async fn not_implemented() -> Response {
    let refusal = Refusal {
        message: "NOT_IMPLEMENTED",
        hint: "profiles in Go's format are not available; use a profiler of the system, such as perf",
    };
    (StatusCode::NOT_IMPLEMENTED, Reply::json(&refusal)).into_response()
}

/// There is no block profile; a number is accepted and nothing changes, and the answer says so.
pub(super) async fn set_block_rate(query: Query) -> Response {
    let rate = query.first("rate").unwrap_or_default();
    match rate.parse::<i64>() {
        Ok(_) => plain_text(StatusCode::OK, "no effect: there is no block profile here\n"),
        Err(_) => plain_text(
            StatusCode::BAD_REQUEST,
            format!("invalid block rate : strconv.Atoi: parsing {rate:?}: invalid syntax"),
        ),
    }
}

pub(super) async fn free_memory() -> Response {
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
Numbers about memory are in /stats; use a profiler of the system, such as perf, for the rest.
";

#[cfg(test)]
mod tests {
    use crate::http::testing::{Server, get, post, put};

    #[tokio::test]
    async fn pages_that_mean_something_here_are_given() {
        let server = Server::new();
        assert!(server.ask(get("/debug/pprof/")).await.body.contains("\ncmdline "));
        assert_eq!(server.ask(get("/debug/pprof/symbol")).await.body, "num_symbols: 1\n");
        assert_eq!(server.ask(post("/debug/pprof/symbol", "0x1")).await.body, "num_symbols: 1\n");
        let program = std::env::args().next().unwrap();
        assert!(server.ask(get("/debug/pprof/cmdline")).await.body.starts_with(&program));
        assert_eq!(server.ask(get("/debug/pprof")).await.code(), "301 ");
    }

    #[tokio::test]
    async fn go_profiles_are_refused_by_name() {
        let server = Server::new();
        for name in ["profile?seconds=1", "heap", "goroutine?debug=1", "block", "threadcreate"] {
            assert_eq!(server.ask(get(&format!("/debug/pprof/{name}"))).await.code(), "501 NOT_IMPLEMENTED");
        }
        assert_eq!(server.ask(get("/debug/pprof/trace")).await.code(), "404 NOT_FOUND");
    }

    #[tokio::test]
    async fn switches_of_gos_runtime_are_accepted() {
        let server = Server::new();
        assert_eq!(server.ask(put("/debug/setblockrate?rate=1", "")).await.status, 200);
        assert_eq!(server.ask(post("/debug/freememory", "")).await.status, 200);
        let bad = server.ask(put("/debug/setblockrate?rate=x", "")).await;
        assert_eq!(bad.body, "invalid block rate : strconv.Atoi: parsing \"x\": invalid syntax");
        assert_eq!(bad.status, 400);
    }
}
