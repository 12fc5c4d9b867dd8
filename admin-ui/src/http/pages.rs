//! The page and its files.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use nsq::api::json::to_go_json;
use nsq::daemon::http::{Path, plain_text};

use super::Site;
use super::finished::ForEverybody;
use crate::assets;

pub(super) async fn index(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let mut response = site.index_page(&headers).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert("referrer-policy", HeaderValue::from_static("same-origin"));
    response
}

pub(super) async fn asset(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Response {
    let Some(bytes) = assets::file(&name, &site.options.dev_static_dir) else {
        return plain_text(StatusCode::NOT_FOUND, "NOT_FOUND");
    };
    let mut response = bytes.into_response();
    response.extensions_mut().insert(ForEverybody);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(assets::content_type(&name)));
    // The built files have their content in their names; those of a directory change under the same name.
    let is_built = site.options.dev_static_dir.as_os_str().is_empty();
    let cache = if is_built { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

impl Site {
    /// The index with what the page must know before it can ask: where everything lies. What it will ask for first is named
    /// too, so that it comes while the scripts do.
    fn index_page(&self, headers: &HeaderMap) -> String {
        let base = &self.options.base_path;
        let base = if base == "/" { "/".to_owned() } else { format!("{base}/") };
        // JSON as Go writes it holds no `<`, `>` or `&`; the quotes are all that an attribute minds.
        let settings = String::from_utf8_lossy(&to_go_json(&self.settings(headers))).replace('\'', "&#39;");
        let base = escape(&base);
        let mut head = format!("<base href=\"{base}\"><meta name=\"nsqadmin\" content='{settings}'>");
        if self.sampled.is_some() && self.visitor(headers).is_some() {
            head.push_str(PRELOAD);
        }
        assets::index().replacen(MARK, &head, 1)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;")
}

/// Where the index takes what this server tells it.
const MARK: &str = "<!--nsqadmin-->";

/// The request of the page's `live.svelte.ts`: only one with this very address is answered by it.
const PRELOAD: &str = r#"<link rel="preload" as="fetch" crossorigin href="api/overview">"#;

/// No script but the page's own files; nobody else's frame. Charts and small components set styles on their elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";
