//! One connection from its first byte to its last: one task, one loop.
//!
//! Take what the socket has, do all complete commands, collect responses and deliveries in the outbox, write it;
//! wait for bytes, for room to write, for a wake, for the next deadline.

mod authorizing;

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{self, Poll, ready};
use std::time::Duration;

use nsq::daemon::listener::Peer;
use nsq::transport::{Duplex, Transport};
use nsq::wire::MAGIC_V2;
use nsq::wire::command::Phase;
use nsq::wire::decoder::{Decoder, Refusal};
use nsq::wire::error::ProtocolError;
use nsq::wire::frame;
use nsq::wire::identify::Agreement;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Context;
use super::execute::{Executor, OUTBOX_BYTES_MAX};
use super::negotiate::{Upgraded, upgrade};
use super::outbox::Outbox;
use super::permit::Permit;
use super::protocol::Protocol;
use crate::node::{Client, Tls};

/// How much is read at once, in bytes: little from a client that says little, much from one that fills it.
const READ_BYTES_MIN: usize = 16 * 1024;
const READ_BYTES_MAX: usize = 256 * 1024;

/// How large a buffer may be that is kept for what comes next where messages were moved, in bytes. A connection that
/// never moved one holds none.
const SMALL_BYTES_MAX: usize = 512;

/// How long the four bytes of the magic may take. (v1.3.0 waits for ever.)
const MAGIC_TIMEOUT: Duration = Duration::from_secs(10);

/// How long, and for how many bytes, a connection that is ended by an error is still read: closing it with unread
/// input would make the system drop the error on its way to the client.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long it may take until everything is in place that the connection is to be wrapped into.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the timer of a session without deadlines sleeps before it looks again.
const NO_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// Why a connection ends.
enum End {
    /// The client closed it, is to be disconnected, or is too slow: nothing is said.
    Quiet,
    /// The client did what is not allowed.
    Refused(ProtocolError),
    /// The socket failed.
    Io(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What the session waited for.
enum Event {
    /// More input is there.
    Read,
    /// The client sends nothing more.
    EndOfInput,
    /// Some of the outbox was written.
    Wrote,
    /// The node has something to say.
    Signalled,
    /// A deadline has come.
    Time,
}

/// The first line of some input, for the log: a command without its body.
struct Line<'a>(&'a [u8]);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.split(|byte| *byte == b'\n').next().unwrap_or_default();
        write!(f, "{}", line.escape_ascii())
    }
}

struct Session<'c, S> {
    stream: Transport<S>,
    /// Whether something was written that may still lie in a layer of the stream.
    is_unflushed: bool,
    context: &'c Context,
    client: &'c Client,
    protocol: Protocol<'c>,
    permit: Permit<'c>,
    decoder: Decoder,
    input: Vec<u8>,
    /// How much the next read asks for, in bytes.
    read_bytes: usize,
    out: Outbox,
    /// How large the buffers may be that are kept, in bytes.
    kept_bytes: usize,
    times: Times,
    /// Sleeps until the next deadline at the latest. It may end too early; then it is set again.
    timer: Pin<Box<Sleep>>,
}

/// The session's deadlines.
struct Times {
    /// How often a heartbeat is sent; `None`: never.
    heartbeat_interval: Option<Duration>,
    /// When the next heartbeat is due.
    heartbeat: Option<Instant>,
    /// When the session began to wait for the next command.
    waiting_since: Instant,
    /// Since when nothing of the outbox could be written.
    blocked_since: Option<Instant>,
}

