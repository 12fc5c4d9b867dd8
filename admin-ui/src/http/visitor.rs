//! Who asks: the extractors that let a handler run only for somebody who may. A handler that changes something takes an
//! [`Operator`] or an [`Admin`], and with that the rules about pages and content types hold too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use nsq::api::admin::AdminAction;
use nsq::daemon::host::host_name;
use nsq::daemon::http::{HttpError, Remote};
use tracing::warn;

use super::Site;
use super::told::now_s;
use crate::access::{Role, Visitor};

/// The name of the cookie that holds the secret of a session.
pub(super) const COOKIE_NAME: &str = "nsqadmin";

/// Somebody who may look.
#[derive(Debug)]
pub(super) struct Viewer;

/// Somebody who may change what can be undone.
#[derive(Debug)]
pub(super) struct Operator(pub(super) Caller);

/// Somebody who may destroy.
#[derive(Debug)]
pub(super) struct Admin(pub(super) Caller);

/// A request from a page that may change things, or from no page, whoever sends it.
#[derive(Debug)]
pub(super) struct FromOurPage;

/// Somebody who may see and change what this server runs with: from an address that may, and where one must log in, an
/// admin. Without a login the address is enough, as in v1.3.0.
#[derive(Debug)]
pub(super) struct Configurer;

/// Who changes something, and what is told of him.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) visitor: Visitor,
    notice: AdminAction,
}

impl Caller {
    /// The change as it is told to others.
    pub(super) fn action(&self, action: &str, topic: &str, channel: &str, node: &str) -> AdminAction {
        AdminAction {
            action: action.to_owned(),
            topic: topic.to_owned(),
            channel: channel.to_owned(),
            node: node.to_owned(),
            timestamp: now_s(),
            ..self.notice.clone()
        }
    }
}

impl FromRequestParts<Arc<Site>> for Viewer {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, HttpError> {
        site.visitor(&parts.headers).map(|_| Self).ok_or_else(login_required)
    }
}

impl FromRequestParts<Arc<Site>> for FromOurPage {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, HttpError> {
        check_page(parts, site).map(|()| Self)
    }
}

impl FromRequestParts<Arc<Site>> for Operator {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, HttpError> {
        caller(parts, site, Role::Operator).map(Self)
    }
}

impl FromRequestParts<Arc<Site>> for Admin {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, HttpError> {
        caller(parts, site, Role::Admin).map(Self)
    }
}

impl FromRequestParts<Arc<Site>> for Configurer {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, HttpError> {
        check_remote(parts, site)?;
        if parts.method != Method::GET {
            check_page(parts, site)?;
        }
        if site.access.has_login() {
            let visitor = site.visitor(&parts.headers).ok_or_else(login_required)?;
            if visitor.role < Role::Admin {
                return Err(forbidden());
            }
        }
        Ok(Self)
    }
}

impl Site {
    /// Who sends these headers; `None` for one who must log in.
    pub(super) fn visitor(&self, headers: &HeaderMap) -> Option<Visitor> {
        let text = |value: &axum::http::HeaderValue| value.to_str().ok().map(str::to_owned);
        let name = HeaderName::try_from(self.options.acl_http_header.as_str()).ok();
        let proxied = name.and_then(|name| headers.get(name)).and_then(text);
        self.access.visitor(proxied.as_deref(), session(headers), Instant::now())
    }
}

/// The secret of the session that the request is part of.
pub(super) fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}

/// Whether the request came over HTTPS, as far as a proxy says.
pub(super) fn is_https(headers: &HeaderMap) -> bool {
    ["x-scheme", "x-forwarded-proto"]
        .iter()
        .any(|name| headers.get(*name).is_some_and(|scheme| scheme == "https"))
}

fn caller(parts: &Parts, site: &Site, needed: Role) -> Result<Caller, HttpError> {
    check_page(parts, site)?;
    let visitor = site.visitor(&parts.headers).ok_or_else(login_required)?;
    if visitor.role < needed {
        return Err(forbidden());
    }
    let header = |name: HeaderName| {
        parts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let user = header(AUTHORIZATION).and_then(|value| basic_user(&value));
    let scheme = if is_https(&parts.headers) { "https" } else { "http" };
    let host = header(HOST).unwrap_or_default();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let notice = AdminAction {
        user: user.unwrap_or_else(|| visitor.name.clone()),
        remote_ip: parts.extensions.get::<Remote>().map(|remote| remote.0.clone()).unwrap_or_default(),
        user_agent: header(USER_AGENT).unwrap_or_default(),
        url: format!("{scheme}://{host}{target}"),
        via: host_name(),
        ..AdminAction::default()
    };
    Ok(Caller { visitor, notice })
}

/// What a page sends comes from one that may, and as JSON, which a foreign page cannot send without being asked whether
/// it may. What is no page names no origin, and sends what it likes: so do the scripts that exist.
fn check_page(parts: &Parts, site: &Site) -> Result<(), HttpError> {
    let Some(origin) = parts.headers.get(ORIGIN) else { return Ok(()) };
    let may = origin.to_str().is_ok_and(|origin| site.access.origins.allow(origin));
    if !may {
        warn!("a page of {origin:?} may change nothing here; if it is yours, --allowed-origin=HOST lets it");
        return Err(HttpError::new(StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED"));
    }
    if parts.method != Method::POST {
        return Ok(());
    }
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "JSON_REQUIRED")),
    }
}

/// Only the peer itself counts, not whom it says it speaks for.
fn check_remote(parts: &Parts, site: &Site) -> Result<(), HttpError> {
    let Some(range) = &site.config_range else { return Ok(()) };
    let address = parts.extensions.get::<Remote>().and_then(|remote| remote.0.parse::<SocketAddr>().ok());
    let address = address.ok_or_else(|| HttpError::new(StatusCode::BAD_REQUEST, "INVALID_REMOTE_ADDR"))?;
    if range.contains(address.ip()) { Ok(()) } else { Err(forbidden()) }
}

fn login_required() -> HttpError {
    HttpError::new(StatusCode::UNAUTHORIZED, "LOGIN_REQUIRED")
}

fn forbidden() -> HttpError {
    HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN")
}

/// The user in `Basic …`.
fn basic_user(value: &str) -> Option<String> {
    let bytes = unbase64(value.strip_prefix("Basic ")?)?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(user, _)| user.to_owned())
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        Some(u32::from(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }))
    };
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for chunk in digits.chunks(4) {
        let mut group = 0;
        for index in 0..4 {
            group = group << 6 | chunk.get(index).map_or(Some(0), |byte| digit(*byte))?;
        }
        let [_, first, second, third] = group.to_be_bytes();
        bytes.extend([first, second, third].iter().take(chunk.len().checked_sub(1)?));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_basic_is_read() {
        for (value, user) in [
            ("Basic YWxpY2U6c2VjcmV0", Some("alice")),
            ("Basic OnNlY3JldA==", Some("")),
            ("basic YWxpY2U6c2VjcmV0", None),
            ("Basic YWxpY2U=", None),
            ("Basic !", None),
            ("Basic", None),
        ] {
            assert_eq!(basic_user(value).as_deref(), user, "{value}");
        }
    }

    #[test]
    fn the_session_is_found_among_cookies() {
        let headers = |value: &'static str| HeaderMap::from_iter([(COOKIE, value.parse().unwrap())]);
        assert_eq!(session(&headers("a=b; nsqadmin=secret; c=d")), Some("secret"));
        assert_eq!(session(&headers("nsqadminx=secret")), None);
        assert_eq!(session(&HeaderMap::new()), None);
    }
}
