//! The nsqd that is measured, as the generator sees it: where it listens, what it counts, what it uses.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use nsq::api::stats::TopicStats;
use nsq::client::{Action, HttpClient};
use nsq::wire::name::{ChannelName, TopicName};
use tokio::runtime::Runtime;

use super::usage::{Memory, Usage};
use crate::failure::{Failure, causes};

/// How long nsqd may take until it has counted what it has answered.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is asked meanwhile.
const SETTLE_INTERVAL: Duration = Duration::from_millis(2);

/// A running nsqd.
pub(super) struct Target {
    pub place: Place,
    /// `None` where it cannot be asked: then what it counts is not checked.
    http: Option<HttpClient>,
    /// `None` where it is not known which process it is: then what it uses is not measured.
    usage: Option<Usage>,
    runtime: Runtime,
}

/// All that a connection needs to know of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub tcp: SocketAddr,
    /// How long it may be silent, or take nothing, where it should not.
    pub patience: Duration,
}

impl Target {
    pub(super) fn new(place: Place, http: Option<String>, process: Option<u32>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let http = http.map(|address| HttpClient::new(address).with_timeout(SETTLE_TIMEOUT));
        Ok(Self { place, http, usage: process.map(Usage::of), runtime })
    }

    /// The processor time it has had.
    pub(super) fn processor_time(&self) -> Option<Duration> {
        self.usage?.processor_time()
    }

    pub(super) fn memory(&self) -> Option<Memory> {
        self.usage?.memory()
    }

    /// Makes a channel, and its topic.
    pub(super) fn create_channel(&self, topic: &TopicName, channel: &ChannelName) -> Result<(), Failure> {
        let Some(http) = &self.http else { return Ok(()) };
        let done = self.runtime.block_on(async {
            http.topic(Action::Create, topic).await?;
            http.channel(Action::Create, topic, channel).await
        });
        Ok(done.map_err(|error| causes(&error))?)
    }

    /// Deletes a topic with all that is left of it.
    pub(super) fn delete_topic(&self, topic: &TopicName) -> Result<(), Failure> {
        let Some(http) = &self.http else { return Ok(()) };
        Ok(self.runtime.block_on(http.topic(Action::Delete, topic)).map_err(|error| causes(&error))?)
    }

    /// Where it takes HTTP requests.
    pub(super) fn http_address(&self) -> Result<SocketAddr, Failure> {
        let address = self.http.as_ref().map(HttpClient::address);
        let address = address.ok_or_else(|| "this workload wants the HTTP address of nsqd".to_owned())?;
        let mut found = address.to_socket_addrs().map_err(|error| format!("{address}: {error}"))?;
        Ok(found.next().ok_or_else(|| format!("{address} has no address"))?)
    }

    /// How many topics it counts, whose names begin so.
    pub(super) fn topics(&self, prefix: &str) -> Result<Option<usize>, Failure> {
        let Some(http) = &self.http else { return Ok(None) };
        let stats = self.runtime.block_on(http.counts()).map_err(|error| causes(&error))?;
        let topics = stats.topics.unwrap_or_default();
        Ok(Some(topics.iter().filter(|topic| topic.topic_name.starts_with(prefix)).count()))
    }

    /// Lets time pass.
    pub(super) fn wait(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// Checks that it counts as many messages as it has confirmed.
    pub(super) fn expect_published(&self, topic: &TopicName, messages: u64) -> Result<(), Failure> {
        match self.topic(topic)? {
            Some(counted) if counted.message_count != messages => Err(Failure::Failed(format!(
                "nsqd confirmed {messages} messages and counts {}",
                counted.message_count
            ))),
            _ => Ok(()),
        }
    }

    /// Waits until nothing is left in any channel: the last FIN may still be on its way.
    pub(super) fn expect_finished(&self, topic: &TopicName) -> Result<(), Failure> {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        loop {
            let Some(counted) = self.topic(topic)? else { return Ok(()) };
            let left = counted
                .channels
                .iter()
                .map(|channel| channel.depth + channel.in_flight_count + channel.deferred_count);
            let left: i64 = counted.depth + left.sum::<i64>();
            if left == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Failure::Failed(format!(
                    "all was finished, and nsqd still counts {left} messages"
                )));
            }
            self.wait(SETTLE_INTERVAL);
        }
    }

    /// What it counts; `None` where it cannot be asked.
    fn topic(&self, topic: &TopicName) -> Result<Option<TopicStats>, Failure> {
        let Some(http) = &self.http else { return Ok(None) };
        let stats = self.runtime.block_on(http.topic_stats(topic, false)).map_err(|error| causes(&error))?;
        let found =
            stats.topics.unwrap_or_default().into_iter().find(|found| found.topic_name == topic.as_str());
        match found {
            Some(found) => Ok(Some(found)),
            None => Err(Failure::Failed(format!("nsqd does not know the topic {}", topic.as_str()))),
        }
    }
}