/// Serves one connection until its end.
pub(super) async fn serve<S: Duplex + 'static>(mut stream: S, context: &Context, peer: Peer) {
    match tokio::time::timeout(MAGIC_TIMEOUT, read_magic(&mut stream)).await {
        Ok(Ok(magic)) if magic == *MAGIC_V2 => {}
        Ok(Ok(magic)) => {
            tracing::error!(client = %peer.address, "bad protocol magic '{}'", magic.escape_ascii());
            let mut out = Outbox::default();
            out.error(&ProtocolError::bad_protocol());
            return linger(stream, &mut out).await;
        }
        Ok(Err(error)) => {
            return tracing::error!(client = %peer.address, "failed to read protocol version - {error}");
        }
        Err(_) => {
            return tracing::info!(client = %peer.address, "no protocol magic within {MAGIC_TIMEOUT:?}");
        }
    }
    let client = context.node.add_client(peer.address.clone(), &peer.host);
    let mut executor = Executor::new(context, std::sync::Arc::clone(&client));
    let mut session = Session {
        stream: Transport::Plain(stream),
        is_unflushed: false,
        context,
        client: &client,
        protocol: Protocol::new(&context.terms, context.settings_of(&peer.host)),
        permit: Permit::new(context.auth_servers.as_ref()),
        decoder: Decoder::new(context.limits),
        input: Vec::new(),
        read_bytes: READ_BYTES_MIN,
        out: Outbox::default(),
        kept_bytes: 0,
        times: Times {
            heartbeat_interval: None,
            heartbeat: None,
            waiting_since: Instant::now(),
            blocked_since: None,
        },
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
    };
    session.keep_heartbeat_interval();
    let end = contained(session.run(&mut executor)).await;
    executor.end();
    match end {
        End::Quiet => {}
        End::Io(error) => tracing::debug!(client = %peer.address, "connection failed - {error}"),
        End::Refused(error) => {
            tracing::error!(client = %peer.address, "{}", error.to_bytes().escape_ascii());
            session.out.error(&error);
            linger(session.stream, &mut session.out).await;
        }
    }
    tracing::info!(client = %peer.address, "PROTOCOL(V2): exiting ioloop");
}

/// Runs a session. Its panic ends here, so that what it has at the node is given up whatever happens.
async fn contained(session: impl Future<Output = End>) -> End {
    let mut session = pin!(session);
    poll_fn(|context| {
        // After a panic the session is not looked at again, only its place at the node.
        let polled = catch_unwind(AssertUnwindSafe(|| session.as_mut().poll(context)));
        polled.unwrap_or_else(|_| {
            tracing::error!("a session panicked, and its connection is closed");
            Poll::Ready(End::Quiet)
        })
    })
    .await
}

async fn read_magic<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<[u8; 4]> {
    let mut magic = [0; 4];
    stream.read_exact(&mut magic).await?;
    Ok(magic)
}

impl<S: Duplex + 'static> Session<'_, S> {
    async fn run(&mut self, executor: &mut Executor<'_>) -> End {
        loop {
            if let Err(end) = self.turn(executor).await {
                return end;
            }
        }
    }

    /// Waits for something to happen and does what follows from it.
    async fn turn(&mut self, executor: &mut Executor<'_>) -> Result<(), End> {
        match self.wait(true, executor.wants_room()).await? {
            Event::Read => {
                if let Some(agreement) = self.carry_out(executor).await? {
                    self.upgrade(agreement).await?;
                }
                if self.read_bytes > READ_BYTES_MIN {
                    // Who always has something to say would keep the thread from all others.
                    tokio::task::yield_now().await;
                }
            }
            event => self.go_on(event, executor)?,
        }
        executor.deliver(&mut self.out);
        Ok(())
    }

    /// What follows from an event that brings no commands.
    fn go_on(&mut self, event: Event, executor: &mut Executor<'_>) -> Result<(), End> {
        match event {
            Event::EndOfInput => return Err(self.interrupted(executor)),
            Event::Signalled if self.client.is_closed() => return Err(End::Quiet),
            Event::Signalled => executor.look_for_messages(),
            Event::Time => self.handle_time(executor)?,
            Event::Read | Event::Wrote => {}
        }
        Ok(())
    }

    /// Does every complete command of the input, or all up to the one after which the connection is to be upgraded.
    async fn carry_out(&mut self, executor: &mut Executor<'_>) -> Result<Option<Agreement>, End> {
        let mut input = std::mem::take(&mut self.input);
        let mut consumed = 0;
        let outcome = loop {
            // While an authorization server was waited for, more may have come.
            input.append(&mut self.input);
            let decoded = match self.decoder.decode(&input[consumed..], self.protocol.situation()) {
                Ok(Some(decoded)) => decoded,
                Ok(None) => match self.pause(executor).await {
                    Ok(()) if !self.input.is_empty() => continue,
                    paused => break paused.map(|()| None),
                },
                Err(refusal) => {
                    // What came before the error still counts.
                    if let Err(error) = executor.flush(&mut self.out).await {
                        break Err(End::Refused(error));
                    }
                    if let Err(end) = self.authorize_mpub(refusal.creates, executor).await {
                        break Err(end);
                    }
                    break Err(self.refuse(refusal, executor));
                }
            };
            let address = &self.client.remote_address;
            tracing::debug!(client = %address, "PROTOCOL(V2): [{address}] {}", Line(&input[consumed..]));
            consumed += decoded.consumed;
            let mut upgrade = None;
            let done = match self.protocol.apply(decoded.command) {
                Ok(action) => {
                    upgrade = action.upgrade();
                    if let Err(end) = self.authorize(&action, executor).await {
                        break Err(end);
                    }
                    executor.execute(action, &self.protocol, &mut self.out).await
                }
                Err(error) => match executor.flush(&mut self.out).await {
                    Ok(()) => Err(error),
                    Err(earlier) => Err(earlier),
                },
            };
            if let Err(error) = done {
                break Err(End::Refused(error));
            }
            if upgrade.is_some() {
                break Ok(upgrade);
            }
        };
        if consumed > 0 {
            input.drain(..consumed);
            self.times.waiting_since = Instant::now();
            if self.protocol.phase() == Phase::Init {
                self.keep_heartbeat_interval();
            }
        }
        if executor.has_moved() {
            self.kept_bytes = SMALL_BYTES_MAX;
        }
        if input.is_empty() && input.capacity() > self.kept_bytes {
            input = Vec::new();
        }
        self.input = input;
        outcome
    }

