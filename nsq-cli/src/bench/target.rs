//! The nsqd that is measured, as the generator sees it: where it listens, what it counts, what it uses.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nsq::api::stats::{ChannelStats, TopicStats};
use nsq::client::{Action, HttpClient, HttpError};
use nsq::wire::name::{ChannelName, TopicName};
use tokio::runtime::Runtime;

use super::idle::Idle;
use super::interrupt::Interrupt;
use super::moved::Moved;
use super::usage::{Memory, ProcessorTime, Usage};
use crate::failure::{Failure, causes, printable};

/// How long nsqd may take until it has counted what it has answered.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is asked meanwhile, at first and in the end.
const SETTLE_INTERVAL: Duration = Duration::from_millis(2);
const SETTLE_INTERVAL_MAX: Duration = Duration::from_millis(50);

/// How long one who waits does not look whether it is to end.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// A running nsqd.
pub(super) struct Target {
    pub place: Place,
    /// `None` where it cannot be asked: then what it counts is not checked.
    http: Option<HttpClient>,
    /// `None` where it is not known who it is: then what it uses is not measured.
    usage: Option<Usage>,
    runtime: Runtime,
}

/// All that those who move something need to know of it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub tcp: SocketAddr,
    /// How long it may be silent, or take nothing, where it should not.
    pub patience: Duration,
    /// Where is counted what is moved.
    pub moved: Arc<Moved>,
    /// Whether to end before it is done.
    pub interrupt: Arc<Interrupt>,
}

#[cfg(test)]
impl Place {
    /// For tests of what needs no nsqd.
    pub(super) fn nowhere() -> Self {
        let (moved, interrupt) = (Arc::default(), Arc::default());
        Self { tcp: ([127, 0, 0, 1], 0).into(), patience: Duration::from_secs(30), moved, interrupt }
    }
}

impl Target {
    pub(super) fn new(place: Place, http: Option<String>, usage: Option<Usage>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let http = http.map(|address| HttpClient::new(address).with_timeout(SETTLE_TIMEOUT));
        Ok(Self { place, http, usage, runtime })
    }

