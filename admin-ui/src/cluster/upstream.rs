//! One nsqd or nsqlookupd, asked over HTTP.
//!
//! One that was silent for as long as it may be is not asked again for a while, so that it costs its time-out once and not
//! with each request; whoever samples the nodes asks all the same, and so hears when it speaks again.
//!
//! An nsqd goes by the address it broadcasts. Where nobody is reached by that, and it was given by another one, it is asked
//! there: the host's name of a container is often known to nobody else.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
#[cfg(test)]
use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderValue};
use hyper::{Method, Request, StatusCode};
use nsq::api::WATCHER;
use nsq::api::error::ErrorBody;
use nsq::api::stats::Stats;
use nsq::exchange::{ANSWER_BYTES_MAX, Answer, Exchange, ExchangeError, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::named::named;
use crate::shown::shown;

/// How long one that was silent is not asked.
const SILENT_FOR: Duration = Duration::from_secs(15);

/// How long one that is not reached by what it broadcasts is asked where it was given, and not there first.
const PREFERRED_FOR: Duration = Duration::from_secs(600);

/// The largest answer of an nsqd that is read to sample it, in bytes: many are read at the same time. One of 10,000 channels
/// with three consumers each has about 25 MiB.
const SAMPLED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How many lists and objects an answer may have. Each may take 100 times as much memory as it has bytes. One as above has some
/// 70,000.
const PARTS_MAX: usize = 400_000;

/// What NSQ's own clients ask for: servers of long ago answered in an older form without it.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/vnd.nsq; version=1.0");

/// What is asked: the words are those of the log and of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// One that has messages.
    Nsqd,
    /// One that knows who has which topic.
    Nsqlookupd,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nsqd => "nsqd",
            Self::Nsqlookupd => "nsqlookupd",
        })
    }
}

/// Why one did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There was no answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// It was not asked.
    #[error("it did not answer in time, {} s ago, and is not waited for again so soon", .0.as_secs())]
    Silent(Duration),
    /// It refused.
    #[error("it answered {status}: {message}")]
    Status {
        /// The status.
        status: StatusCode,
        /// The code, such as `TOPIC_NOT_FOUND`, or the beginning of what was said instead.
        message: String,
    },
    /// The answer is not the JSON it should be, and why.
    #[error("its answer cannot be read, {0}")]
    Json(String),
    /// The answer would take too much memory.
    #[error("its answer has more than {PARTS_MAX} lists and objects")]
    TooManyParts,
}

impl AskError {
    /// Whether it says that it has no such topic, channel or path.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::NOT_FOUND, .. })
    }
}

/// Whether one that was silent is asked all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// For somebody who waits for the answer.
    ForAViewer,
    /// To learn whether it speaks again. Not logged.
    ToSample,
}

/// How nodes are asked.
#[derive(Debug)]
pub struct Upstream {
    exchange: Exchange,
    /// Since when those that were silent are, and until when they are not asked. Locked for a look or an insertion.
    silent: Mutex<HashMap<String, Silence>>,
    /// Where else nsqds can be asked. Locked for a look or an insertion.
    other_ways: Mutex<OtherWays>,
}

/// The nsqds that broadcast one address and were given by another.
#[derive(Debug, Default)]
struct OtherWays {
    /// What each broadcasts, by the address it was given by: there are no more than were given.
    broadcast: HashMap<String, String>,
    /// Until when one that is not reached by what it broadcasts is asked where it was given, by what it broadcasts.
    preferred: HashMap<String, Instant>,
}

impl OtherWays {
    /// The address by which the nsqd was given that broadcasts this one; `None` if several do.
    fn of(&self, host: &str) -> Option<&str> {
        let mut given =
            self.broadcast.iter().filter(|(_, broadcast)| *broadcast == host).map(|(given, _)| given);
        given.next().filter(|_| given.next().is_none()).map(String::as_str)
    }
}

/// Where somebody is asked.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    first: String,
    /// And where then, if nobody is reached there.
    otherwise: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Silence {
    since: Instant,
    until: Instant,
}

impl Upstream {
    /// Asks so.
    #[must_use]
    pub fn new(exchange: Exchange) -> Self {
        Self { exchange, silent: Mutex::default(), other_ways: Mutex::default() }
    }

    /// What the service at `host:port` answers to a GET.
    ///
    /// # Errors
    /// It does not, refuses, or answers nonsense.
    pub async fn get<T: DeserializeOwned>(
        &self,
        service: Service,
        host: &str,
        target: &str,
        asking: Asking,
    ) -> Result<T, AskError> {
        let way = self.way_to(host);
        match asking {
            Asking::ForAViewer => {
                info!("CI: querying {service} http://{}{target}", way.first);
                self.check_silence(&way.first)?;
            }
            Asking::ToSample => debug!("CI: querying {service} http://{}{target}", way.first),
        }
        let mut request = request(Method::GET, Bytes::new());
        if asking == Asking::ToSample {
            request.headers_mut().insert(WATCHER, HeaderValue::from_static("1"));
        }
        let bytes_max = match (service, asking) {
            (Service::Nsqd, Asking::ToSample) => SAMPLED_BYTES_MAX,
            _ => ANSWER_BYTES_MAX,
        };
        parsed(&self.ask(host, way, target, request, bytes_max).await?)
    }