    /// Puts around the connection what was agreed on, once everything before has been said. What was read too early is
    /// the first that the layers are given.
    async fn upgrade(&mut self, agreement: Agreement) -> Result<(), End> {
        let patience = self.protocol.settings().heartbeat_interval.unwrap_or(UPGRADE_TIMEOUT);
        let said = tokio::time::timeout(patience, self.stream.write_all(self.out.pending())).await;
        said.map_err(|_| End::Quiet)??;
        self.out.advance(self.out.len());
        let stream = self.stream.take_plain().expect("an upgraded connection is not upgraded again");
        let tls = self.context.tls();
        let upgrading = upgrade(stream, std::mem::take(&mut self.input).into(), agreement, tls.as_ref());
        match tokio::time::timeout(UPGRADE_TIMEOUT, upgrading).await {
            Ok(Upgraded::Done { stream, handshake }) => {
                self.stream = Transport::Layered(stream);
                self.client.update(|facts| {
                    facts.compression = agreement.compression;
                    facts.tls = handshake.map(|handshake| Tls {
                        version: handshake.version.to_owned(),
                        cipher_suite: handshake.cipher_suite_name(),
                        common_name: handshake.common_name,
                    });
                });
                self.times.waiting_since = Instant::now();
                Ok(())
            }
            Ok(Upgraded::HandshakeFailed(stream, error)) => {
                self.stream = Transport::Plain(stream);
                Err(End::Refused(ProtocolError::identify_failed(error)))
            }
            Ok(Upgraded::Broken(error)) => Err(End::Io(error)),
            Err(_) => Err(End::Quiet),
        }
    }

    /// There is no complete command left.
    async fn pause(&mut self, executor: &mut Executor<'_>) -> Result<(), End> {
        executor.flush_publishes(&mut self.out).await.map_err(End::Refused)?;
        // Whether it may be published is said before its body is waited for.
        self.authorize_mpub(self.decoder.unfinished_mpub(), executor).await
    }

    fn refuse(&self, refusal: Refusal, executor: &Executor<'_>) -> End {
        if let Some(topic) = refusal.creates {
            executor.create_topic(topic);
        }
        refusal.error.map_or(End::Quiet, End::Refused)
    }

    /// The input ended, or took too long, where it stands.
    fn interrupted(&mut self, executor: &Executor<'_>) -> End {
        match self.decoder.interrupted(&self.input, self.protocol.situation()) {
            Some(refusal) => self.refuse(refusal, executor),
            None => End::Quiet,
        }
    }

    // ---- waiting -------------------------------------------------------------------------------------

