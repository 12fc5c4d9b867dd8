//! Consuming: messages of a topic's channel from every nsqd that has them, as one stream of [`Message`]s.
//!
//! A [`Consumer`] is the receiving end; a task of its own, the driver, finds nsqd and starts a link to each, which is
//! a task too. How many messages may be in flight where is decided by [`flow`]; what becomes of a message travels
//! from its [`Message`] to its link through a [`mailbox`].

mod driver;
mod flow;
mod link;
mod mailbox;
mod message;
mod polls;
mod ready;
mod roster;
mod shared;
mod throttle;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, watch};

use self::driver::Driver;
pub use self::message::Message;
use self::shared::Shared;
use super::backoff::Backoff;
use super::connection::ConnectionOptions;
use super::{NSQD_TIMES_MIN, OptionsError};
use crate::wire::name::{ChannelName, TopicName};

/// How a consumer behaves.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// How it introduces itself to nsqd.
    pub connection: ConnectionOptions,
    /// The nsqd to connect to, `host:port`.
    pub nsqd: Vec<String>,
    /// The nsqlookupd to ask over HTTP for further nsqd, `host:port`.
    pub lookupd: Vec<String>,
    /// How often nsqlookupd is asked: the first time at once, and more often while no nsqd is known.
    pub lookup_interval: Duration,
    /// How long an nsqlookupd may take to answer.
    pub lookup_timeout: Duration,
    /// How many messages may be in flight in all, over all connections. More come only when nsqd takes unusually long
    /// to read that it is to send less.
    pub max_in_flight: u32,
    /// How long a message may be in flight before nsqd gives it to somebody else, in whole milliseconds of at least
    /// 1 s; `None`: as nsqd says.
    pub msg_timeout: Option<Duration>,
    /// How many percent of the messages are wanted, the others are lost on purpose; 0: all.
    pub sample_rate: u8,
    /// Whether messages are touched for as long as they are held, for work that takes longer than their timeout. nsqd
    /// allows that up to its `--max-msg-timeout`.
    pub auto_touch: bool,
    /// What becomes of messages that failed too often. `None`: they come again and again.
    pub attempts: Option<AttemptsLimit>,
    /// After which delay a message that [failed](Message::fail) comes again, by its number of attempts.
    pub requeue: Backoff,
    /// How long the consumer takes nothing after failures in a row. A longest delay of zero turns that off.
    pub backoff: Backoff,
    /// The pauses between attempts to connect to an nsqd.
    pub reconnect: Backoff,
    /// How long closing waits for messages that were received and are not yet settled.
    pub grace: Duration,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connection: ConnectionOptions::default(),
            nsqd: Vec::new(),
            lookupd: Vec::new(),
            lookup_interval: seconds(60),
            lookup_timeout: seconds(5),
            max_in_flight: 100,
            msg_timeout: None,
            sample_rate: 0,
            auto_touch: false,
            attempts: None,
            requeue: Backoff { first: seconds(15), max: seconds(900) },
            backoff: Backoff { first: seconds(1), max: seconds(120) },
            reconnect: Backoff { first: Duration::from_millis(100), max: seconds(30) },
            grace: seconds(30),
        }
    }
}

impl ConsumerOptions {
    fn check(&self) -> Result<(), OptionsError> {
        if self.nsqd.is_empty() && self.lookupd.is_empty() {
            return Err(OptionsError::NoAddress);
        }
        if self.max_in_flight == 0 {
            return Err(OptionsError::NothingInFlight);
        }
        if let Some(timeout) = self.msg_timeout.filter(|timeout| *timeout < NSQD_TIMES_MIN) {
            return Err(OptionsError::MsgTimeout(timeout));
        }
        if self.sample_rate > SAMPLE_RATE_MAX {
            return Err(OptionsError::SampleRate(self.sample_rate));
        }
        self.connection.check()
    }
}

/// The largest sample rate that any nsqd allows, in percent.
const SAMPLE_RATE_MAX: u8 = 99;

/// How many messages beyond `max_in_flight` may wait to be received. Any more are put back.
const OVERSHOOT_MAX: usize = 100;

/// From how many attempts on a message is not received any more but given to a function of the user's, which decides
/// what becomes of it. It is never finished by itself: a function that only drops it lets it come again.
#[derive(Clone)]
pub struct AttemptsLimit {
    attempts_max: u16,
    give_up: Arc<dyn Fn(Message) + Send + Sync>,
}

impl AttemptsLimit {
    /// Gives messages with more than `attempts_max` attempts to `give_up`, which is called while the consumer
    /// [receives](Consumer::recv) and should be quick.
    pub fn new(attempts_max: u16, give_up: impl Fn(Message) + Send + Sync + 'static) -> Self {
        Self { attempts_max, give_up: Arc::new(give_up) }
    }
}

impl fmt::Debug for AttemptsLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptsLimit").field("attempts_max", &self.attempts_max).finish_non_exhaustive()
    }
}