    /// What the nsqd at `host:port` has, by [`named`].
    ///
    /// # Errors
    /// It does not answer, refuses, or answers nonsense.
    pub async fn stats(&self, host: &str, target: &str, asking: Asking) -> Result<Stats, AskError> {
        self.get(Service::Nsqd, host, target, asking).await.map(named)
    }

    /// Lets the service at `host:port` do something. One that was silent is asked too: somebody wants it done.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn post(
        &self,
        service: Service,
        host: &str,
        target: &str,
        body: Bytes,
    ) -> Result<(), AskError> {
        let way = self.way_to(host);
        info!("CI: querying {service} http://{}{target}", way.first);
        self.ask(host, way, target, request(Method::POST, body), ANSWER_BYTES_MAX).await.map(|_| ())
    }

    /// What nsqds broadcast, by the address that each was given by.
    pub(super) fn note_broadcast(&self, nsqds: impl IntoIterator<Item = (String, String)>) {
        let mut ways = self.lock_other_ways();
        for (given, broadcast) in nsqds {
            if given == broadcast {
                ways.broadcast.remove(&given);
            } else {
                ways.broadcast.insert(given, broadcast);
            }
        }
    }

    fn way_to(&self, host: &str) -> Way {
        let ways = self.lock_other_ways();
        let other = ways.of(host).map(str::to_owned);
        match other {
            Some(other) if ways.preferred.get(host).is_some_and(|until| *until > Instant::now()) => {
                Way { first: other, otherwise: None }
            }
            otherwise => Way { first: host.to_owned(), otherwise },
        }
    }

    /// Asks the service at `host:port`, or, if nobody is reached there, an nsqd where it was given. What may have arrived is
    /// not asked twice.
    async fn ask(
        &self,
        host: &str,
        Way { first, otherwise }: Way,
        target: &str,
        request: Request<Bytes>,
        bytes_max: usize,
    ) -> Result<Bytes, AskError> {
        let Some(other) = otherwise else { return self.ask_at(&first, target, request, bytes_max).await };
        match self.ask_at(&first, target, request.clone(), bytes_max).await {
            Err(AskError::Exchange(why)) if why.is_of_connecting() => {
                let answer = self.ask_at(&other, target, request, bytes_max).await;
                if answer.is_ok() {
                    self.prefer_other_way(host, &other, &why);
                }
                answer
            }
            answer => answer,
        }
    }

    fn prefer_other_way(&self, host: &str, other: &str, why: &ExchangeError) {
        let mut ways = self.lock_other_ways();
        let OtherWays { broadcast, preferred } = &mut *ways;
        preferred.retain(|host, _| broadcast.values().any(|broadcast| broadcast == host));
        if preferred.insert(host.to_owned(), Instant::now() + PREFERRED_FOR).is_none() {
            warn!("CI: nsqd {host} is not reached by what it broadcasts - {why}; it is asked at {other}");
        }
    }

    async fn ask_at(
        &self,
        host: &str,
        target: &str,
        request: Request<Bytes>,
        bytes_max: usize,
    ) -> Result<Bytes, AskError> {
        let answer = self.exchange_with(host, target, request, bytes_max).await;
        self.note_silence(host, &answer);
        answer
    }

    async fn exchange_with(
        &self,
        host: &str,
        target: &str,
        request: Request<Bytes>,
        bytes_max: usize,
    ) -> Result<Bytes, AskError> {
        let url = Url::of_node(host, target.to_owned()).map_err(ExchangeError::from)?;
        let answer = self.exchange.send_for_up_to(bytes_max, &url, request.clone()).await?;
        let answer = match https_port(&answer) {
            Some(port) => {
                self.exchange.send_for_up_to(bytes_max, &url.with_https_port(port), request).await?
            }
            None => answer,
        };
        if answer.status == StatusCode::OK { Ok(answer.body) } else { Err(refused(&answer)) }
    }

    fn check_silence(&self, host: &str) -> Result<(), AskError> {
        let now = Instant::now();
        match self.lock_silent().get(host) {
            Some(silence) if silence.until > now => {
                Err(AskError::Silent(now.saturating_duration_since(silence.since)))
            }
            _ => Ok(()),
        }
    }

    fn note_silence<T>(&self, host: &str, answer: &Result<T, AskError>) {
        let mut silent = self.lock_silent();
        let now = Instant::now();
        match answer {
            Err(AskError::Exchange(error)) if error.is_silence() => {
                silent.retain(|_, silence| silence.until > now);
                let since = silent.get(host).map_or(now, |silence| silence.since);
                silent.insert(host.to_owned(), Silence { since, until: now + SILENT_FOR });
            }
            _ => drop(silent.remove(host)),
        }
    }

    fn lock_silent(&self) -> MutexGuard<'_, HashMap<String, Silence>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_other_ways(&self) -> MutexGuard<'_, OtherWays> {
        self.other_ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn request(method: Method, body: Bytes) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    request.headers_mut().insert(ACCEPT, ACCEPTED);
    request
}

