//! One question put to one server over HTTP, redirects included. Knows nothing of what is asked or answered.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use nsq::client::dial;
use nsq::transport::tls::client::TlsClient;
use tokio::io::{AsyncRead, AsyncWrite};

use super::url::{Url, UrlError};

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The largest head of an answer that is read, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How many requests one question may take, those that redirects lead to included.
const REQUESTS_MAX: usize = 10;

/// What the servers of NSQ are asked for.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/vnd.nsq; version=1.0");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("cannot connect to {authority} - {cause}")]
    Connect { authority: String, cause: io::Error },
    #[error("cannot connect to {authority} within {timeout:?}")]
    ConnectTimeout { authority: String, timeout: Duration },
    #[error("no complete answer - {0}")]
    Http(#[from] hyper::Error),
    #[error("the answer is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    #[error("no end after {REQUESTS_MAX} redirects")]
    Redirects,
    #[error("no secure connection to {authority} - {cause}")]
    Tls { authority: String, cause: io::Error },
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// How a server is asked.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    /// How long connecting may take, once.
    pub(super) connect_timeout: Duration,
    /// How long all of it may take.
    pub(super) request_timeout: Duration,
    /// How a server is made sure of.
    pub(super) tls: TlsClient,
}

impl Exchange {
    /// The status and the body that a GET ends with, or with a body a POST.
    pub(super) async fn ask(
        &self,
        url: &Url,
        body: Option<&Bytes>,
    ) -> Result<(StatusCode, Bytes), ExchangeError> {
        let followed = tokio::time::timeout(self.request_timeout, self.follow(url.clone(), body.cloned()));
        followed.await.map_err(|_| ExchangeError::Timeout(self.request_timeout))?
    }

    async fn follow(
        &self,
        mut url: Url,
        mut body: Option<Bytes>,
    ) -> Result<(StatusCode, Bytes), ExchangeError> {
        for _ in 0..REQUESTS_MAX {
            let (head, answer) = self.send(&url, body.clone()).await?;
            let status = head.status();
            let location = head.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let (true, Some(location)) = (is_redirect(status), location) else { return Ok((status, answer)) };
            url = url.join(location)?;
            if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
                // These three make a GET of whatever it was.
                body = None;
            }
        }
        Err(ExchangeError::Redirects)
    }

    async fn send(&self, url: &Url, body: Option<Bytes>) -> Result<(Response<()>, Bytes), ExchangeError> {
        let request = request(url, body)?;
        let dialled = tokio::time::timeout(self.connect_timeout, dial(&url.authority())).await;
        let stream = dialled
            .map_err(|_| ExchangeError::ConnectTimeout {
                authority: url.authority(),
                timeout: self.connect_timeout,
            })?
            .map_err(|cause| ExchangeError::Connect { authority: url.authority(), cause })?;
        if !url.is_https {
            return converse(stream, request).await;
        }
        let secured = self.tls.connect(&url.host, stream).await;
        let stream = secured.map_err(|cause| ExchangeError::Tls { authority: url.authority(), cause })?;
        converse(stream, request).await
    }
}

/// One request and its answer.
async fn converse<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(Response<()>, Bytes), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let client = hyper::client::conn::http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).clone();
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await?;
    // Both go on together and end together: there is no task that could be left over.
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => ExchangeError::Http(*error),
            Err(_) => ExchangeError::TooLarge,
        })?;
        Ok((Response::from_parts(head, ()), body.to_bytes()))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end first, and the answer be complete nevertheless; errors arrive there too.
        _ = connection => answer.await,
    }
}

fn request(url: &Url, body: Option<Bytes>) -> Result<Request<Full<Bytes>>, ExchangeError> {
    let mut request = Request::new(Full::new(body.clone().unwrap_or_default()));
    *request.uri_mut() = url.target.parse::<Uri>().map_err(|_| UrlError::UNUSABLE)?;
    let host = HeaderValue::from_str(&url.authority()).map_err(|_| UrlError::UNUSABLE)?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(ACCEPT, ACCEPTED);
    if body.is_some() {
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, JSON);
    }
    Ok(request)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
