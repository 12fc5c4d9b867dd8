//! One question put to one server, redirects included. Knows nothing of what is asked or answered.

use bytes::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Method, Request, StatusCode};
use nsq::exchange::{Answer, Exchange, ExchangeError, Url, UrlError};

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How many requests one question may take, those that redirects lead to included.
const REQUESTS_MAX: usize = 10;

/// What the servers of NSQ are asked for.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/vnd.nsq; version=1.0");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum QuestionError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// By another server than the one that was asked.
    #[error("redirected to {authority} - {cause}")]
    Redirected { authority: String, cause: ExchangeError },
    #[error("no end after {REQUESTS_MAX} redirects")]
    Redirects,
    /// The address of a server is in the log.
    #[error("a user name in a URL is not supported")]
    UserName,
}

/// The status and the body that a GET ends with, or with a body a POST, in the time of one request.
pub(super) async fn ask(
    exchange: &Exchange,
    url: &Url,
    body: Option<&Bytes>,
) -> Result<(StatusCode, Bytes), QuestionError> {
    let timeout = exchange.request_timeout;
    let followed = tokio::time::timeout(timeout, follow(exchange, url.clone(), body.cloned())).await;
    followed.map_err(|_| ExchangeError::Timeout(timeout))?
}

async fn follow(
    exchange: &Exchange,
    mut url: Url,
    mut body: Option<Bytes>,
) -> Result<(StatusCode, Bytes), QuestionError> {
    for redirects in 0..REQUESTS_MAX {
        if !url.user_info.is_empty() {
            return Err(QuestionError::UserName);
        }
        let answer = exchange.send_for_up_to(ANSWER_BYTES_MAX, &url, request(body.clone())).await;
        let Answer { status, headers, body: said } = answer.map_err(|cause| match redirects {
            0 => QuestionError::Exchange(cause),
            _ => QuestionError::Redirected { authority: url.authority(), cause },
        })?;
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let (true, Some(location)) = (is_redirect(status), location) else { return Ok((status, said)) };
        url = url.join(location)?;
        if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
            // These three make a GET of whatever it was.
            body = None;
        }
    }
    Err(QuestionError::Redirects)
}

fn request(body: Option<Bytes>) -> Request<Bytes> {
    let is_post = body.is_some();
    let mut request = Request::new(body.unwrap_or_default());
    request.headers_mut().insert(ACCEPT, ACCEPTED);
    if is_post {
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, JSON);
    }
    request
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
