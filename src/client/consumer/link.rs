//! The connection to one nsqd, from the dial to its end: messages in, ready counts and outcomes out.
//!
//! One loop over what can happen: a frame, a nudge (mail or a new ready count), time to touch, closing. Whether to
//! connect again is the driver's question.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use super::mailbox::{Mailbox, Outcome};
use super::message::Message;
use super::ready::Key;
use super::shared::Shared;
use crate::client::backoff::LONGEST;
use crate::client::connection::{Connection, Incoming, Wishes};
use crate::client::error::ConnectionError;
use crate::wire::encode;
use crate::wire::frame::CLOSE_WAIT;
use crate::wire::message::MessageId;

/// After which delay a message comes again for which there was no room, because nobody received for longer than the
/// messages' timeout.
const NO_ROOM_DELAY: Duration = Duration::from_secs(1);

/// While this many bytes wait to be written, messages for which there is no room are not given back.
const OUT_BYTES_MAX: usize = 1024 * 1024;

/// How long the good-bye to nsqd may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest ready count of an nsqd that does not name one.
const READY_MAX: u32 = 2500;

/// How long a message may be in flight where nsqd does not say.
const MSG_TIMEOUT: Duration = Duration::from_secs(60);

/// How a link ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Why; `Ok` when the consumer closes.
    pub(super) result: Result<(), ConnectionError>,
    /// Whether messages came, or the connection stood for as long as the longest pause before the next.
    pub(super) was_useful: bool,
    /// How many messages were not settled.
    pub(super) unsettled: usize,
}

impl Ended {
    fn early(result: Result<(), ConnectionError>) -> Self {
        Self { result, was_useful: false, unsettled: 0 }
    }
}

/// Connects, consumes until the connection is lost or the consumer closes, and says how that went.
pub(super) async fn run(shared: Arc<Shared>, address: String) -> Ended {
    let opened = tokio::select! {
        opened = open(&shared, &address) => opened,
        () = is_closing(shared.closing.clone()) => return Ended::early(Ok(())),
    };
    let connection = match opened {
        Ok(connection) => connection,
        Err(error) => return Ended::early(Err(error)),
    };
    tracing::info!(nsqd = address, topic = %shared.topic, channel = %shared.channel, "subscribed");
    let opened = Instant::now();
    let mut link = Link::new(&shared, &connection, address);
    let result = link.serve(connection).await;
    let was_useful = link.got_messages || opened.elapsed() >= shared.options.reconnect.max;
    Ended { result, was_useful, unsettled: link.held.len() }
}

/// A connection that is subscribed.
async fn open(shared: &Shared, address: &str) -> Result<Connection, ConnectionError> {
    let options = &shared.options;
    let wishes = Wishes { msg_timeout: options.msg_timeout, sample_rate: options.sample_rate };
    let mut connection = Connection::dial(address, &options.connection, wishes).await?;
    encode::subscribe(&mut connection.out, &shared.topic, &shared.channel);
    let subscribed = tokio::time::timeout(options.connection.connect_timeout, connection.expect_ok("SUB"));
    subscribed.await.map_err(|_| ConnectionError::DialTimeout {
        address: address.to_owned(),
        timeout: options.connection.connect_timeout,
    })??;
    Ok(connection)
}

struct Link<'s> {
    shared: &'s Shared,
    mailbox: Arc<Mailbox>,
    key: Key,
    /// The messages that came and are not settled, with the time they came. One that came twice is held once.
    held: HashMap<MessageId, Instant>,
    /// The ready count nsqd knows of.
    told: u32,
    /// How long a message may be in flight.
    msg_timeout: Duration,
    /// How long it may be in flight with all touches.
    msg_timeout_max: Duration,
    /// When what is held is to be touched: set exactly while something is held, and that is wanted.
    next_touch: Option<Instant>,
    /// When closing gives up, once it has begun.
    closing_until: Option<Instant>,
    /// Whether nsqd has said that no more messages come.
    is_last_message_here: bool,
    got_messages: bool,
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        self.mailbox.close();
        self.shared.leave(self.key);
    }
}

impl<'s> Link<'s> {
    fn new(shared: &'s Shared, connection: &Connection, address: String) -> Self {
        let mailbox = Arc::new(Mailbox::new(address));
        let identity = &connection.identity;
        let ready_max = u32::try_from(identity.max_rdy_count).ok().filter(|count| *count > 0);
        let msg_timeout = match identity.msg_timeout {
            0 => MSG_TIMEOUT,
            milliseconds => Duration::from_millis(milliseconds).min(LONGEST),
        };
        let key = shared.join(Arc::clone(&mailbox), ready_max.unwrap_or(READY_MAX));
        Self {
            shared,
            mailbox,
            key,
            held: HashMap::new(),
            told: 0,
            msg_timeout,
            msg_timeout_max: msg_timeout.max(Duration::from_millis(identity.max_msg_timeout)),
            next_touch: None,
            closing_until: None,
            is_last_message_here: false,
            got_messages: false,
        }
    }

