//! Where records go: to one or several nsqd, many on their way, each accounted for.
//!
//! Records have numbers, from 1 on. One is confirmed when every nsqd that is to have it has confirmed it; the first that
//! is not is remembered with its reason.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use nsq::client::{Confirmation, Producer, ProducerOptions, PublishError};
use nsq::wire::name::TopicName;

/// How many records may be on their way.
const UNCONFIRMED_MAX: usize = 1000;

/// While records of so many bytes are on their way, no more follow.
const UNCONFIRMED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The nsqd that get every record.
pub(super) struct Outlet {
    topic: TopicName,
    defer: Option<Duration>,
    /// Each gets every record; named as the user named it.
    producers: Vec<(String, Producer)>,
    unconfirmed: VecDeque<Sent>,
    unconfirmed_bytes: usize,
    /// What became of the records so far.
    pub(super) tally: Tally,
}

/// How many records met what.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) confirmed: u64,
    pub(super) failed: u64,
    /// Set exactly when one failed.
    pub(super) first_failure: Option<Failed>,
}

/// A record that was not published.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) number: u64,
    pub(super) address: String,
    pub(super) error: PublishError,
}

/// A record that is on its way.
struct Sent {
    number: u64,
    bytes: usize,
    /// Those that have not come yet, with the place of the producer in `producers`.
    confirmations: Vec<(usize, Confirmation)>,
    has_failed: bool,
}

impl Outlet {
    /// Every record goes to each of the `groups`; the addresses of a group stand in for each other.
    pub(super) fn start(
        topic: TopicName,
        defer: Option<Duration>,
        groups: Vec<Vec<String>>,
        options: &ProducerOptions,
    ) -> Result<Self, String> {
        let options = ProducerOptions { max_in_flight: UNCONFIRMED_MAX, ..options.clone() };
        let start = |group: Vec<String>| {
            let name = group.join(" or ");
            let producer = Producer::start(group, options.clone()).map_err(|error| error.to_string())?;
            Ok((name, producer))
        };
        Ok(Self {
            topic,
            defer,
            producers: groups.into_iter().map(start).collect::<Result<_, String>>()?,
            unconfirmed: VecDeque::new(),
            unconfirmed_bytes: 0,
            tally: Tally::default(),
        })
    }

    /// Whether a record may follow now.
    pub(super) fn has_room(&self) -> bool {
        self.unconfirmed.len() < UNCONFIRMED_MAX && self.unconfirmed_bytes < UNCONFIRMED_BYTES_MAX
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.unconfirmed.is_empty()
    }

    /// Sends a record. Where there is [room](Self::has_room), this does not wait.
    pub(super) async fn send(&mut self, record: Bytes) {
        self.tally.sent += 1;
        let number = self.tally.sent;
        let mut sent = Sent { number, bytes: record.len(), confirmations: Vec::new(), has_failed: false };
        for (place, (address, producer)) in self.producers.iter().enumerate() {
            let accepted = match self.defer {
                Some(delay) => producer.enqueue_deferred(&self.topic, delay, record.clone()).await,
                None => producer.enqueue(&self.topic, record.clone()).await,
            };
            match accepted {
                Ok(confirmation) => sent.confirmations.push((place, confirmation)),
                Err(error) => self.tally.handle_failed(&mut sent, address, error),
            }
        }
        self.unconfirmed_bytes += sent.bytes;
        self.unconfirmed.push_back(sent);
    }

    /// Waits until it is known what became of the oldest record that is on its way. Cancel safe.
    pub(super) async fn settle(&mut self) {
        let Some(oldest) = self.unconfirmed.front_mut() else { return };
        while let Some((place, confirmation)) = oldest.confirmations.last_mut() {
            let (place, outcome) = (*place, confirmation.await);
            oldest.confirmations.pop();
            if let Err(error) = outcome {
                self.tally.handle_failed(oldest, &self.producers[place].0, error);
            }
        }
        if !oldest.has_failed {
            self.tally.confirmed += 1;
        }
        self.unconfirmed_bytes -= oldest.bytes;
        self.unconfirmed.pop_front();
    }

    /// Says good-bye to all. To be called when nothing is on its way.
    pub(super) async fn close(self) {
        for (_, producer) in &self.producers {
            producer.close().await;
        }
    }
}

impl Tally {
    /// How many records are on their way.
    pub(super) fn unknown(&self) -> u64 {
        self.sent - self.confirmed - self.failed
    }

    fn handle_failed(&mut self, sent: &mut Sent, address: &str, error: PublishError) {
        if !sent.has_failed {
            sent.has_failed = true;
            self.failed += 1;
        }
        if self.first_failure.is_none() {
            self.first_failure = Some(Failed { number: sent.number, address: address.to_owned(), error });
        }
    }
}
