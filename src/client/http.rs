//! nsqd's HTTP API (spec nsqd-http.md): health, statistics, publishing, and what is done to topics and channels.

mod exchange;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

pub use self::exchange::HttpError;
pub(super) use self::exchange::{Server, escape};
use crate::api::info::Info;
use crate::api::stats::Stats;
use crate::wire::encode;
use crate::wire::name::{ChannelName, TopicName};

/// One nsqd, asked over HTTP. Each request has a connection of its own.
///
/// ```no_run
/// use nsq::client::HttpClient;
/// use nsq::wire::name::TopicName;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let nsqd = HttpClient::new("127.0.0.1:4151");
/// let topic = TopicName::parse("greetings").ok_or("not a name")?;
/// nsqd.publish(&topic, "hello").await?;
/// for topic in nsqd.stats().await?.topics.unwrap_or_default() {
///     println!("{}: {} messages wait", topic.topic_name, topic.depth);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HttpClient {
    server: Server,
}

/// What can be done to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Make it, if it is not there.
    Create,
    /// Remove it with its messages, and disconnect its consumers.
    Delete,
    /// Drop the messages that wait.
    Empty,
    /// Hand no more messages on.
    Pause,
    /// Hand messages on again.
    Unpause,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Empty => "empty",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
        })
    }
}

/// Each request fails with an [`HttpError`]: the server cannot be reached, refuses, or answers nonsense.
#[expect(clippy::missing_errors_doc, reason = "said once, for all")]
impl HttpClient {
    /// A client of the nsqd whose HTTP port is at `host:port` (or `http://host:port`).
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self { server: Server::new(address) }
    }

    /// With this limit to how long a request may take, connecting included, instead of 10 s.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { server: self.server.with_timeout(timeout) }
    }

    /// With a limit to how long connecting may take, and one to how long the answer may take after that.
    #[must_use]
    pub fn with_timeouts(self, connect: Duration, request: Duration) -> Self {
        Self { server: self.server.with_timeouts(connect, request) }
    }

    /// For whoever asks again and again: an nsqd of this project writes what it answers well to its log at the level debug only.
    #[must_use]
    pub fn watching(self) -> Self {
        Self { server: self.server.watched() }
    }

    /// The `host:port` that is asked.
    #[must_use]
    pub fn address(&self) -> &str {
        self.server.address()
    }

    /// Whether nsqd is healthy; if not, the error says what is wrong.
    pub async fn ping(&self) -> Result<(), HttpError> {
        self.server.get("/ping").await.map(|_| ())
    }

    /// Who this nsqd is.
    pub async fn info(&self) -> Result<Info, HttpError> {
        self.server.get_json("/info").await
    }

    /// Everything that nsqd counts.
    pub async fn stats(&self) -> Result<Stats, HttpError> {
        self.server.get_json("/stats?format=json").await
    }

    /// What nsqd counts for topics and channels, their clients only by number: for whoever asks often.
    pub async fn counts(&self) -> Result<Stats, HttpError> {
        self.server.get_json("/stats?format=json&include_clients=false&include_mem=false").await
    }

    /// What nsqd counts for one topic; without clients unless asked for.
    pub async fn topic_stats(&self, topic: &TopicName, with_clients: bool) -> Result<Stats, HttpError> {
        let topic = escape(topic.as_str());
        let target =
            format!("/stats?format=json&topic={topic}&include_clients={with_clients}&include_mem=false");
        self.server.get_json(&target).await
    }

    /// Publishes a message.
    pub async fn publish(&self, topic: &TopicName, body: impl Into<Bytes>) -> Result<(), HttpError> {
        self.server.post(&format!("/pub?topic={}", escape(topic.as_str())), body.into()).await
    }

    /// Publishes a message that is delivered after `delay`, in whole milliseconds.
    pub async fn publish_deferred(
        &self,
        topic: &TopicName,
        delay: Duration,
        body: impl Into<Bytes>,
    ) -> Result<(), HttpError> {
        let target = format!("/pub?topic={}&defer={}", escape(topic.as_str()), delay.as_millis());
        self.server.post(&target, body.into()).await
    }

    /// Publishes several messages at once, all or none as far as nsqd's checks go.
    pub async fn publish_many<B: Into<Bytes>>(
        &self,
        topic: &TopicName,
        bodies: impl IntoIterator<Item = B>,
    ) -> Result<(), HttpError> {
        let bodies: Vec<Bytes> = bodies.into_iter().map(Into::into).collect();
        let mut batch = Vec::new();
        encode::batch(&mut batch, &bodies);
        let target = format!("/mpub?topic={}&binary=true", escape(topic.as_str()));
        self.server.post(&target, batch.into()).await
    }

    /// Does something to a topic.
    pub async fn topic(&self, action: Action, topic: &TopicName) -> Result<(), HttpError> {
        let target = format!("/topic/{action}?topic={}", escape(topic.as_str()));
        self.server.post(&target, Bytes::new()).await
    }

    /// Does something to a channel. The topic must exist.
    pub async fn channel(
        &self,
        action: Action,
        topic: &TopicName,
        channel: &ChannelName,
    ) -> Result<(), HttpError> {
        let (topic, channel) = (escape(topic.as_str()), escape(channel.as_str()));
        let target = format!("/channel/{action}?topic={topic}&channel={channel}");
        self.server.post(&target, Bytes::new()).await
    }
}
