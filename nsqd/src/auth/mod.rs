//! Authorization servers: what they are asked about a client, and what their answers allow (spec nsqd-tcp.md, §9).
//!
//! - [`authorizations`]: an answer, checked, and what it allows; pure.
//! - [`pattern`]: the syntax of its patterns; pure.
//! - [`question`]: what is asked; pure.
//! - [`exchange`]: one question over HTTP, by way of [`nsq::exchange`]; the only part that is not pure.
//!
//! Nothing here knows of topics, connections or what follows from an answer.

mod authorizations;
mod exchange;
mod pattern;
mod question;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use nsq::exchange::{Exchange, Url, UrlError};
use nsq::transport::tls::TlsFilesError;
use nsq::transport::tls::client::TlsClient;
use nsq::wire::go_json::{self, Object, assign};

pub use authorizations::{AnswerError, Authorizations, Permission};
pub use question::Question;

use crate::options::AuthMethod;
use exchange::{QuestionError, ask};

/// The authorization servers, and how they are asked.
#[derive(Debug, Clone)]
pub struct AuthServers {
    /// As they were configured: `host:port` or a URL.
    addresses: Vec<String>,
    method: AuthMethod,
    exchange: Exchange,
}

/// What the options say about authorization servers.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// The servers, each `host:port` or a URL.
    pub addresses: Vec<String>,
    /// How they are asked.
    pub method: AuthMethod,
    /// How long connecting to one may take.
    pub connect_timeout: Duration,
    /// How long one may take to answer, connecting and redirects included.
    pub request_timeout: Duration,
    /// The authorities that may vouch for a server, in PEM; empty: those of the system.
    pub authorities: PathBuf,
    /// Whether servers must speak TLS 1.3, where they speak TLS.
    pub only_tls_1_3: bool,
}

/// Why nobody could say what a client may do: what each server failed with. For the log, not for the client.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct AskError(Vec<String>);

/// Why one server could not say it.
#[derive(Debug, thiserror::Error)]
enum ServerError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Question(#[from] QuestionError),
    #[error("got response {status} {beginning:?}")]
    Status { status: StatusCode, beginning: String },
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

impl AuthServers {
    /// The servers that clients must be authorized by; `None` where there are none to ask.
    ///
    /// # Errors
    /// The file of authorities is of no use.
    pub fn new(settings: AuthSettings) -> Result<Option<Self>, TlsFilesError> {
        let AuthSettings { addresses, method, connect_timeout, request_timeout, .. } = settings;
        if addresses.is_empty() {
            return Ok(None);
        }
        let tls = TlsClient::load(&settings.authorities, settings.only_tls_1_3)?;
        Ok(Some(Self { addresses, method, exchange: Exchange { connect_timeout, request_timeout, tls } }))
    }

    /// Asks one server after the other, beginning with any of them, until one gives an answer that is of use.
    ///
    /// # Errors
    /// None does.
    pub async fn ask(&self, question: &Question<'_>) -> Result<Authorizations, AskError> {
        let start = fastrand::usize(..self.addresses.len());
        let (after, before) = (&self.addresses[start..], &self.addresses[..start]);
        let mut failures = Vec::new();
        for address in after.iter().chain(before) {
            match self.ask_one(address, question).await {
                Ok(authorizations) => return Ok(authorizations),
                Err(error) => failures.push(format!("failed to auth against {address} - {error}")),
            }
        }
        Err(AskError(failures))
    }

    async fn ask_one(&self, address: &str, question: &Question<'_>) -> Result<Authorizations, ServerError> {
        let endpoint = match address.contains("://") {
            true => address.to_owned(),
            false => format!("http://{address}/auth"),
        };
        let (url, body) = match self.method {
            AuthMethod::Get => (Url::parse(&format!("{endpoint}?{}", question.to_query()))?, None),
            AuthMethod::Post => (Url::parse(&endpoint)?, Some(Bytes::from(question.to_json()))),
        };
        let (mut status, mut answer) = ask(&self.exchange, &url, body.as_ref()).await?;
        if status == StatusCode::FORBIDDEN
            && !url.is_https
            && let Some(port) = https_port(&answer)
        {
            let url = url.with_https_port(port);
            (status, answer) = ask(&self.exchange, &url, body.as_ref()).await?;
        }
        if status != StatusCode::OK {
            let beginning =
                String::from_utf8_lossy(&answer[..answer.len().min(SHOWN_BYTES_MAX)]).into_owned();
            return Err(ServerError::Status { status, beginning });
        }
        Ok(Authorizations::parse(&answer)?)
    }
}

/// How much of an answer that is of no use is repeated in the log, in bytes.
const SHOWN_BYTES_MAX: usize = 200;

/// The port for HTTPS that a server names when it refuses plain HTTP.
fn https_port(answer: &[u8]) -> Option<u16> {
    #[derive(Default)]
    struct Refusal {
        https_port: i64,
    }

    impl Object for Refusal {
        fn set(&mut self, key: &str, value: &str) -> Option<()> {
            if key == "https_port" { assign(&mut self.https_port, value) } else { Some(()) }
        }
    }

    let refusal: Refusal = go_json::read(answer).ok()?;
    u16::try_from(refusal.https_port).ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests;
