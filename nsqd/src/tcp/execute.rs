//! Actions to effects: what a connection asks for is gathered while it stays the same, and done at once.
//!
//! Publishes to one topic become one batch under one lock; answers and the deliveries that they make room for
//! share one lock too.

use std::time::Duration;

use nsq::wire::error::ProtocolError;
use nsq::wire::frame;
use nsq::wire::name::TopicName;
use nsqd_broker::{ConsumerSettings, Locality, Publication};

use super::Context;
use super::outbox::Outbox;
use super::protocol::{Action, Bodies, Protocol, PublishKind};
use crate::node::{Answer, SubscribeFailure, Subscription};
use std::sync::Arc;

use crate::node::Client;

/// Gathered publishes are handed over when they are this large, in bytes of bodies.
const GATHERED_BYTES_MAX: u64 = 1024 * 1024;

/// No more is put into an outbox that holds this many bytes; a client that does not read gets no more.
pub(super) const OUTBOX_BYTES_MAX: usize = 64 * 1024;

/// What a connection does at the node.
pub(super) struct Executor<'c> {
    context: &'c Context,
    client: Arc<Client>,
    subscription: Option<Subscription>,
    gathered: Option<Gathered>,
    answers: Vec<Answer>,
    /// Whether there may be messages to ask for.
    wants_messages: bool,
    /// Whether the node counts on this client to ask for messages, or to say that it has no room.
    woken: bool,
    /// Whether a message was taken from the client, or finished by it.
    has_moved: bool,
}

/// Publishes that wait to be handed over together.
struct Gathered {
    kind: PublishKind,
    topic: TopicName,
    /// Deferred ones have a delay each; they are not gathered with others.
    messages: Publication,
    /// How many commands brought them: so many times `OK` is answered.
    commands: usize,
}

impl<'c> Executor<'c> {
    pub(super) fn new(context: &'c Context, client: Arc<Client>) -> Self {
        Self {
            context,
            client,
            subscription: None,
            gathered: None,
            answers: Vec::new(),
            wants_messages: false,
            woken: false,
            has_moved: false,
        }
    }

    /// Does what `action` says, or gathers it to be done with the next. An error ends the connection.
    pub(super) async fn execute(
        &mut self,
        action: Action<'_>,
        protocol: &Protocol<'_>,
        out: &mut Outbox,
    ) -> Result<(), ProtocolError> {
        match action {
            // A client's rights are the session's business: they may have to be waited for.
            Action::Nothing | Action::Authorize(_) => {}
            Action::Publish { kind, topic, bodies, delay } => {
                self.gather(kind, topic, &bodies, delay, out).await?;
            }
            Action::Ready(count) => self.answers.push(Answer::Ready(count)),
            Action::Finish(id) => {
                self.has_moved = true;
                self.answers.push(Answer::Finish(id));
            }
            Action::Requeue(id, delay) => self.answers.push(Answer::Requeue(id, delay)),
            Action::Touch(id, timeout) => self.answers.push(Answer::Touch(id, timeout)),
            // To put layers around the connection is the session's business.
            Action::Identified { response, upgrade: _ } => {
                self.flush(out).await?;
                self.introduce(protocol);
                out.respond(&response);
            }
            Action::Subscribe { topic, channel } => {
                self.flush(out).await?;
                let settings = ConsumerSettings {
                    msg_timeout: protocol.sending().msg_timeout,
                    locality: self.locality(protocol),
                    sample_rate: protocol.sending().sample_rate,
                };
                let subscribed = self.context.node.subscribe(&self.client, topic, channel, settings);
                self.subscription = Some(subscribed.map_err(|failure| match failure {
                    SubscribeFailure::Exiting => ProtocolError::sub_failed("exiting"),
                    SubscribeFailure::TooManyConsumers { limit } => {
                        ProtocolError::too_many_consumers(&topic, &channel, limit as usize)
                    }
                })?);
                self.client.update(|facts| facts.phase = protocol.phase());
                out.respond(frame::OK);
            }
            Action::StartClose => {
                self.answers.push(Answer::Ready(0));
                self.flush(out).await?;
                self.client.update(|facts| facts.phase = protocol.phase());
                out.respond(frame::CLOSE_WAIT);
            }
        }
        Ok(())
    }

    /// Does everything gathered. An error ends the connection.
    pub(super) async fn flush(&mut self, out: &mut Outbox) -> Result<(), ProtocolError> {
        self.flush_publishes(out).await?;
        if !self.answers.is_empty() {
            self.exchange(0, out);
        }
        Ok(())
    }

    /// The client was woken: there may be messages for it.
    pub(super) fn look_for_messages(&mut self) {
        self.wants_messages = self.subscription.is_some();
        self.woken = self.wants_messages;
    }

    /// Whether messages may wait for room in the outbox.
    pub(super) fn wants_room(&self) -> bool {
        self.wants_messages
    }

