//! An app: one request in, one response out, by the conventions every daemon shares. No socket is involved.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, EXPECT, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Body as HttpBody;
use hyper::ext::ReasonPhrase;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use tracing::error;

use super::access_log::Entry;
use super::body::SharedBody;
use super::error::HttpError;
use super::parameters::Parameters;
use super::reply::{Reply, plain_text};
use super::routes::{Answering, Resolution, Table};

/// A daemon's routes with the state their handlers need. Clones are cheap and the same app.
#[derive(Clone)]
pub struct App {
    table: Arc<Table>,
    /// What everybody is told instead, if nothing is served here.
    refusal: Option<Refusal>,
    /// What each answer goes through at last, given the headers of its request.
    finish: Option<Arc<Finish>>,
}

type Finish = dyn Fn(&HeaderMap, Response) -> Response + Send + Sync;

/// The address of the peer that sent a request, `ip:port`: an extension of the request, for handlers that ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote(pub String);

/// A status, and a body of JSON.
type Refusal = (StatusCode, Bytes);

impl App {
    pub(super) fn new(table: Table) -> Self {
        Self { table: Arc::new(table), refusal: None, finish: None }
    }

    /// The app where it is not served: every request, whatever it is, is answered with this status and JSON.
    #[must_use]
    pub fn refusing(self, status: StatusCode, json: impl Into<Bytes>) -> Self {
        Self { refusal: Some((status, json.into())), ..self }
    }

    /// The app whose handlers are told who asks, as an extension ([`Remote`]), and whose answers all go through `finish`,
    /// which is given the headers of the request too.
    #[must_use]
    pub fn finishing(
        self,
        finish: impl Fn(&HeaderMap, Response) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self { finish: Some(Arc::new(finish)), ..self }
    }

    /// Answers one request of the peer called `remote`. A handler that panics is a 500 and nothing more.
    pub async fn handle<B>(&self, request: Request<B>, remote: &str) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let resolution = self.table.resolve(request.method(), request.uri());
        let entry = self.is_logged(&resolution).then(|| Entry::of(&request));
        let waits_for_continue = request.headers().contains_key(EXPECT);
        let (head, body) = request.into_parts();
        let body = SharedBody::new(body);

        let mut request = Request::from_parts(head, Body::new(body.handle()));
        let asked = self.finish.as_ref().map(|finish| {
            request.extensions_mut().insert(Remote(remote.to_owned()));
            (finish, request.headers().clone())
        });
        let mut response = self.answer(resolution, request).await;
        if let Some((finish, headers)) = asked {
            response = finish(&headers, response);
        }
        if let Some(entry) = entry {
            entry.write(response.status(), remote);
        }

        if !body.clear(waits_for_continue).await {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
            // The phrase of NSQ v1.3.0, which is the older one.
            response.extensions_mut().insert(ReasonPhrase::from_static(b"Request Entity Too Large"));
        }
        response
    }

    fn is_logged(&self, resolution: &Resolution<'_>) -> bool {
        self.refusal.is_none()
            && match resolution {
                Resolution::Found { route, .. } => route.logged,
                Resolution::MethodNotAllowed { .. } | Resolution::NotFound => true,
                Resolution::Redirect { .. } | Resolution::Options { .. } | Resolution::Malformed => false,
            }
    }

    async fn answer(&self, resolution: Resolution<'_>, mut request: Request<Body>) -> Response {
        if let Some((status, json)) = &self.refusal {
            let mut response = Reply::Json(json.clone()).into_response();
            *response.status_mut() = *status;
            return response;
        }
        match resolution {
            Resolution::Found { route, parameters } => {
                if !parameters.is_empty() {
                    request.extensions_mut().insert(Parameters(parameters));
                }
                contained((route.answer)(request)).await
            }
            Resolution::Redirect { location } => redirect(request.method(), &location),
            Resolution::Options { allow } if allow.is_empty() => Response::new(Body::empty()),
            Resolution::Options { allow } => with_allow(Response::new(Body::empty()), &allow),
            Resolution::MethodNotAllowed { allow } => {
                with_allow(HttpError::method_not_allowed().into_response(), &allow)
            }
            Resolution::NotFound => HttpError::not_found().into_response(),
            Resolution::Malformed => malformed("400 Bad Request"),
        }
    }
}

