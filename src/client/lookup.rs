//! nsqlookupd's HTTP API (spec nsqlookupd.md, §7): where topics live, and what it is told by others than nsqd.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::http::{HttpError, Server, escape};
use crate::api::json::null_as_default;
use crate::api::lookup::Info;
use crate::wire::lookup::dialled_address;
use crate::wire::name::{ChannelName, TopicName};

/// One nsqlookupd, asked over HTTP. Each request has a connection of its own.
///
/// ```no_run
/// use nsq::client::LookupClient;
/// use nsq::wire::name::TopicName;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lookupd = LookupClient::new("127.0.0.1:4161");
/// let topic = TopicName::parse("greetings").ok_or("not a name")?;
/// for nsqd in lookupd.lookup(&topic).await?.producers {
///     println!("{} has messages of {topic}", nsqd.broadcast_address);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LookupClient {
    server: Server,
}

/// Where a topic lives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Whereabouts {
    /// The topic's channels.
    #[serde(deserialize_with = "null_as_default")]
    pub channels: Vec<String>,
    /// The nsqd that have the topic.
    #[serde(deserialize_with = "null_as_default")]
    pub producers: Vec<Node>,
}

/// An nsqd, as nsqlookupd knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Where nsqlookupd sees it.
    pub remote_address: String,
    /// What it calls its host.
    pub hostname: String,
    /// The address it wants to be reached at.
    pub broadcast_address: String,
    /// Its TCP port, as it said: it may be none.
    pub tcp_port: i64,
    /// Its HTTP port, as it said: it may be none.
    pub http_port: i64,
    /// Its version.
    pub version: String,
    /// Where it is, finely.
    pub topology_zone: String,
    /// Where it is, coarsely.
    pub topology_region: String,
    /// In an answer to `/nodes`, for each of `topics`: whether it is hidden for that topic.
    #[serde(deserialize_with = "null_as_default")]
    pub tombstones: Vec<bool>,
    /// In an answer to `/nodes`: its topics.
    #[serde(deserialize_with = "null_as_default")]
    pub topics: Vec<String>,
}

impl Node {
    /// Where it takes TCP clients, `host:port`; `None` where what it said cannot be dialled.
    #[must_use]
    pub fn tcp_address(&self) -> Option<String> {
        dialled_address(&self.broadcast_address, self.tcp_port)
    }

    /// Where it takes HTTP requests, `host:port`; `None` where what it said cannot be dialled.
    #[must_use]
    pub fn http_address(&self) -> Option<String> {
        dialled_address(&self.broadcast_address, self.http_port)
    }
}

/// Each request fails with an [`HttpError`]: the server cannot be reached, refuses, or answers nonsense.
#[expect(clippy::missing_errors_doc, reason = "said once, for all")]
impl LookupClient {
    /// A client of the nsqlookupd whose HTTP port is at `host:port` (or `http://host:port`).
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

    /// With this limit to how many bytes an answer may have, instead of 256 MiB.
    #[must_use]
    pub fn with_answer_max(self, bytes: usize) -> Self {
        Self { server: self.server.with_answer_max(bytes) }
    }

    /// The `host:port` that is asked.
    #[must_use]
    pub fn address(&self) -> &str {
        self.server.address()
    }

    /// Where a topic lives. That it is not known is an error, see [`HttpError::is_not_found`].
    pub async fn lookup(&self, topic: &TopicName) -> Result<Whereabouts, HttpError> {
        self.server.get_json(&format!("/lookup?topic={}", escape(topic.as_str()))).await
    }

    /// The names of all topics.
    pub async fn topics(&self) -> Result<Vec<String>, HttpError> {
        let answer: Topics = self.server.get_json("/topics").await?;
        Ok(answer.topics)
    }

    /// The names of a topic's channels; none where the topic is not known.
    pub async fn channels(&self, topic: &TopicName) -> Result<Vec<String>, HttpError> {
        let answer: Channels =
            self.server.get_json(&format!("/channels?topic={}", escape(topic.as_str()))).await?;
        Ok(answer.channels)
    }

