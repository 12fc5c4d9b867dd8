//! `/api/session`: who one is here, logging in and out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use nsq::api::admin;
use nsq::daemon::http::{HttpError, Remote, Reply};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use tracing::{info, warn};

use super::visitor::{COOKIE_NAME, FromOurPage, is_https, session};
use super::{Site, payload};
use crate::access::{LoginError, Visitor};

/// The longest body of a login, in bytes; the name in it goes to the log.
const LOGIN_BYTES_MAX: usize = 4 * 1024;

#[derive(Deserialize)]
struct Login {
    user: String,
    password: String,
}

pub(super) async fn show(State(site): State<Arc<Site>>, headers: HeaderMap) -> Reply {
    Reply::json(&site.session(site.visitor(&headers)))
}

pub(super) async fn log_in(
    State(site): State<Arc<Site>>,
    _: FromOurPage,
    Extension(remote): Extension<Remote>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpError> {
    let login: Login = payload::read_up_to(LOGIN_BYTES_MAX, body).await?;
    let address = remote.0.parse::<SocketAddr>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    match site.access.log_in(address, &login.user, login.password).await {
        Ok((secret, visitor)) => {
            info!("ADMIN: {:?} logged in from {}", visitor.name, remote.0);
            let mut response = Reply::json(&site.session(Some(visitor))).into_response();
            put_cookie(&mut response, &site, &headers, &secret, "");
            Ok(response)
        }
        Err(LoginError::NoLogin) => Err(HttpError::not_found()),
        Err(LoginError::Wrong) => {
            warn!("ADMIN: {:?} did not log in from {}: wrong user or password", login.user, remote.0);
            Err(HttpError::new(StatusCode::UNAUTHORIZED, "WRONG_LOGIN"))
        }
        Err(LoginError::TooMany(wait)) => {
            warn!("ADMIN: too many wrong passwords from {}", remote.0);
            let refusal = HttpError::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_LOGINS");
            let mut response = refusal.into_response();
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            Ok(response)
        }
    }
}

pub(super) async fn log_out(State(site): State<Arc<Site>>, _: FromOurPage, headers: HeaderMap) -> Response {
    if let Some(secret) = session(&headers) {
        site.access.log_out(secret);
    }
    let mut response = Reply::json(&admin::Told::<admin::Nothing>::default()).into_response();
    put_cookie(&mut response, &site, &headers, "", "; Max-Age=0");
    response
}

impl Site {
    fn session(&self, visitor: Option<Visitor>) -> admin::Session {
        let has_login = self.access.has_login();
        match visitor {
            Some(visitor) => admin::Session { user: visitor.name, role: visitor.role.to_string(), has_login },
            None => admin::Session { user: String::new(), role: "none".to_owned(), has_login },
        }
    }
}

/// The base path as it stands in the addresses that a browser asks for.
fn cookie_path(base_path: &str) -> String {
    utf8_percent_encode(base_path, PATH_ESCAPED).to_string()
}

/// What browsers escape in a path.
const PATH_ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'^')
    .add(b'{')
    .add(b'}');

fn put_cookie(response: &mut Response, site: &Site, headers: &HeaderMap, secret: &str, more: &str) {
    let path = cookie_path(&site.options.base_path);
    let secure = if is_https(headers) { "; Secure" } else { "" };
    let cookie = format!("{COOKIE_NAME}={secret}; Path={path}; HttpOnly; SameSite=Strict{secure}{more}");
    // A base path that no header can hold gets no cookie, and no session.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_comes_back_below_any_base_path() {
        for (base_path, path) in [("/", "/"), ("/nsq/a-b", "/nsq/a-b"), ("/für uns", "/f%C3%BCr%20uns")] {
            assert_eq!(cookie_path(base_path), path);
        }
    }
}
