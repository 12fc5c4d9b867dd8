//! The task of a producer: one loop that connects, sends what waits, and tells each publication what became of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::rotation::{Rotation, Step};
use super::{ProducerOptions, PublishError};
use crate::client::connection::{Connection, Incoming, Wishes};
use crate::client::error::{Causes, ConnectionError, ServerError};
use crate::wire::encode;
use crate::wire::frame::OK;
use crate::wire::name::TopicName;

/// While this many bytes wait to be written, nothing more is added to them.
const OUT_BYTES_MAX: usize = 1024 * 1024;

/// How long the good-bye to nsqd may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Something to be published, until it is known what became of it.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) topic: TopicName,
    pub(super) payload: Payload,
    pub(super) outcome: oneshot::Sender<Result<(), PublishError>>,
    /// How often it was tried and failed.
    pub(super) tries: u32,
}

#[derive(Debug)]
pub(super) enum Payload {
    One(Bytes),
    Many(Vec<Bytes>),
    Deferred(Duration, Bytes),
}

impl Payload {
    /// Whether nsqd would refuse it, and close the connection, because something in it is empty.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::One(body) | Self::Deferred(_, body) => body.is_empty(),
            Self::Many(bodies) => bodies.is_empty() || bodies.iter().any(Bytes::is_empty),
        }
    }
}

impl Publication {
    fn write(&self, out: &mut Vec<u8>) {
        match &self.payload {
            Payload::One(body) => encode::publish(out, &self.topic, body),
            Payload::Many(bodies) => encode::multi_publish(out, &self.topic, bodies),
            Payload::Deferred(delay, body) => encode::deferred_publish(out, &self.topic, *delay, body),
        }
    }

    /// Tells the caller; one that does not listen any more misses it.
    fn end(self, outcome: Result<(), PublishError>) {
        let _ = self.outcome.send(outcome);
    }
}

/// Why a connection is left.
enum Leave {
    /// There is nothing more to publish, ever.
    Finished,
    /// nsqd refused the first of the unconfirmed publications, and has not read the others.
    Refused(ServerError),
    /// Nobody knows what became of the unconfirmed publications.
    Lost(ConnectionError),
}

impl From<ConnectionError> for Leave {
    fn from(error: ConnectionError) -> Self {
        Self::Lost(error)
    }
}

pub(super) struct Driver {
    addresses: Vec<String>,
    options: ProducerOptions,
    rotation: Rotation,
    /// What was accepted and not looked at yet.
    accepted: mpsc::Receiver<Publication>,
    /// What is to be sent next, in order: before anything of `accepted`.
    waiting: VecDeque<Publication>,
    /// What was sent and not answered, in order; never more than `max_in_flight`.
    unconfirmed: VecDeque<Publication>,
    closing: watch::Receiver<bool>,
}

impl Driver {
    pub(super) fn new(
        addresses: Vec<String>,
        options: ProducerOptions,
        accepted: mpsc::Receiver<Publication>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let rotation = Rotation::new(addresses.len(), options.reconnect);
        let (waiting, unconfirmed) = (VecDeque::new(), VecDeque::new());
        Self { addresses, options, rotation, accepted, waiting, unconfirmed, closing }
    }

    pub(super) async fn run(mut self) {
        while let Some(mut connection) = self.connect().await {
            let connected = Instant::now();
            match self.serve(&mut connection).await {
                Leave::Finished => {
                    // Everything is confirmed: a good-bye that fails harms nobody.
                    let _ = tokio::time::timeout(GOODBYE_TIMEOUT, connection.close()).await;
                    return;
                }
                Leave::Refused(error) => self.handle_refused(error),
                Leave::Lost(error) => self.handle_lost(error, connected.elapsed()),
            }
        }
    }

    // ---- connecting ----------------------------------------------------------------------------------

    /// The next connection that can be made; `None` when none is needed any more.
    async fn connect(&mut self) -> Option<Connection> {
        let mut step = self.rotation.poll_step();
        while !self.is_finished() {
            let outcome = tokio::select! {
                outcome = self.take(step) => outcome,
                () = is_closing(&self.closing), if !self.accepted.is_closed() => {
                    self.accepted.close();
                    continue;
                }
            };
            match outcome {
                Ok(Some(connection)) => return Some(connection),
                Ok(None) => {}
                Err(error) => self.handle_unreachable(error),
            }
            step = self.rotation.poll_step();
        }
        None
    }

    /// Does what the rotation says.
    async fn take(&self, step: Step) -> Result<Option<Connection>, ConnectionError> {
        match step {
            Step::Dial(index) => {
                let dialled =
                    Connection::dial(&self.addresses[index], &self.options.connection, Wishes::default());
                dialled.await.map(Some)
            }
            Step::Pause(pause) => {
                tokio::time::sleep(pause).await;
                Ok(None)
            }
        }
    }

    fn handle_unreachable(&mut self, error: ConnectionError) {
        tracing::warn!("cannot publish: {}", Causes(&error));
        if !self.rotation.handle_failed(fastrand::f64()) {
            return;
        }
        // All have been tried. Whoever waits learns of it now, not after the pause.
        let error = Arc::new(error);
        self.take_accepted();
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting = self.retried(waiting, || PublishError::Unreachable(Arc::clone(&error)));
    }

    /// Looks at what was accepted, as far as there is room.
    fn take_accepted(&mut self) {
        while self.waiting.len() < self.options.max_in_flight {
            let Ok(publication) = self.accepted.try_recv() else { break };
            self.waiting.push_back(publication);
        }
    }

    // ---- publishing ----------------------------------------------------------------------------------