    /// Writes what is to be written, and waits until there is something to do. `listens`: input is something.
    /// `wants_room`: room in the outbox is.
    async fn wait(&mut self, listens: bool, wants_room: bool) -> Result<Event, End> {
        // Only answers count: who is sent much is still to be heard.
        let wants_input = listens && self.out.answers_len() < OUTBOX_BYTES_MAX;
        if self.out.is_empty() {
            self.out.release(self.kept_bytes);
            if !self.is_unflushed {
                self.times.blocked_since = None;
            }
        }
        let Self { stream, is_unflushed, client, input, read_bytes, out, kept_bytes, times, timer, .. } =
            self;
        let event = poll_fn(|context| {
            if !out.is_empty() {
                match Pin::new(&mut *stream).poll_write(context, out.pending()) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(count)) => {
                        out.advance(count);
                        *is_unflushed = true;
                        times.blocked_since = None;
                        if wants_room || !wants_input || !out.is_empty() {
                            return Poll::Ready(Ok(Event::Wrote));
                        }
                        out.release(*kept_bytes);
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        times.blocked_since.get_or_insert_with(Instant::now);
                    }
                }
            }
            if out.is_empty() && *is_unflushed {
                match Pin::new(&mut *stream).poll_flush(context) {
                    Poll::Ready(Ok(())) => {
                        *is_unflushed = false;
                        times.blocked_since = None;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        times.blocked_since.get_or_insert_with(Instant::now);
                    }
                }
            }
            if client.poll_signalled(context).is_ready() {
                return Poll::Ready(Ok(Event::Signalled));
            }
            if wants_input && let Poll::Ready(read) = poll_read(stream, context, input, *read_bytes) {
                return Poll::Ready(read.map(|count| {
                    *read_bytes = next_read_bytes(*read_bytes, count);
                    if count == 0 { Event::EndOfInput } else { Event::Read }
                }));
            }
            timer.as_mut().poll(context).map(|()| Ok(Event::Time))
        });
        Ok(event.await?)
    }

    fn handle_time(&mut self, executor: &Executor<'_>) -> Result<(), End> {
        let now = Instant::now();
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if passed(self.write_deadline()) {
            return Err(End::Quiet);
        }
        if passed(self.read_deadline()) {
            return Err(self.interrupted(executor));
        }
        if passed(self.times.heartbeat) {
            self.times.heartbeat = self.times.heartbeat_interval.map(|interval| now + interval);
            // A client that does not read needs no sign of life.
            if self.out.answers_len() < OUTBOX_BYTES_MAX {
                self.out.respond(frame::HEARTBEAT);
            }
        }
        self.set_timer();
        Ok(())
    }

    /// Brings the heartbeats in line with what the client asked for, if it asked for something new.
    fn keep_heartbeat_interval(&mut self) {
        let interval = self.protocol.sending().heartbeat_interval;
        if interval != self.times.heartbeat_interval || self.times.heartbeat.is_none() {
            self.times.heartbeat_interval = interval;
            self.times.heartbeat = interval.map(|interval| Instant::now() + interval);
        }
        // A later IDENTIFY moves only the deadline for the client.
        if self.read_deadline().is_some_and(|deadline| deadline < self.timer.deadline()) {
            self.set_timer();
        }
    }

    /// Deadlines only move away while nothing is changed, so the timer may be early and never late.
    fn set_timer(&mut self) {
        let deadlines = [self.times.heartbeat, self.read_deadline(), self.write_deadline()];
        let next = deadlines.into_iter().flatten().min();
        self.timer.as_mut().reset(next.unwrap_or_else(|| Instant::now() + NO_DEADLINE));
    }

    /// A client must say something within two heartbeats.
    fn read_deadline(&self) -> Option<Instant> {
        self.protocol.settings().heartbeat_interval.map(|interval| self.times.waiting_since + 2 * interval)
    }

    /// A client must take something within a heartbeat.
    fn write_deadline(&self) -> Option<Instant> {
        let interval = self.protocol.settings().heartbeat_interval?;
        self.times.blocked_since.map(|since| since + interval)
    }
}

thread_local! {
    /// Where little input is read to, before it is known how little.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES_MIN].into());
}

