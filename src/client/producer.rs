//! Publishing: to one nsqd at a time, to another when it fails, confirmed in the order of the calls.
//!
//! A [`Producer`] is a handle; a task of its own, the driver, holds the connection. Publications are pipelined: many
//! are on their way while the first is not yet confirmed, and nsqd answers them in order. What is neither confirmed
//! nor refused when the connection is lost may or may not have been taken: its call fails with
//! [`PublishError::Lost`], or it is published again where [`ProducerOptions::retries`] allows that. So a message may
//! come twice, as always with NSQ, but none is lost without its call saying so.

mod driver;
mod rotation;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use self::driver::{Driver, Payload, Publication};
use super::OptionsError;
use super::backoff::Backoff;
use super::connection::ConnectionOptions;
use super::error::{ConnectionError, ServerError};
use crate::wire::name::TopicName;

/// How a producer behaves.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    /// How it introduces itself to nsqd.
    pub connection: ConnectionOptions,
    /// How many publications may be on their way to nsqd; as many again may wait for that. Calls beyond wait.
    pub max_in_flight: usize,
    /// How often a publication is tried again after the connection was lost, all nsqd were out of reach, or one could
    /// not take it (`E_PUB_FAILED` and its like). What one could not take was a try of all that wait for the same topic:
    /// they fail together.
    pub retries: u32,
    /// The pauses when all nsqd failed in a row.
    pub reconnect: Backoff,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            connection: ConnectionOptions::default(),
            max_in_flight: 1000,
            retries: 0,
            reconnect: Backoff { first: Duration::from_millis(100), max: Duration::from_secs(10) },
        }
    }
}

/// Why something was not published.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// There is nothing to publish: an empty message, or no message at all.
    #[error("there is nothing to publish")]
    Empty,
    /// nsqd refused the message.
    #[error("nsqd refused the message: {0}")]
    Refused(ServerError),
    /// The connection was lost before nsqd answered: the message may or may not have been published.
    #[error("the connection was lost before the message was confirmed")]
    Lost(#[source] Arc<ConnectionError>),
    /// No nsqd could be reached; the cause is that of the last one tried.
    #[error("no nsqd can be reached")]
    Unreachable(#[source] Arc<ConnectionError>),
    /// The producer is closed, or its runtime has ended.
    #[error("the producer is closed")]
    Closed,
}

/// Publishes messages. Clones share one connection.
///
/// Several nsqd are stand-ins for each other: the first that can be reached gets everything, until it fails. To spread
/// messages over several, use as many producers.
///
/// ```no_run
/// use nsq::client::{Producer, ProducerOptions};
/// use nsq::wire::name::TopicName;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let topic = TopicName::parse("greetings").ok_or("not a name")?;
/// let options = ProducerOptions { retries: 3, ..ProducerOptions::default() };
/// let producer = Producer::start(["127.0.0.1:4150", "127.0.0.1:5150"], options)?;
///
/// producer.publish(&topic, "hello").await?;
/// producer.publish_many(&topic, ["one", "two"]).await?;
///
/// // Without waiting for each: the confirmations come in the same order.
/// let mut confirmations = Vec::new();
/// for number in 0..1000 {
///     confirmations.push(producer.enqueue(&topic, number.to_string()).await?);
/// }
/// for confirmation in confirmations {
///     confirmation.await?;
/// }
/// producer.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Producer {
    publications: mpsc::Sender<Publication>,
    closing: Arc<watch::Sender<bool>>,
    /// Its sender is the driver's, and goes away with it.
    ended: watch::Receiver<()>,
}

