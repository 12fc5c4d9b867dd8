//! Graphite, where there is one: what it is asked for, and requests that are relayed to it.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use nsq::exchange::{Answer, Exchange, ExchangeError, Url, UrlError};
use serde::Deserialize;

use crate::cluster::escape;

/// What one series looks like in Graphite's answer.
#[derive(Debug, Deserialize)]
struct Series {
    datapoints: Vec<Vec<Option<f64>>>,
}

/// Why there is no rate.
#[derive(Debug, thiserror::Error)]
pub enum RateError {
    /// Graphite cannot be asked.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Graphite did not answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// It refused.
    #[error("it answered {0}")]
    Status(hyper::StatusCode),
    /// What it said is nothing to make a rate of.
    #[error("its answer has no first value")]
    NoValue,
}

/// The rate of a counter at the last full interval, as text.
///
/// # Errors
/// Graphite has none.
pub async fn rate(
    exchange: &Exchange,
    graphite_url: &str,
    interval: Duration,
    target: &str,
) -> Result<String, RateError> {
    let seconds = interval.as_secs();
    let url = format!(
        "{graphite_url}/render?format=json&from=-{}sec&target={}&until=-{seconds}sec",
        seconds.saturating_mul(2),
        escape(target).replace("%20", "+"),
    );
    let answer = exchange.send(&Url::parse(&url)?, Request::new(Bytes::new())).await?;
    if !answer.status.is_success() {
        return Err(RateError::Status(answer.status));
    }
    rate_in(&answer.body, seconds).ok_or(RateError::NoValue)
}

fn rate_in(answer: &[u8], seconds: u64) -> Option<String> {
    let all: Vec<Series> = serde_json::from_slice(answer).ok()?;
    let first = (*all.first()?.datapoints.first()?.first()?)?;
    // Seconds of an interval are far below what a float holds exactly.
    let rate = first / seconds.max(1) as f64;
    Some(if first < 0.0 { "N/A".to_owned() } else { format!("{rate:.2}") })
}

/// Asks Graphite's own host for this path and query, with the headers of whoever asks here.
///
/// # Errors
/// It did not answer.
pub async fn relay(
    exchange: &Exchange,
    graphite_url: &Url,
    path_and_query: &str,
    headers: &HeaderMap,
    remote_ip: &str,
) -> Result<Answer, ExchangeError> {
    let url = Url { target: path_and_query.to_owned(), ..graphite_url.clone() };
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::GET;
    *request.headers_mut() = relayed(headers);
    if !url.user_info.is_empty() {
        let value = format!("Basic {}", base64(url.user_info.as_bytes()));
        if let Ok(value) = HeaderValue::from_str(&value) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
    }
    let before = request.headers().get(FORWARDED_FOR).and_then(|value| value.to_str().ok());
    let chain = before.map_or_else(|| remote_ip.to_owned(), |before| format!("{before}, {remote_ip}"));
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        request.headers_mut().insert(FORWARDED_FOR, chain);
    }
    exchange.send(&url, request).await
}

/// The headers without those that are of one connection only. The cookie is for this server.
#[must_use]
pub fn relayed(headers: &HeaderMap) -> HeaderMap {
    let mut relayed = headers.clone();
    for name in OF_THE_CONNECTION {
        relayed.remove(*name);
    }
    relayed
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let is_there = digit <= chunk.len();
            let index = (group >> (18 - 6 * digit) & 63) as usize;
            text.push(if is_there { char::from(DIGITS[index]) } else { '=' });
        }
    }
    text
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "cookie",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_first_value_over_the_interval() {
        for (answer, rate) in [
            (r#"[{"target":"t","datapoints":[[120.0,1],[3,2]]}]"#, Some("2.00")),
            (r#"[{"datapoints":[[7,1]]}]"#, Some("0.12")),
            (r#"[{"datapoints":[[-1,1]]}]"#, Some("N/A")),
            (r#"[{"datapoints":[[null,1]]}]"#, None),
            (r#"[{"datapoints":[]}]"#, None),
            ("[]", None),
            ("x", None),
        ] {
            assert_eq!(rate_in(answer.as_bytes(), 60).as_deref(), rate, "{answer}");
        }
    }

    #[test]
    fn user_and_password_become_a_header() {
        for (text, encoded) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("me:pass", "bWU6cGFzcw==")] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