/// Appends up to `bytes_max` bytes to `input`, which holds no room while there is nothing to read.
fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    context: &mut task::Context<'_>,
    input: &mut Vec<u8>,
    bytes_max: usize,
) -> Poll<io::Result<usize>> {
    if bytes_max > READ_BYTES_MIN {
        input.reserve(bytes_max);
        let read = pin!(stream.read_buf(input)).poll(context);
        if input.is_empty() {
            *input = Vec::new();
        }
        return read;
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
}

/// How much to ask for after a read of `asked` bytes brought `count`.
fn next_read_bytes(asked: usize, count: usize) -> usize {
    if count >= asked {
        (2 * asked).min(READ_BYTES_MAX)
    } else if count < asked / 4 {
        READ_BYTES_MIN
    } else {
        asked
    }
}

/// Writes what is left to say, and reads until the client has seen it and closes.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, out: &mut Outbox) {
    let goodbye = async {
        stream.write_all(out.pending()).await?;
        stream.flush().await?;
        stream.shutdown().await?;
        // On the heap, because every connection has room for all that its end may need.
        let mut ignored = vec![0; 4096];
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            match stream.read(&mut ignored).await? {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
        Ok::<(), io::Error>(())
    };
    // Whoever does not listen to the end misses it.
    let _ = tokio::time::timeout(LINGER_TIMEOUT, goodbye).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use nsq::wire::command::Limits;
    use nsq::wire::identify::{IdentifyLimits, Offer};
    use nsq::wire::name::TopicName;
    use tokio::io::DuplexStream;

    use super::*;
    use crate::node::Node;
    use crate::tcp::TcpSettings;

    fn settings() -> TcpSettings {
        TcpSettings {
            limits: Limits {
                msg_size_max: 1 << 20,
                body_size_max: 5 << 20,
                rdy_count_max: 2500,
                req_timeout_max: Duration::from_secs(3600),
            },
            identify_limits: IdentifyLimits {
                heartbeat_interval_max: Duration::from_secs(60),
                output_buffer_timeout_min: Duration::from_millis(25),
                output_buffer_timeout_max: Duration::from_secs(30),
                output_buffer_size_max: 65536,
                msg_timeout_max: Duration::from_secs(900),
            },
            offer: Offer {
                version: "1.3.0".to_owned(),
                rdy_count_max: 2500,
                tls: false,
                snappy: false,
                deflate: false,
                deflate_level_max: 6,
                auth_required: false,
                topology_region: String::new(),
                topology_zone: String::new(),
            },
            tls: None,
            tls_required: false,
            auth_servers: None,
            topology_aware: false,
            output_buffer_timeout: Duration::from_millis(250),
            msg_timeout: Duration::from_secs(60),
        }
    }

    /// A session on a connection that holds little, and the client's end of it.
    fn connect(node: &Arc<Node>) -> DuplexStream {
        let (client, server) = tokio::io::duplex(4 * 1024);
        let context = Context::new(Arc::clone(node), settings());
        let peer = Peer { address: "127.0.0.1:1".to_owned(), host: "127.0.0.1".to_owned() };
        tokio::spawn(async move { serve(server, &context, peer).await });
        client
    }

    fn identify(json: &str) -> Vec<u8> {
        [b"IDENTIFY\n", &(json.len() as u32).to_be_bytes()[..], json.as_bytes()].concat()
    }

    #[tokio::test]
    async fn a_panic_ends_a_session_and_not_its_task() {
        assert!(matches!(contained(async { panic!("on purpose") }).await, End::Quiet));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_still_listened_to() {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::in_memory(directory.path());
        let bodies = vec![Bytes::from(vec![b'm'; 10_000]); 90];
        node.publish(TopicName::parse("t").unwrap(), &bodies, None).await.unwrap();
        let mut client = connect(&node);
        client.write_all(b"  V2").await.unwrap();
        client.write_all(&identify(r#"{"heartbeat_interval":1000}"#)).await.unwrap();
        client.write_all(b"SUB t c\nRDY 90\n").await.unwrap();
        // Ten heartbeats long it takes a little now and then, and says so.
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            client.write_all(b"NOP\n").await.unwrap();
            let mut some = [0; 10_000];
            client.read_exact(&mut some).await.expect("the connection is still there");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_consumer_has_no_room_for_goes_to_another() {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::in_memory(directory.path());
        let (mut first, mut second) = (connect(&node), connect(&node));
        for client in [&mut first, &mut second] {
            client.write_all(b"  V2SUB t c\nRDY 100\n").await.unwrap();
            client.read_exact(&mut [0; 10]).await.unwrap();
            // Time passes only when the session waits.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let bodies = vec![Bytes::from(vec![b'm'; 2_000]); 90];
        node.publish(TopicName::parse("t").unwrap(), &bodies, None).await.unwrap();
        // The second does not read: it has what fits into its outbox.
        let frame_bytes = 34 + 2_000;
        let others = (OUTBOX_BYTES_MAX + 2 * 4 * 1024) / frame_bytes + 2;
        let mut messages = vec![0; (90 - others) * frame_bytes];
        let read = tokio::time::timeout(Duration::from_secs(10), first.read_exact(&mut messages));
        read.await.expect("the first gets the rest").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_publishes_and_does_not_read_is_not_listened_to() {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::in_memory(directory.path());
        let mut client = connect(&node);
        client.write_all(b"  V2").await.unwrap();
        let publish = b"PUB t#ephemeral\n\0\0\0\x01m".repeat(100);
        let mut commands = 0;
        while let Ok(written) = tokio::time::timeout(Duration::from_secs(1), client.write_all(&publish)).await
        {
            written.unwrap();
            commands += 100;
            assert!(commands < 100_000, "the answers to {commands} commands are kept");
        }
    }
}