impl Producer {
    /// Starts a producer for these nsqd (`host:port`), in order of preference. It connects by itself, and again
    /// whenever it must; that none can be reached is said by the calls that publish.
    ///
    /// # Errors
    /// The options make no sense.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start<A: Into<String>>(
        addresses: impl IntoIterator<Item = A>,
        options: ProducerOptions,
    ) -> Result<Self, OptionsError> {
        let addresses: Vec<String> = addresses.into_iter().map(Into::into).collect();
        if addresses.is_empty() {
            return Err(OptionsError::NoAddress);
        }
        if options.max_in_flight == 0 {
            return Err(OptionsError::NothingInFlight);
        }
        options.connection.check()?;
        let (publications, waiting) = mpsc::channel(options.max_in_flight.min(Semaphore::MAX_PERMITS));
        let (closing, is_closing) = watch::channel(false);
        let (alive, ended) = watch::channel(());
        let driver = Driver::new(addresses, options, waiting, is_closing);
        tokio::spawn(async move {
            driver.run().await;
            drop(alive);
        });
        Ok(Self { publications, closing: Arc::new(closing), ended })
    }

    /// Publishes a message and waits for nsqd's OK.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, topic: &TopicName, body: impl Into<Bytes>) -> Result<(), PublishError> {
        self.enqueue(topic, body).await?.await
    }

    /// Publishes a message that nsqd delivers after `delay` (whole milliseconds), and waits for nsqd's OK.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_deferred(
        &self,
        topic: &TopicName,
        delay: Duration,
        body: impl Into<Bytes>,
    ) -> Result<(), PublishError> {
        self.accept(topic, Payload::Deferred(delay, body.into())).await?.await
    }

    /// Publishes several messages at once, all or none as far as nsqd's checks go, and waits for nsqd's OK.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_many<B: Into<Bytes>>(
        &self,
        topic: &TopicName,
        bodies: impl IntoIterator<Item = B>,
    ) -> Result<(), PublishError> {
        let bodies = bodies.into_iter().map(Into::into).collect();
        self.accept(topic, Payload::Many(bodies)).await?.await
    }

    /// Accepts a message to be published and waits only until there is room for it. It is published even when the
    /// confirmation is dropped; but only the confirmation says what became of it.
    ///
    /// # Errors
    /// [`PublishError::Empty`] and [`PublishError::Closed`]; all others come with the confirmation.
    pub async fn enqueue(
        &self,
        topic: &TopicName,
        body: impl Into<Bytes>,
    ) -> Result<Confirmation, PublishError> {
        self.accept(topic, Payload::One(body.into())).await
    }

    /// As [`enqueue`](Self::enqueue), for a message that nsqd delivers after `delay` (whole milliseconds).
    ///
    /// # Errors
    /// [`PublishError::Empty`] and [`PublishError::Closed`]; all others come with the confirmation.
    pub async fn enqueue_deferred(
        &self,
        topic: &TopicName,
        delay: Duration,
        body: impl Into<Bytes>,
    ) -> Result<Confirmation, PublishError> {
        self.accept(topic, Payload::Deferred(delay, body.into())).await
    }

    async fn accept(&self, topic: &TopicName, payload: Payload) -> Result<Confirmation, PublishError> {
        if payload.is_empty() {
            return Err(PublishError::Empty);
        }
        let (outcome, confirmation) = oneshot::channel();
        let publication = Publication { topic: *topic, payload, outcome, tries: 0 };
        self.publications.send(publication).await.map_err(|_| PublishError::Closed)?;
        Ok(Confirmation(confirmation))
    }

    /// Takes nothing more, waits until all that was accepted is confirmed or has failed, and disconnects. The same
    /// happens in the background when the last clone is dropped. An nsqd that answers heartbeats and no publish makes
    /// this wait for ever; whoever must end gives it a timeout.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let mut ended = self.ended.clone();
        // Nothing is ever sent: the wait ends, with an error, when the driver has ended.
        let _ = ended.changed().await;
    }
}

/// Becomes ready when the message was published, or was not.
#[derive(Debug)]
#[must_use = "only the confirmation says whether the message was published"]
pub struct Confirmation(oneshot::Receiver<Result<(), PublishError>>);

impl Future for Confirmation {
    type Output = Result<(), PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|outcome| outcome.unwrap_or(Err(PublishError::Closed)))
    }
}