/// Where an nsqd that wants TLS says that it speaks HTTPS.
fn https_port(answer: &Answer) -> Option<u16> {
    #[derive(Deserialize)]
    struct TlsRequired {
        https_port: u16,
    }
    if answer.status != StatusCode::FORBIDDEN {
        return None;
    }
    serde_json::from_slice::<TlsRequired>(&answer.body).ok().map(|said| said.https_port)
}

fn parsed<T: DeserializeOwned>(answer: &[u8]) -> Result<T, AskError> {
    if answer.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() > PARTS_MAX {
        return Err(AskError::TooManyParts);
    }
    // What is wrong is told with what was there instead.
    serde_json::from_slice(answer).map_err(|error| AskError::Json(shown(error.to_string())))
}

fn refused(answer: &Answer) -> AskError {
    let message = match serde_json::from_slice::<ErrorBody>(&answer.body) {
        Ok(error) => error.message,
        Err(_) => String::from_utf8_lossy(&answer.body).into_owned(),
    };
    AskError::Status { status: answer.status, message: shown(message) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use nsq::transport::tls::client::TlsClient;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn answer(body: String) -> Answer {
        Answer { status: StatusCode::BAD_GATEWAY, headers: HeaderMap::new(), body: body.into() }
    }

    /// A server that answers each request with nothing to read, or takes it and says nothing; and how many it took.
    async fn server(answers: bool) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, taken) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&taken);
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                counted.fetch_add(1, Ordering::SeqCst);
                if answers {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
                } else {
                    silent.push(stream);
                }
            }
        });
        (address, taken)
    }

    fn upstream() -> Upstream {
        let tls = TlsClient::load(Path::new(""), false).unwrap();
        let (connect_timeout, request_timeout) = (Duration::from_secs(2), Duration::from_millis(200));
        Upstream::new(Exchange { connect_timeout, request_timeout, tls })
    }

    async fn create(upstream: &Upstream, host: &str) -> Result<(), AskError> {
        upstream.post(Service::Nsqd, host, "/topic/create?topic=t", Bytes::new()).await
    }

    const NOWHERE: &str = "nowhere.invalid:1";

    #[tokio::test]
    async fn an_nsqd_that_broadcasts_what_leads_nowhere_is_asked_where_it_was_given() {
        let (given, taken) = server(true).await;
        let upstream = upstream();
        let broadcast = |what: &str| upstream.note_broadcast([(given.clone(), what.to_owned())]);
        assert!(create(&upstream, NOWHERE).await.is_err());
        for nowhere in [NOWHERE, "127.0.0.1:1", ":1"] {
            broadcast(nowhere);
            create(&upstream, nowhere).await.unwrap();
            assert_eq!(upstream.way_to(nowhere), Way { first: given.clone(), otherwise: None });
            create(&upstream, nowhere).await.unwrap();
        }
        assert_eq!(taken.load(Ordering::SeqCst), 6);
        // It is no longer the one that broadcasts that.
        assert_eq!(upstream.way_to(NOWHERE), Way { first: NOWHERE.to_owned(), otherwise: None });
        broadcast(&given);
        assert!(create(&upstream, ":1").await.is_err());
    }

    #[tokio::test]
    async fn what_two_nsqds_broadcast_leads_to_neither_of_them() {
        let ((one, taken_by_one), (two, taken_by_two)) = (server(true).await, server(true).await);
        let upstream = upstream();
        upstream.note_broadcast([one, two].map(|given| (given, NOWHERE.to_owned())));
        assert!(create(&upstream, NOWHERE).await.is_err());
        assert_eq!((taken_by_one.load(Ordering::SeqCst), taken_by_two.load(Ordering::SeqCst)), (0, 0));
    }

    #[tokio::test]
    async fn what_may_have_arrived_is_not_asked_again_elsewhere() {
        let ((broadcast, taken), (given, taken_there)) = (server(false).await, server(true).await);
        let upstream = upstream();
        upstream.note_broadcast([(given, broadcast.clone())]);
        let answer = create(&upstream, &broadcast).await;
        assert!(matches!(answer, Err(AskError::Exchange(ExchangeError::Timeout(_)))), "{answer:?}");
        assert_eq!((taken.load(Ordering::SeqCst), taken_there.load(Ordering::SeqCst)), (1, 0));
    }

    #[test]
    fn what_is_repeated_of_an_answer_is_short() {
        let long = "x".repeat(1_000_000);
        for error in [
            refused(&answer(format!(r#"{{"message":"{long}"}}"#))),
            refused(&answer(long.clone())),
            parsed::<Stats>(format!(r#"{{"topics":"{long}"}}"#).as_bytes()).unwrap_err(),
        ] {
            assert!(error.to_string().len() < 300, "{error}");
        }
        let topics = vec!["[]"; PARTS_MAX].join(",");
        let many = parsed::<Stats>(format!(r#"{{"topics":[{topics}]}}"#).as_bytes());
        assert!(matches!(many, Err(AskError::TooManyParts)), "{many:?}");
    }
}