/// Receives the messages of a channel.
///
/// ```no_run
/// use nsq::client::{AttemptsLimit, Consumer, ConsumerOptions};
/// use nsq::wire::name::{ChannelName, TopicName};
///
/// # fn work(body: &[u8]) -> Result<(), std::io::Error> { Ok(()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let topic = TopicName::parse("greetings").ok_or("not a name")?;
/// let channel = ChannelName::parse("printer").ok_or("not a name")?;
/// let options = ConsumerOptions {
///     lookupd: vec!["127.0.0.1:4161".to_owned()],
///     max_in_flight: 10,
///     attempts: Some(AttemptsLimit::new(5, |message| {
///         eprintln!("giving up {:?}", message.body());
///         message.finish();
///     })),
///     ..ConsumerOptions::default()
/// };
/// let mut consumer = Consumer::start(topic, channel, options)?;
/// let closer = consumer.closer();
/// tokio::spawn(async move {
///     if tokio::signal::ctrl_c().await.is_ok() {
///         closer.close();
///     }
/// });
/// while let Some(message) = consumer.recv().await {
///     match work(message.body()) {
///         Ok(()) => message.finish(),
///         Err(_) => message.fail(),
///     }
/// }
/// consumer.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer {
    messages: mpsc::Receiver<Message>,
    attempts: Option<AttemptsLimit>,
    closer: Closer,
    closing: watch::Receiver<bool>,
    connections: watch::Receiver<usize>,
    /// Its sender is the driver's, and goes away with it; it says how many messages were not settled.
    ended: watch::Receiver<usize>,
}

impl Consumer {
    /// Starts to consume. It connects by itself, and again whenever it must.
    ///
    /// # Errors
    /// The options make no sense.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        topic: TopicName,
        channel: ChannelName,
        options: ConsumerOptions,
    ) -> Result<Self, OptionsError> {
        options.check()?;
        let capacity =
            usize::try_from(options.max_in_flight).unwrap_or(usize::MAX).saturating_add(OVERSHOOT_MAX);
        let (deliver, messages) = mpsc::channel(capacity.min(Semaphore::MAX_PERMITS));
        let (close, closing) = watch::channel(false);
        let (connected, connections) = watch::channel(0);
        let (abandoned, ended) = watch::channel(0);
        let attempts = options.attempts.clone();
        let shared = Shared::new(topic, channel, options, deliver, closing.clone(), connected);
        tokio::spawn(Driver::new(Arc::new(shared)).run(abandoned));
        let closer = Closer(Arc::new(close));
        Ok(Self { messages, attempts, closer, closing, connections, ended })
    }

    /// The next message; `None` once the consumer is closing. Nothing is lost when it is given up half-way.
    ///
    /// Messages that are no longer this consumer's, because they waited here for too long or their connection was
    /// lost, are left out: nsqd gives them to somebody, perhaps to this consumer again.
    pub async fn recv(&mut self) -> Option<Message> {
        loop {
            let message = tokio::select! {
                biased;
                _ = self.closing.wait_for(|closing| *closing) => return None,
                message = self.messages.recv() => message?,
            };
            if !message.is_held(Instant::now()) {
                message.lapse();
                continue;
            }
            match &self.attempts {
                Some(limit) if message.attempts() > limit.attempts_max => (limit.give_up)(message),
                _ => return Some(message),
            }
        }
    }

    /// To how many nsqd the consumer is connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits until the consumer is connected to at least so many nsqd.
    pub async fn wait_for_connections(&mut self, count: usize) {
        if self.connections.wait_for(|connections| *connections >= count).await.is_err() {
            // A consumer that ends gets no more connections.
            std::future::pending().await
        }
    }

    /// What closes the consumer from elsewhere.
    #[must_use]
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// Takes no more messages, gives those back that were not received yet, waits for the others to be settled, for at
    /// most [`ConsumerOptions::grace`], and disconnects. Says how many messages were not settled: nsqd has them again.
    ///
    /// The same happens in the background when a consumer is dropped.
    pub async fn close(mut self) -> usize {
        self.closer.close();
        self.messages.close();
        // Also what a link is just putting in.
        while let Some(message) = self.messages.recv().await {
            message.release();
        }
        // The first change is the count, the driver's last word; an error says that the runtime ended it.
        let _ = self.ended.changed().await;
        *self.ended.borrow()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.closer.close();
        self.messages.close();
        while let Ok(message) = self.messages.try_recv() {
            message.release();
        }
    }
}

/// Closes a consumer from elsewhere, such as a handler of signals.
#[derive(Debug, Clone)]
pub struct Closer(Arc<watch::Sender<bool>>);

impl Closer {
    /// Begins to close: [`Consumer::recv`] gives no more messages. To wait for the end is
    /// [`Consumer::close`].
    pub fn close(&self) {
        self.0.send_replace(true);
    }
}