    async fn serve(&mut self, mut connection: Connection) -> Result<(), ConnectionError> {
        let mailbox = Arc::clone(&self.mailbox);
        let closing = self.shared.closing.clone();
        self.tell_ready(&mut connection.out);
        while !self.is_done() {
            tokio::select! {
                incoming = connection.next() => {
                    self.handle(incoming?, &mut connection.out)?;
                    while let Some(incoming) = connection.try_next()? {
                        self.handle(incoming, &mut connection.out)?;
                    }
                }
                () = mailbox.nudged() => {
                    self.empty_mailbox(&mut connection.out);
                    self.tell_ready(&mut connection.out);
                }
                () = at(self.next_touch) => self.touch_held(&mut connection.out),
                () = at(self.closing_until) => break,
                () = is_closing(closing.clone()), if self.closing_until.is_none() => {
                    self.closing_until = Some(Instant::now() + self.shared.options.grace.min(LONGEST));
                    encode::start_close(&mut connection.out);
                }
            }
        }
        // From here on nothing that is said of the messages is heard.
        self.mailbox.close();
        let goodbye = tokio::time::timeout(GOODBYE_TIMEOUT, connection.close());
        goodbye.await.unwrap_or(Err(ConnectionError::Silent { silence: GOODBYE_TIMEOUT }))
    }

    /// Whether closing has come to its end.
    fn is_done(&self) -> bool {
        self.is_last_message_here && self.held.is_empty()
    }

    // ---- in ------------------------------------------------------------------------------------------

    fn handle(&mut self, incoming: Incoming, out: &mut Vec<u8>) -> Result<(), ConnectionError> {
        match incoming {
            Incoming::Message { timestamp_ns, attempts, id, body } => {
                self.handle_message(timestamp_ns, attempts, id, body, out);
                Ok(())
            }
            Incoming::Response(data) if data == CLOSE_WAIT && self.closing_until.is_some() => {
                self.is_last_message_here = true;
                Ok(())
            }
            Incoming::Response(data) => Err(ConnectionError::unexpected("nothing", &data)),
            Incoming::Error(error) if error.is_fatal() => Err(ConnectionError::Refused(error)),
            Incoming::Error(error) => {
                // Its time was up, most likely: somebody else has the message by now.
                tracing::warn!(nsqd = self.mailbox.address(), "{error}");
                Ok(())
            }
        }
    }

    fn handle_message(
        &mut self,
        timestamp_ns: i64,
        attempts: u16,
        id: MessageId,
        body: Bytes,
        out: &mut Vec<u8>,
    ) {
        self.got_messages = true;
        let now = Instant::now();
        let options = &self.shared.options;
        let held_for = if options.auto_touch { self.msg_timeout_max } else { self.msg_timeout };
        let message = Message {
            timestamp_ns,
            attempts,
            id,
            body,
            mailbox: Arc::clone(&self.mailbox),
            came: now,
            held_for,
            requeue: options.requeue,
            is_settled: false,
        };
        match self.shared.messages.try_send(message) {
            Ok(()) => {
                if self.held.insert(id, now).is_none() {
                    self.shared.tell(|flow| flow.handle_delivered(self.key));
                }
                if options.auto_touch && self.next_touch.is_none() {
                    self.next_touch = Some(now + self.touch_interval());
                }
            }
            // It is settled here and now, so what it would say itself when it is dropped must not be said too.
            Err(refused) => {
                let mut message = refused.into_inner();
                message.is_settled = true;
                let delay = if self.shared.messages.is_closed() { Duration::ZERO } else { NO_ROOM_DELAY };
                // An nsqd that sends and does not read gets no answer; it takes the message back by itself.
                if out.len() < OUT_BYTES_MAX {
                    encode::requeue(out, &id, delay);
                }
            }
        }
    }

    // ---- out -----------------------------------------------------------------------------------------

    fn empty_mailbox(&mut self, out: &mut Vec<u8>) {
        let mail = self.mailbox.take();
        for id in mail.touched.iter().filter(|id| self.held.contains_key(id)) {
            encode::touch(out, id);
        }
        let now = Instant::now();
        let mut verdicts = Vec::with_capacity(mail.settled.len());
        for (id, outcome) in mail.settled {
            // What has come again is not what has lapsed.
            if let Outcome::Lapsed { came } = outcome
                && self.held.get(&id).is_none_or(|held| *held != came)
            {
                continue;
            }
            // One that came twice is settled by whoever is first.
            if self.held.remove(&id).is_none() {
                continue;
            }
            match outcome {
                Outcome::Finish => encode::finish(out, &id),
                Outcome::Requeue(delay, _) => encode::requeue(out, &id, delay),
                Outcome::Lapsed { .. } => {}
            }
            verdicts.push(outcome.verdict());
        }
        self.shared.tell(|flow| {
            for verdict in verdicts {
                flow.handle_settled(self.key, verdict, now);
            }
        });
        if self.held.is_empty() {
            self.next_touch = None;
        }
    }

    fn tell_ready(&mut self, out: &mut Vec<u8>) {
        let ready = self.shared.ready(self.key);
        if ready != self.told && self.closing_until.is_none() {
            encode::ready(out, ready);
            self.told = ready;
        }
    }

    /// Asks for more time for everything that is held, unless it has just come or can get no more.
    fn touch_held(&mut self, out: &mut Vec<u8>) {
        let now = Instant::now();
        let interval = self.touch_interval();
        for (id, came) in &self.held {
            let age = now.duration_since(*came);
            if age >= interval && age < self.msg_timeout_max {
                encode::touch(out, id);
            }
        }
        self.next_touch = Some(now + interval);
    }

    /// A message that has just come is passed over once: twice this time, and still there is some left.
    fn touch_interval(&self) -> Duration {
        self.msg_timeout / 3
    }
}

/// Waits until then; for ever without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => pending().await,
    }
}

/// Waits until the consumer is to close.
pub(super) async fn is_closing(mut closing: watch::Receiver<bool>) {
    // When all who could say so are gone it is to close as well.
    let _ = closing.wait_for(|closing| *closing).await;
}