    /// The processor time it has had.
    pub(super) fn processor_time(&self) -> Option<ProcessorTime> {
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

    /// Deletes all topics whose names begin so, with all that is left in them.
    pub(super) fn delete_topics(&self, prefix: &str) -> Result<(), Failure> {
        let Some(http) = &self.http else { return Ok(()) };
        let done = self.runtime.block_on(async {
            let topics = http.counts().await?.topics.unwrap_or_default();
            let names = topics.iter().filter(|topic| topic.topic_name.starts_with(prefix));
            for name in names.filter_map(|topic| TopicName::parse(&topic.topic_name)) {
                http.topic(Action::Delete, &name).await?;
            }
            Ok(())
        });
        done.map_err(|error: HttpError| causes(&error).into())
    }

    /// The version that it says it is of; `None` where it cannot be asked.
    pub(super) fn version(&self) -> Result<Option<String>, Failure> {
        let Some(http) = &self.http else { return Ok(None) };
        let info = self.runtime.block_on(http.info()).map_err(|error| causes(&error))?;
        Ok(Some(printable(&info.version)))
    }

    /// Where it takes HTTP requests.
    pub(super) fn http_address(&self) -> Result<SocketAddr, Failure> {
        let address = self.http.as_ref().map(HttpClient::address);
        let address = address.ok_or_else(|| "this workload wants the HTTP address of nsqd".to_owned())?;
        let mut found = address.to_socket_addrs().map_err(|error| format!("{address}: {error}"))?;
        Ok(found.next().ok_or_else(|| format!("{address} has no address"))?)
    }

    /// Waits until it counts so many topics whose names begin so, each with one message in its one channel.
    pub(super) fn expect_topics(&self, prefix: &str, count: u64) -> Result<(), Failure> {
        let Some(http) = &self.http else { return Ok(()) };
        self.settle(|| {
            let stats = self.runtime.block_on(http.counts()).map_err(|error| causes(&error))?;
            let topics = stats.topics.unwrap_or_default();
            let is_well = |topic: &&TopicStats| match &topic.channels[..] {
                [channel] => topic.message_count == 1 && topic.depth == 0 && channel.depth == 1,
                _ => false,
            };
            let named = topics.iter().filter(|topic| topic.topic_name.starts_with(prefix));
            let (named, well) = (named.clone().count() as u64, named.filter(is_well).count() as u64);
            let why =
                format!("{count} topics were made, and nsqd counts {named}, {well} of them with a message");
            Ok(if (named, well) == (count, count) { Ok(()) } else { Err(why) })
        })
    }

    /// Waits until each channel has had so many messages, which nobody has taken.
    pub(super) fn expect_waiting(&self, topic: &TopicName, messages: u64) -> Result<(), Failure> {
        self.settle(|| {
            let Some(counted) = self.topic(topic)? else { return Ok(Ok(())) };
            let count = |channel: &ChannelStats| u64::try_from(channel.depth).unwrap_or(0);
            let wrong = counted.channels.iter().map(count).find(|depth| *depth != messages);
            let why =
                |depth| format!("{messages} messages were to wait in each channel, and {depth} do in one");
            Ok(wrong.map_or(Ok(()), |depth| Err(why(depth))))
        })
    }

    /// Checks that it still counts so many consumers.
    pub(super) fn expect_consumers(&self, topic: &TopicName, consumers: u64) -> Result<(), Failure> {
        let Some(counted) = self.topic(topic)? else { return Ok(()) };
        let found: i64 = counted.channels.iter().map(|channel| channel.client_count).sum();
        if u64::try_from(found) == Ok(consumers) {
            return Ok(());
        }
        Err(Failure::Failed(format!("{consumers} consumers wait, and nsqd counts {found}")))
    }

    /// Lets time pass.
    pub(super) fn wait(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// Has connections wait, from now on, in [`pass`](Self::pass).
    pub(super) fn idle(&self, sockets: Vec<TcpStream>) -> Result<Idle, Failure> {
        self.runtime.block_on(async { Idle::new(sockets, &self.place.moved) })
    }

    /// Lets time pass in which nothing is to happen, but for heartbeats on these.
    pub(super) fn pass(&self, idle: &mut Idle, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.place.interrupt.check()?;
            self.runtime.block_on(idle.pass(left.min(LOOK_INTERVAL)))?;
        }
        Ok(())
    }

    /// Waits until it answers `GET /ping` with a 200.
    pub(super) fn ping(&self) -> Result<(), Failure> {
        let Some(http) = &self.http else { return Ok(()) };
        self.settle(|| Ok(self.runtime.block_on(http.ping()).map_err(|error| causes(&error))))
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
        self.settle(|| {
            let Some(counted) = self.topic(topic)? else { return Ok(Ok(())) };
            let left = counted
                .channels
                .iter()
                .map(|channel| channel.depth + channel.in_flight_count + channel.deferred_count);
            let left: i64 = counted.depth + left.sum::<i64>();
            let why = || format!("all was finished, and nsqd still counts {left} messages");
            Ok(if left == 0 { Ok(()) } else { Err(why()) })
        })
    }

    /// Looks again and again until all is as it should be. What it looks at says what is not; once that has been so for
    /// too long, it is a failure.
    fn settle(&self, look: impl Fn() -> Result<Result<(), String>, Failure>) -> Result<(), Failure> {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        let mut interval = SETTLE_INTERVAL;
        loop {
            self.place.interrupt.check()?;
            match look()? {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() > deadline => return Err(Failure::Failed(why)),
                Err(_) => self.wait(interval),
            }
            // What takes long is not to be held up by being looked at.
            interval = (2 * interval).min(SETTLE_INTERVAL_MAX);
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
