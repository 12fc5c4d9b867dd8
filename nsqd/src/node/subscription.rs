//! A client's place on a channel: what its session does there.

use std::sync::Arc;
use std::time::Duration;

use nsq::wire::message::MessageId;
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::{AckError, ConsumerKey, ConsumerSettings, Delivery, SubscribeError};

use super::Node;
use super::client::Client;
use super::topic::{Deleted, Locked, TopicHandle};

/// What a consumer says about its messages, or about how many it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It may have so many messages in flight.
    Ready(u64),
    /// It is done with a message.
    Finish(MessageId),
    /// It gives a message back, to be delivered again after the delay.
    Requeue(MessageId, Duration),
    /// It needs a message for the time given, from now.
    Touch(MessageId, Duration),
}

/// Why a client could not subscribe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscribeFailure {
    /// The daemon is stopping.
    Exiting,
    /// The channel has as many consumers as it may have.
    TooManyConsumers {
        /// How many that is.
        limit: u64,
    },
}

/// A client's place on a channel. Whoever has it must `end` it.
pub struct Subscription {
    topic: Arc<TopicHandle>,
    key: ConsumerKey,
    channel: ChannelName,
}

impl Node {
    /// Subscribes a client to a channel; topic and channel are made if they are not there.
    pub fn subscribe(
        &self,
        client: &Arc<Client>,
        topic: TopicName,
        channel: ChannelName,
        settings: ConsumerSettings,
    ) -> Result<Subscription, SubscribeFailure> {
        loop {
            if self.is_exiting() {
                return Err(SubscribeFailure::Exiting);
            }
            let handle = self.topic_or_new(&topic);
            let subscribed = handle.with(|Locked { topic, clients, now }| {
                let is_new = topic.channel(&channel).is_none();
                let channel = topic.create_channel(now, channel);
                let key = topic.subscribe(channel, settings.clone())?;
                clients.insert(key, Arc::clone(client));
                Ok((key, is_new))
            });
            // The topic or channel may go at this moment: then the next of that name is taken.
            let (key, is_new) = match subscribed {
                Err(Deleted) | Ok(Err(SubscribeError::NoChannel)) => continue,
                Ok(Err(SubscribeError::TooManyConsumers { limit })) => {
                    return Err(SubscribeFailure::TooManyConsumers { limit });
                }
                Ok(Ok(subscribed)) => subscribed,
            };
            if is_new {
                self.topology_changed();
            }
            return Ok(Subscription { topic: handle, key, channel });
        }
    }
}

impl Subscription {
    /// Applies the client's answers, then gives it what it may have: about `bytes_max` bytes of message frames, appended
    /// to `out`. One lock for all. `refused` gets every answer that was refused. Returns whether to ask again
    /// at once; if not, the client is woken when there is more.
    pub fn exchange(
        &self,
        answers: &[Answer],
        msg_timeout_max: Duration,
        bytes_max: usize,
        out: &mut Vec<u8>,
        mut refused: impl FnMut(Answer, AckError, &mut Vec<u8>),
    ) -> bool {
        let exchanged = self.topic.with(|Locked { topic, now, .. }| {
            for answer in answers {
                let outcome = match *answer {
                    Answer::Ready(count) => {
                        topic.set_ready(self.key, count);
                        Ok(())
                    }
                    Answer::Finish(id) => topic.finish(now, self.key, id),
                    Answer::Requeue(id, delay) => topic.requeue(now, self.key, id, delay),
                    Answer::Touch(id, timeout) => topic.touch(now, self.key, id, timeout, msg_timeout_max),
                };
                if let Err(error) = outcome {
                    refused(*answer, error, out);
                }
            }
            topic.deliver(now, self.key, bytes_max, |delivery: Delivery<'_>| delivery.write_to(out))
        });
        exchanged.unwrap_or_else(|Deleted| {
            for answer in answers.iter().filter(|answer| !matches!(answer, Answer::Ready(_))) {
                refused(*answer, AckError::NotInFlight, out);
            }
            false
        })
    }

    /// Gives the place up. An ephemeral channel goes with its last consumer.
    pub fn end(self, node: &Node) {
        let gone = self.topic.with(|Locked { topic, clients, now }| {
            clients.remove(&self.key);
            let deleted = topic.unsubscribe(now, self.key).deleted_channel;
            (deleted, topic.channels().next().is_none())
        });
        if let Ok((Some(_), was_last)) = gone {
            tracing::info!(topic = %self.topic.name, channel = %self.channel, "CHANNEL({}): deleting", self.channel);
            node.channel_deleted(&self.topic, was_last);
        }
    }
}