/// The answer to what is no HTTP request. The connection ends with it.
pub(super) fn malformed(text: &'static str) -> Response {
    let mut response = plain_text(StatusCode::BAD_REQUEST, text);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Runs a handler to its end. Its panic ends here.
async fn contained(mut answer: Answering) -> Response {
    let outcome = std::future::poll_fn(|cx| {
        // Nothing the handler has borrowed is looked at again after a panic: the future is dropped.
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => Poll::Ready(Ok(response)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    });
    outcome.await.unwrap_or_else(|panic| {
        error!("panic in HTTP handler - {}", panic_text(&*panic));
        HttpError::internal_error().into_response()
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no text",
    }
}

fn with_allow(mut response: Response, allow: &str) -> Response {
    let allow = HeaderValue::from_str(allow).expect("method names are tokens");
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// A `GET` moves for good and gets a page that says so; another method is to be repeated as it is.
fn redirect(method: &Method, location: &str) -> Response {
    let location = utf8_percent_encode(location, CONTROLS).to_string();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if method == Method::GET {
        *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        let page = format!("<a href=\"{}\">Moved Permanently</a>.\n\n", escape_html(&location));
        *response.body_mut() = Body::from(page);
    }
    put_location(response.headers_mut(), &location);
    response
}

fn put_location(headers: &mut HeaderMap, location: &str) {
    let value = HeaderValue::from_str(location).expect("what is not visible ASCII has been escaped");
    headers.insert(LOCATION, value);
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::State;
    use axum::http::header::CONTENT_LENGTH;

    use crate::daemon::http::{Path, Query, Reply, Routes, read_body};

    fn app() -> App {
        Routes::new(5)
            .get("/ping", || async { plain_text(StatusCode::OK, "OK") })
            .get("/panic", panicking)
            .get("/config/{option}", |Path(option): Path<String>| async move { Reply::Text(option.into()) })
            .get("/query", |query: Query| async move {
                Reply::Text(query.first("a").unwrap_or_default().to_owned().into())
            })
            .post("/create", || async { Reply::Empty })
            .post("/read", |State(limit): State<usize>, body: Body| async move {
                read_body(body, limit)
                    .await
                    .map(Reply::Text)
                    .map_err(|_| HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_BIG"))
            })
            .unlogged()
            .app()
    }

    async fn panicking() -> Reply {
        panic!("on purpose")
    }

    /// The response's head, header names sorted, and body, in one text.
    async fn ask(request: &str, body: &'static str) -> String {
        let (method, target) = request.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(target).body(Body::from(body)).unwrap();
        let response = app().handle(request, "peer").await;
        let mut lines = vec![response.status().as_u16().to_string()];
        let headers = response.headers().iter().filter(|(name, _)| *name != CONTENT_LENGTH);
        let mut headers: Vec<_> =
            headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        headers.sort();
        lines.append(&mut headers);
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        lines.push(String::from_utf8(body.into()).unwrap());
        lines.join("|")
    }

    const JSON: &str = "content-type: application/json; charset=utf-8|x-nsq-content-type: nsq; version=1.0";
    const TEXT: &str = "content-type: text/plain; charset=utf-8";

    #[tokio::test]
    async fn each_form_of_a_success_has_its_headers() {
        assert_eq!(ask("GET /ping", "").await, format!("200|{TEXT}|OK"));
        assert_eq!(ask("POST /create", "").await, "200|x-nsq-content-type: nsq; version=1.0|");
        assert_eq!(
            ask("GET /config/x", "").await,
            format!("200|{TEXT}|x-nsq-content-type: nsq; version=1.0|x")
        );
    }

    #[tokio::test]
    async fn refusals_are_json() {
        assert_eq!(ask("GET /nope", "").await, format!("404|{JSON}|{{\"message\":\"NOT_FOUND\"}}"));
        assert_eq!(
            ask("HEAD /ping", "").await,
            format!("405|allow: GET, OPTIONS|{JSON}|{{\"message\":\"METHOD_NOT_ALLOWED\"}}")
        );
        assert_eq!(
            ask("GET /query?a=%zz", "").await,
            format!("400|{JSON}|{{\"message\":\"INVALID_REQUEST\"}}")
        );
        assert_eq!(ask("OPTIONS /create", "").await, "200|allow: OPTIONS, POST|");
        assert_eq!(ask("OPTIONS *", "").await, "200|");
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_and_the_app_lives_on() {
        let app = app();
        for _ in 0..2 {
            let request = Request::builder().uri("/panic").body(Body::empty()).unwrap();
            assert_eq!(app.handle(request, "peer").await.status(), 500);
        }
        let request = Request::builder().uri("/ping").body(Body::empty()).unwrap();
        assert_eq!(app.handle(request, "peer").await.status(), 200);
    }

    #[tokio::test]
    async fn a_get_is_moved_with_a_page_and_other_methods_without() {
        assert_eq!(
            ask("GET /ping/?a&b", "").await,
            "301|content-type: text/html; charset=utf-8|location: /ping?a&b|<a href=\"/ping?a&amp;b\">Moved Permanently</a>.\n\n"
        );
        assert_eq!(ask("POST /Create?a=b", "").await, "307|location: /create?a=b|");
    }

    #[tokio::test]
    async fn a_parameter_is_what_the_escapes_mean() {
        assert!(ask("GET /config/a%20%62%25?x=%zz", "").await.ends_with("|a b%"));
        assert!(ask("GET /config/%ff", "").await.ends_with("|\u{fffd}"));
        assert_eq!(ask("GET /config/%f", "").await, format!("400|connection: close|{TEXT}|400 Bad Request"));
    }

    #[tokio::test]
    async fn parameters_in_a_body_are_ignored() {
        assert!(ask("GET /query?a=1&a=2", "a=3").await.ends_with("|1"));
    }

    #[tokio::test]
    async fn a_body_too_big_keeps_the_older_reason_phrase() {
        assert!(ask("POST /read", "12345").await.ends_with("|12345"));
        let request =
            Request::builder().method(Method::POST).uri("/read").body(Body::from("123456")).unwrap();
        let response = app().handle(request, "peer").await;
        assert_eq!(response.status(), 413);
        assert_eq!(
            response.extensions().get::<ReasonPhrase>().unwrap().as_bytes(),
            b"Request Entity Too Large"
        );
        assert!(response.headers().get(CONNECTION).is_none(), "the short rest of the body was read away");
    }
}
