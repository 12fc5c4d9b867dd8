//! One HTTP request and its answer, on a connection of its own: all that NSQ's HTTP servers need.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use crate::api::WATCHER;
use crate::api::error::ErrorBody;
use crate::client::converse::{ConverseError, converse};
use crate::client::dial::dial;

/// The largest answer that is read, in bytes, unless it is said otherwise. `/stats` of 10,000 topics has about 5 MiB.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How long a request may take, connecting included, unless it is said otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What NSQ's own clients ask for: servers of long ago answered in an older form without it.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/vnd.nsq; version=1.0");

/// Why a request had no success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address is no `host:port`.
    #[error("{address:?} is not an address")]
    InvalidAddress {
        /// What was given.
        address: String,
    },
    /// Nothing listens at the address, or it names nothing.
    #[error("cannot connect to {address}")]
    Connect {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address did not take the connection in time.
    #[error("cannot connect to {address} within {timeout:?}")]
    ConnectTimeout {
        /// The address.
        address: String,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// There was no answer in time.
    #[error("no answer from {address} within {timeout:?}")]
    Timeout {
        /// The address.
        address: String,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The answer is not HTTP, or broke off.
    #[error("no complete answer from {address}")]
    Http {
        /// The address.
        address: String,
        /// What HTTP makes of it.
        source: hyper::Error,
    },
    /// The answer is too large to be held.
    #[error("the answer of {address} is larger than {bytes_max} bytes")]
    TooLarge {
        /// The address.
        address: String,
        /// How large it may be.
        bytes_max: usize,
    },
    /// The server refused.
    #[error("{address} answered {status}: {message}")]
    Status {
        /// The address.
        address: String,
        /// The status code.
        status: u16,
        /// The code, such as `TOPIC_NOT_FOUND`, or the beginning of what was said instead.
        message: String,
    },
    /// The answer is not the JSON it should be.
    #[error("cannot read the answer of {address}")]
    Json {
        /// The address.
        address: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl HttpError {
    /// Whether the server says that there is no such topic, channel or path.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }
}

/// A server, and how long to wait for it.
#[derive(Debug, Clone)]
pub(in crate::client) struct Server {
    /// `host:port`.
    address: String,
    patience: Patience,
    answer_bytes_max: usize,
    /// Whether it is asked again and again.
    is_watched: bool,
}

/// How long to wait for a server.
#[derive(Debug, Clone, Copy)]
enum Patience {
    /// For connecting and the answer together.
    Together(Duration),
    /// For connecting, which includes finding the host, and after that for the answer.
    Apart { connect: Duration, request: Duration },
}

impl Server {
    /// The server at `host:port`, or at `http://host:port`.
    pub(in crate::client) fn new(address: impl Into<String>) -> Self {
        let address = address.into();
        let address = address.strip_prefix("http://").unwrap_or(&address).trim_end_matches('/').to_owned();
        Self {
            address,
            patience: Patience::Together(TIMEOUT),
            answer_bytes_max: ANSWER_BYTES_MAX,
            is_watched: false,
        }
    }

    pub(in crate::client) fn with_timeout(self, timeout: Duration) -> Self {
        Self { patience: Patience::Together(timeout), ..self }
    }

    pub(in crate::client) fn with_timeouts(self, connect: Duration, request: Duration) -> Self {
        Self { patience: Patience::Apart { connect, request }, ..self }
    }

    pub(in crate::client) fn with_answer_max(self, answer_bytes_max: usize) -> Self {
        Self { answer_bytes_max, ..self }
    }

    pub(in crate::client) fn watched(self) -> Self {
        Self { is_watched: true, ..self }
    }

    pub(in crate::client) fn address(&self) -> &str {
        &self.address
    }

    pub(in crate::client) async fn get(&self, target: &str) -> Result<Bytes, HttpError> {
        self.send(Method::GET, target, Bytes::new()).await
    }

    pub(in crate::client) async fn get_json<T: DeserializeOwned>(
        &self,
        target: &str,
    ) -> Result<T, HttpError> {
        let answer = self.get(target).await?;
        let unreadable = |source| HttpError::Json { address: self.address.clone(), source };
        serde_json::from_slice(&answer).map_err(unreadable)
    }

    pub(in crate::client) async fn post(&self, target: &str, body: Bytes) -> Result<(), HttpError> {
        self.send(Method::POST, target, body).await.map(|_| ())
    }

    async fn send(&self, method: Method, target: &str, body: Bytes) -> Result<Bytes, HttpError> {
        let request = self.request(method, target, body)?;
        let address = || self.address.clone();
        match self.patience {
            Patience::Together(timeout) => {
                let both = async { self.exchange(self.dial().await?, request).await };
                let in_time = tokio::time::timeout(timeout, both).await;
                in_time.map_err(|_| HttpError::Timeout { address: address(), timeout })?
            }
            Patience::Apart { connect, request: timeout } => {
                let dialled = tokio::time::timeout(connect, self.dial()).await;
                let too_late = |_| HttpError::ConnectTimeout { address: address(), timeout: connect };
                let stream = dialled.map_err(too_late)??;
                let in_time = tokio::time::timeout(timeout, self.exchange(stream, request)).await;
                in_time.map_err(|_| HttpError::Timeout { address: address(), timeout })?
            }
        }
    }

    fn request(&self, method: Method, target: &str, body: Bytes) -> Result<Request<Full<Bytes>>, HttpError> {
        let invalid = || HttpError::InvalidAddress { address: self.address.clone() };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.parse::<Uri>().map_err(|_| invalid())?;
        let host = HeaderValue::from_str(&self.address).map_err(|_| invalid())?;
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(ACCEPT, ACCEPTED);
        if self.is_watched {
            request.headers_mut().insert(WATCHER, HeaderValue::from_static("1"));
        }
        Ok(request)
    }

    async fn dial(&self) -> Result<TcpStream, HttpError> {
        let dialled = dial(&self.address).await;
        dialled.map_err(|source| HttpError::Connect { address: self.address.clone(), source })
    }

    async fn exchange(&self, stream: TcpStream, request: Request<Full<Bytes>>) -> Result<Bytes, HttpError> {
        let address = || self.address.clone();
        let answer = converse(stream, request, self.answer_bytes_max).await.map_err(|error| match error {
            ConverseError::Http(source) => HttpError::Http { address: address(), source },
            ConverseError::TooLarge(bytes_max) => HttpError::TooLarge { address: address(), bytes_max },
        })?;
        let (status, body) = (answer.status(), answer.into_body());
        if status == StatusCode::OK { Ok(body) } else { Err(self.refused(status, &body)) }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> HttpError {
        let message = match serde_json::from_slice::<ErrorBody>(body) {
            Ok(error) => error.message,
            Err(_) => String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]).into_owned(),
        };
        HttpError::Status { address: self.address.clone(), status: status.as_u16(), message }
    }
}

/// How much of an answer that is not JSON is repeated in the error, in bytes.
const SHOWN_BYTES_MAX: usize = 200;

/// A value as it stands in a query.
pub(in crate::client) fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_query_are_escaped() {
        for (value, escaped) in
            [("a.b_c-9", "a.b_c-9"), ("t#ephemeral", "t%23ephemeral"), ("a&b=é", "a%26b%3D%C3%A9")]
        {
            assert_eq!(escape(value), escaped);
        }
    }

    #[test]
    fn an_address_may_be_a_url() {
        for given in ["host:4161", "http://host:4161", "http://host:4161/"] {
            assert_eq!(Server::new(given).address(), "host:4161");
        }
    }
}
