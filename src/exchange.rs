//! One HTTP request of a daemon to any server, and its answer, on a connection of its own, with TLS where the URL says so.
//! Knows nothing of what is asked.

mod url;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HOST, HeaderValue};
use hyper::{HeaderMap, Request, StatusCode, Uri};
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::url::{Url, UrlError};
use crate::client::converse::{ConverseError, converse};
use crate::client::dial;
use crate::daemon::go_duration::GoDuration;
use crate::daemon::os_error::os_error_text;
use crate::transport::tls::client::TlsClient;

/// The largest answer that is read, in bytes. `/stats` of 10,000 topics has about 5 MiB.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How others are asked.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long all of it may take.
    pub request_timeout: Duration,
    /// How a server is made sure of.
    pub tls: TlsClient,
}

/// What came back, whatever it says.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer. Who was asked is for the caller to say.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// It cannot be asked at all.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Nobody is there, or the name leads nowhere.
    #[error("{}", os_error_text(.0))]
    Connect(io::Error),
    /// It took too long.
    #[error("no answer within {}", GoDuration::from(*.0))]
    Timeout(Duration),
    /// Connecting took too long.
    #[error("no connection within {}", GoDuration::from(*.0))]
    ConnectTimeout(Duration),
    /// It is not HTTP, or broke off.
    #[error("no complete answer, {0}")]
    Http(#[from] hyper::Error),
    /// There is more of it than is read.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// TLS came to nothing.
    #[error("no secure connection, {0}")]
    Tls(io::Error),
}

impl ExchangeError {
    /// Whether nobody was reached: nothing was asked.
    #[must_use]
    pub fn is_of_connecting(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Connect(_) | Self::ConnectTimeout(_))
    }

    /// Whether the other one just said nothing, for a long time.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::ConnectTimeout(_))
    }
}

impl Exchange {
    /// Asks once. Method, headers and body are those of `request`; its URI and `Host` are made from `url`, unless it has
    /// a `Host` of its own.
    ///
    /// # Errors
    /// There is no complete answer in time.
    pub async fn send(&self, url: &Url, request: Request<Bytes>) -> Result<Answer, ExchangeError> {
        self.send_for_up_to(ANSWER_BYTES_MAX, url, request).await
    }

    /// The same, for an answer of so many bytes at most.
    ///
    /// # Errors
    /// There is no complete answer in time, or it is larger.
    pub async fn send_for_up_to(
        &self,
        bytes_max: usize,
        url: &Url,
        request: Request<Bytes>,
    ) -> Result<Answer, ExchangeError> {
        let asked = tokio::time::timeout(self.request_timeout, self.converse(bytes_max, url, request));
        asked.await.map_err(|_| ExchangeError::Timeout(self.request_timeout))?
    }

    async fn converse(
        &self,
        bytes_max: usize,
        url: &Url,
        request: Request<Bytes>,
    ) -> Result<Answer, ExchangeError> {
        let request = addressed(url, request)?;
        // So that it can be told from a server that says nothing.
        let connect_timeout = self.connect_timeout.min(self.request_timeout);
        let dialled = tokio::time::timeout(connect_timeout, dial(&url.authority())).await;
        let stream = dialled
            .map_err(|_| ExchangeError::ConnectTimeout(connect_timeout))?
            .map_err(ExchangeError::Connect)?;
        if !url.is_https {
            return over(stream, bytes_max, request).await;
        }
        let stream = self.tls.connect(&url.host, stream).await.map_err(ExchangeError::Tls)?;
        over(stream, bytes_max, request).await
    }
}

fn addressed(url: &Url, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, ExchangeError> {
    let (mut head, body) = request.into_parts();
    head.uri = url.target.parse::<Uri>().map_err(|_| UrlError::UNUSABLE)?;
    if !head.headers.contains_key(HOST) {
        let host = HeaderValue::from_str(&url.authority()).map_err(|_| UrlError::UNUSABLE)?;
        head.headers.insert(HOST, host);
    }
    Ok(Request::from_parts(head, Full::new(body)))
}

async fn over<S>(stream: S, bytes_max: usize, request: Request<Full<Bytes>>) -> Result<Answer, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = converse(stream, request, bytes_max).await.map_err(|error| match error {
        ConverseError::Http(error) => ExchangeError::Http(error),
        ConverseError::TooLarge(bytes_max) => ExchangeError::TooLarge(bytes_max),
    })?;
    let (head, body) = answer.into_parts();
    Ok(Answer { status: head.status, headers: head.headers, body })
}