    /// Whether the client has moved messages: then it is likely to go on.
    pub(super) fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// Hands over the answers that wait, and takes messages into the outbox while there is room.
    pub(super) fn deliver(&mut self, out: &mut Outbox) {
        while self.wants_messages || !self.answers.is_empty() {
            let room = OUTBOX_BYTES_MAX.saturating_sub(out.len());
            if room == 0 && self.answers.is_empty() && !self.woken {
                return;
            }
            self.exchange(room, out);
        }
    }

    /// A topic comes to be although the command that named it is bad.
    pub(super) fn create_topic(&self, topic: TopicName) {
        self.context.node.create_topic(topic);
    }

    /// The connection is over.
    pub(super) fn end(mut self) {
        self.exchange_at_end();
        if let Some(subscription) = self.subscription.take() {
            subscription.end(&self.context.node);
        }
        self.context.node.remove_client(&self.client);
    }

    /// Answers that came before the end of the connection count.
    fn exchange_at_end(&mut self) {
        if !self.answers.is_empty() {
            self.exchange(0, &mut Outbox::default());
        }
    }

    async fn gather(
        &mut self,
        kind: PublishKind,
        topic: TopicName,
        bodies: &Bodies<'_>,
        delay: Duration,
        out: &mut Outbox,
    ) -> Result<(), ProtocolError> {
        let is_deferred = !delay.is_zero();
        let fits = |gathered: &Gathered| {
            (gathered.kind, gathered.topic) == (kind, topic)
                && gathered.messages.is_deferred() == is_deferred
                && gathered.messages.body_bytes() < GATHERED_BYTES_MAX
        };
        if !self.gathered.as_ref().is_some_and(fits) {
            self.flush(out).await?;
        }
        let gathered = self.gathered.get_or_insert_with(|| Gathered {
            kind,
            topic,
            messages: self.context.node.publication(),
            commands: 0,
        });
        gathered.commands += 1;
        match bodies {
            Bodies::One(body) if is_deferred => gathered.messages.push_deferred(body, 0, delay),
            Bodies::One(body) => gathered.messages.push(body, 0),
            Bodies::Many(messages) => {
                let mut left = messages.body_bytes();
                for body in messages.clone() {
                    left -= body.len();
                    gathered.messages.push(body, left);
                }
            }
        }
        Ok(())
    }

    /// Hands over the publishes that wait; answers wait for [`deliver`](Self::deliver).
    pub(super) async fn flush_publishes(&mut self, out: &mut Outbox) -> Result<(), ProtocolError> {
        let Some(Gathered { kind, topic, messages, commands }) = self.gathered.take() else {
            return Ok(());
        };
        let count = u64::from(messages.count());
        let published = self.context.node.publish_batch(&topic, messages).await;
        published.map_err(|error| kind.failed(error))?;
        self.has_moved = true;
        self.client.count_published(&topic, count);
        for _ in 0..commands {
            out.respond(frame::OK);
        }
        Ok(())
    }

    fn exchange(&mut self, bytes_max: usize, out: &mut Outbox) {
        let answers = std::mem::take(&mut self.answers);
        let Some(subscription) = &self.subscription else {
            (self.wants_messages, self.woken) = (false, false);
            return;
        };
        let timeout_max = self.context.terms.limits.msg_timeout_max;
        let mut answered = 0;
        let again =
            subscription.exchange(&answers, timeout_max, bytes_max, out.frames(), |answer, cause, out| {
                let before = out.len();
                frame::encode_error(out, &refused(answer, cause));
                answered += out.len() - before;
            });
        out.answered(answered);
        self.wants_messages = again || bytes_max == 0;
        // Who is to ask again is counted on like one that was woken.
        self.woken = again;
        // The buffer is used again for the next answers.
        self.answers = answers;
        self.answers.clear();
    }

    /// How near the client is, by what it said first. As in v1.3.0, no zone equals no zone.
    fn locality(&self, protocol: &Protocol<'_>) -> Locality {
        let here = &self.context.terms.offer;
        match protocol.introduction().filter(|_| self.context.topology_aware) {
            Some(client) if client.topology_zone == here.topology_zone => Locality::Zone,
            Some(client) if client.topology_region == here.topology_region => Locality::Region,
            _ => Locality::Elsewhere,
        }
    }

    fn introduce(&self, protocol: &Protocol<'_>) {
        let settings = protocol.settings();
        self.client.update(|facts| {
            facts.identity.client_id.clone_from(&settings.client_id);
            facts.identity.hostname.clone_from(&settings.hostname);
            facts.identity.user_agent.clone_from(&settings.user_agent);
            facts.identity.sample_rate = settings.sample_rate;
            facts.identity.topology_zone.clone_from(&settings.topology_zone);
            facts.identity.topology_region.clone_from(&settings.topology_region);
        });
    }
}

fn refused(answer: Answer, cause: nsqd_broker::AckError) -> ProtocolError {
    match answer {
        Answer::Finish(id) => ProtocolError::fin_failed(&id, cause),
        Answer::Requeue(id, _) => ProtocolError::req_failed(&id, cause),
        Answer::Touch(id, _) => ProtocolError::touch_failed(&id, cause),
        Answer::Ready(_) => unreachable!("a ready count is never refused"),
    }
}