    /// All nsqd, with their topics.
    pub async fn nodes(&self) -> Result<Vec<Node>, HttpError> {
        let answer: Whereabouts = self.server.get_json("/nodes").await?;
        Ok(answer.producers)
    }

    /// Whether nsqlookupd answers.
    pub async fn ping(&self) -> Result<(), HttpError> {
        self.server.get("/ping").await.map(|_| ())
    }

    /// Which version of NSQ this nsqlookupd behaves as.
    pub async fn info(&self) -> Result<Info, HttpError> {
        self.server.get_json("/info").await
    }

    /// Makes a topic known before an nsqd has it.
    pub async fn create_topic(&self, topic: &TopicName) -> Result<(), HttpError> {
        self.post(format!("/topic/create?topic={}", escape(topic.as_str()))).await
    }

    /// Makes a channel known, and its topic, before an nsqd has them: for nsqd that ask, when they make a topic, which
    /// channels it has elsewhere.
    pub async fn create_channel(&self, topic: &TopicName, channel: &ChannelName) -> Result<(), HttpError> {
        let (topic, channel) = (escape(topic.as_str()), escape(channel.as_str()));
        self.post(format!("/channel/create?topic={topic}&channel={channel}")).await
    }

    /// Forgets a topic and its channels, if it is known. The nsqd that have it are not told; to remove it for good,
    /// delete it there too.
    pub async fn delete_topic(&self, topic: &TopicName) -> Result<(), HttpError> {
        self.post(format!("/topic/delete?topic={}", escape(topic.as_str()))).await
    }

    /// Forgets a channel. The nsqd that have it are not told. That it is not known is an error, see
    /// [`HttpError::is_not_found`].
    pub async fn delete_channel(&self, topic: &TopicName, channel: &ChannelName) -> Result<(), HttpError> {
        let (topic, channel) = (escape(topic.as_str()), escape(channel.as_str()));
        self.post(format!("/channel/delete?topic={topic}&channel={channel}")).await
    }

    /// Leaves an nsqd out of the answers about a topic for a while (nsqlookupd's `--tombstone-lifetime`), so that the
    /// topic can be deleted there and consumers do not make it again. `node` is the nsqd's
    /// [`http_address`](Node::http_address); one that does not have the topic is no error.
    pub async fn tombstone(&self, topic: &TopicName, node: &str) -> Result<(), HttpError> {
        let (topic, node) = (escape(topic.as_str()), escape(node));
        self.post(format!("/topic/tombstone?topic={topic}&node={node}")).await
    }

    async fn post(&self, target: String) -> Result<(), HttpError> {
        self.server.post(&target, Bytes::new()).await
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Topics {
    #[serde(deserialize_with = "null_as_default")]
    topics: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Channels {
    #[serde(deserialize_with = "null_as_default")]
    channels: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_v1_3_0_is_read() {
        let captured = r#"{"channels":["c"],"producers":[{"remote_address":"127.0.0.1:35054","hostname":"hh","broadcast_address":"hostA","tcp_port":10,"http_port":11,"version":"1.2.3","topology_zone":"z1","topology_region":"r1"}]}"#;
        let found: Whereabouts = serde_json::from_str(captured).unwrap();
        assert_eq!(found.channels, ["c"]);
        assert_eq!(found.producers[0].tcp_address().as_deref(), Some("hostA:10"));
        assert_eq!(found.producers[0].http_address().as_deref(), Some("hostA:11"));
        let empty: Whereabouts = serde_json::from_str(r#"{"producers":null,"more":1}"#).unwrap();
        assert_eq!(empty, Whereabouts::default());
    }

    #[test]
    fn only_what_can_be_dialled_is_an_address() {
        for (host, port, address) in [
            ("h", 4150, Some("h:4150")),
            ("::1", 4150, Some("[::1]:4150")),
            ("[::1]", 4150, Some("[::1]:4150")),
            ("", 4150, None),
            ("h", 0, None),
            ("h", -1, None),
            ("h", 99_999_999, None),
        ] {
            let node = Node { broadcast_address: host.to_owned(), tcp_port: port, ..Node::default() };
            assert_eq!(node.tcp_address().as_deref(), address, "{host} {port}");
        }
    }
}