    async fn serve(&mut self, connection: &mut Connection) -> Leave {
        let mut taken = Vec::new();
        loop {
            self.send(&mut connection.out);
            if self.is_finished() {
                return Leave::Finished;
            }
            let room = self.options.max_in_flight - self.unconfirmed.len();
            let takes_more = room > 0
                && self.waiting.is_empty()
                && connection.pending_bytes() < OUT_BYTES_MAX
                && !self.has_no_more();
            tokio::select! {
                incoming = connection.next() => {
                    if let Err(leave) = self.handle_all(incoming, connection) {
                        return leave;
                    }
                }
                _ = self.accepted.recv_many(&mut taken, room), if takes_more => {
                    self.waiting.extend(taken.drain(..));
                }
                () = is_closing(&self.closing), if !self.accepted.is_closed() => self.accepted.close(),
            }
        }
    }

    /// Hands over what waits, as far as there is room.
    fn send(&mut self, out: &mut Vec<u8>) {
        while self.unconfirmed.len() < self.options.max_in_flight && out.len() < OUT_BYTES_MAX {
            let Some(publication) = self.waiting.pop_front() else { break };
            publication.write(out);
            self.unconfirmed.push_back(publication);
        }
    }

    /// Handles a frame, and those that came with it.
    fn handle_all(
        &mut self,
        incoming: Result<Incoming, ConnectionError>,
        connection: &mut Connection,
    ) -> Result<(), Leave> {
        self.handle_incoming(incoming?)?;
        while let Some(incoming) = connection.try_next()? {
            self.handle_incoming(incoming)?;
        }
        Ok(())
    }

    fn handle_incoming(&mut self, incoming: Incoming) -> Result<(), Leave> {
        match incoming {
            Incoming::Response(data) if data == OK => {
                let unexpected = || ConnectionError::unexpected("nothing", &data);
                let publication = self.unconfirmed.pop_front().ok_or_else(unexpected)?;
                publication.end(Ok(()));
                self.rotation.handle_success();
                Ok(())
            }
            Incoming::Response(data) => Err(ConnectionError::unexpected("a publish", &data).into()),
            Incoming::Message { body, .. } => Err(ConnectionError::unexpected("a publish", &body).into()),
            Incoming::Error(error) => Err(Leave::Refused(error)),
        }
    }

    /// The first of the unconfirmed is answered; the others are sent again: after an error nsqd reads no further. That
    /// costs them no try, unless nsqd has trouble with what they are published to.
    fn handle_refused(&mut self, error: ServerError) {
        tracing::warn!("nsqd refused a message: {error}");
        let refused = self.unconfirmed.pop_front();
        // An error that answers nothing that was said is about the connection.
        if error.is_servers_trouble() || refused.is_none() {
            self.rotation.handle_lost(Duration::ZERO, fastrand::f64());
        }
        match refused {
            Some(refused) if error.is_servers_trouble() => {
                let topic = refused.topic;
                self.send_first(VecDeque::from([refused]));
                self.handle_trouble(topic, &error);
            }
            Some(refused) => {
                refused.end(Err(PublishError::Refused(error)));
                self.send_first(VecDeque::new());
            }
            None => self.send_first(VecDeque::new()),
        }
    }

    /// nsqd could not take a message of `topic`. That is a failed try of all that wait for this topic: where each failed
    /// by itself, on a connection of its own and after a pause, the last would be answered when nobody listens any more.
    fn handle_trouble(&mut self, topic: TopicName, error: &ServerError) {
        self.take_accepted();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let again = waiting.filter_map(|publication| {
            if publication.topic != topic {
                return Some(publication);
            }
            self.tried(publication, || PublishError::Refused(error.clone()))
        });
        self.waiting = again.collect();
    }

    fn handle_lost(&mut self, error: ConnectionError, stood: Duration) {
        tracing::warn!("lost the connection to nsqd: {}", Causes(&error));
        self.rotation.handle_lost(stood, fastrand::f64());
        let error = Arc::new(error);
        let unconfirmed = std::mem::take(&mut self.unconfirmed);
        let again = self.retried(unconfirmed, || PublishError::Lost(Arc::clone(&error)));
        self.send_first(again);
    }

    /// Puts what was sent and is to be sent again before all that waits: first `again`, then what is unconfirmed.
    fn send_first(&mut self, again: VecDeque<Publication>) {
        let sent = again.into_iter().chain(std::mem::take(&mut self.unconfirmed));
        self.waiting = sent.chain(std::mem::take(&mut self.waiting)).collect();
    }

    /// Counts a failed try of each, and gives those that may be tried again; the others fail.
    fn retried(
        &self,
        tried: impl IntoIterator<Item = Publication>,
        error: impl Fn() -> PublishError,
    ) -> VecDeque<Publication> {
        tried.into_iter().filter_map(|publication| self.tried(publication, &error)).collect()
    }

    /// Counts a failed try, and gives the publication if it may be tried again; else it fails.
    fn tried(&self, mut publication: Publication, error: impl Fn() -> PublishError) -> Option<Publication> {
        if publication.tries >= self.options.retries {
            publication.end(Err(error()));
            return None;
        }
        publication.tries += 1;
        Some(publication)
    }

    // ---- the end -------------------------------------------------------------------------------------

    /// Whether everything is answered and nothing more can come.
    fn is_finished(&self) -> bool {
        self.waiting.is_empty() && self.unconfirmed.is_empty() && self.has_no_more()
    }

    fn has_no_more(&self) -> bool {
        self.accepted.is_closed() && self.accepted.is_empty()
    }
}

/// Waits until the producer is to close.
async fn is_closing(closing: &watch::Receiver<bool>) {
    let mut closing = closing.clone();
    if closing.wait_for(|closing| *closing).await.is_err() {
        // All handles are gone, so nothing more is accepted, and the closed channel says that already.
        std::future::pending().await
    }
}
