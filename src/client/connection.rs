//! One connection to an nsqd: dialled, introduced, and from then on frames in and commands out.
//!
//! Heartbeats are answered here and nobody else sees them; a server that is silent for too long is given up.
//! What the frames mean, and when to connect again, is for producer and consumer. TLS and compression are not
//! asked for.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::backoff::LONGEST;
use super::dial::dial;
use super::error::{ConnectionError, ServerError};
use super::{NSQD_TIMES_MIN, OptionsError};
use crate::wire::frame::{FRAME_HEADER_BYTES, Frame, FrameType, HEARTBEAT, OK};
use crate::wire::identify::{Request, Response};
use crate::wire::message::{MESSAGE_HEADER_BYTES, MessageId, MessageRef};
use crate::wire::{MAGIC_V2, encode};

/// How a client introduces itself, and how long it waits.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// What the client calls itself in nsqd's statistics; by default the host's name up to its first dot.
    pub client_id: String,
    /// What the client's machine is called in nsqd's statistics; by default the host's name.
    pub hostname: String,
    /// What program this is; by default `nsq-rust/<version>`.
    pub user_agent: String,
    /// How often nsqd sends a sign of life; after two that did not come the connection is given up. nsqd allows
    /// 1 s to 60 s.
    pub heartbeat_interval: Duration,
    /// How long connecting and introducing oneself may take together.
    pub connect_timeout: Duration,
    /// What is sent with `AUTH` to an nsqd that asks for authorisation.
    pub auth_secret: Option<Secret>,
    /// Where the client is, coarsely: nsqd may prefer consumers that are near.
    pub topology_region: String,
    /// Where the client is, finely.
    pub topology_zone: String,
    /// The largest frame that is accepted, in bytes of its data. Must be larger than nsqd's `--max-msg-size`.
    pub frame_bytes_max: usize,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        let hostname = gethostname::gethostname().to_string_lossy().into_owned();
        Self {
            client_id: hostname.split('.').next().unwrap_or_default().to_owned(),
            hostname,
            user_agent: USER_AGENT.to_owned(),
            heartbeat_interval: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            auth_secret: None,
            topology_region: String::new(),
            topology_zone: String::new(),
            frame_bytes_max: 64 * 1024 * 1024,
        }
    }
}

impl ConnectionOptions {
    /// Whether there are nsqd that take a client with these options.
    pub(super) fn check(&self) -> Result<(), OptionsError> {
        if self.heartbeat_interval < NSQD_TIMES_MIN {
            return Err(OptionsError::HeartbeatInterval(self.heartbeat_interval));
        }
        Ok(())
    }
}

/// The `user_agent` of this library.
pub const USER_AGENT: &str = concat!("nsq-rust/", env!("CARGO_PKG_VERSION"));

/// Bytes that are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Keeps the bytes.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What an `IDENTIFY` asks for beyond the introduction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wishes {
    /// How long this client's messages may be in flight; `None`: as nsqd says.
    pub(super) msg_timeout: Option<Duration>,
    /// How many percent of the messages are wanted; 0: all.
    pub(super) sample_rate: u8,
}

/// A frame that is no heartbeat.
#[derive(Debug)]
pub(super) enum Incoming {
    /// The answer to a command.
    Response(Bytes),
    /// The refusal of a command.
    Error(ServerError),
    /// A message.
    Message {
        /// When it was published, in nanoseconds of Unix time.
        timestamp_ns: i64,
        /// How often it was sent, this time included.
        attempts: u16,
        /// What it is called.
        id: MessageId,
        /// What was published.
        body: Bytes,
    },
}

/// A connection that has introduced itself.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    input: BytesMut,
    /// Commands that are to be written. Whoever appends looks at [`pending_bytes`](Self::pending_bytes) first.
    pub(super) out: Vec<u8>,
    /// How much of `out` is written; always at most its length.
    written: usize,
    /// Whether writing has failed. What nsqd said before is read nevertheless, for it may say why.
    is_deaf: bool,
    frame_bytes_max: usize,
    /// What nsqd said in answer to `IDENTIFY`.
    pub(super) identity: Response,
    last_heard: Instant,
    /// How long nsqd may be silent.
    silence_max: Duration,
    /// Sleeps until the silence may be too long. It may end too early; then it is set again.
    timer: Pin<Box<Sleep>>,
}

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A buffer is read into while it has so much room, in bytes: messages that come one by one share it, for the body of
/// each keeps all of it in memory.
const ROOM_BYTES_MIN: usize = 4 * 1024;

/// A written prefix of this many bytes is taken out of the buffer though more is to be written.
const WRITTEN_BYTES_MAX: usize = 256 * 1024;

impl Connection {
    /// Connects, sends magic and `IDENTIFY`, and `AUTH` where nsqd asks for it.
    pub(super) async fn dial(
        address: &str,
        options: &ConnectionOptions,
        wishes: Wishes,
    ) -> Result<Self, ConnectionError> {
        let introduced = async {
            let dialled = dial(address).await;
            let stream =
                dialled.map_err(|source| ConnectionError::Dial { address: address.to_owned(), source })?;
            stream.set_nodelay(true)?;
            let mut connection = Self::new(stream, options);
            connection.introduce(options, wishes).await?;
            Ok(connection)
        };
        let timeout = options.connect_timeout;
        let in_time = tokio::time::timeout(timeout, introduced).await;
        in_time.map_err(|_| ConnectionError::DialTimeout { address: address.to_owned(), timeout })?
    }

    fn new(stream: TcpStream, options: &ConnectionOptions) -> Self {
        // Two that did not come, and a little for the way of the third.
        let silence_max = options.heartbeat_interval.min(LONGEST).mul_f64(2.5);
        Self {
            stream,
            input: BytesMut::new(),
            out: MAGIC_V2.to_vec(),
            written: 0,
            is_deaf: false,
            frame_bytes_max: options.frame_bytes_max,
            identity: Response::default(),
            last_heard: Instant::now(),
            silence_max,
            timer: Box::pin(tokio::time::sleep(silence_max)),
        }
    }

    async fn introduce(
        &mut self,
        options: &ConnectionOptions,
        wishes: Wishes,
    ) -> Result<(), ConnectionError> {
        let request = Request {
            client_id: options.client_id.clone(),
            hostname: options.hostname.clone(),
            user_agent: options.user_agent.clone(),
            feature_negotiation: true,
            heartbeat_interval: milliseconds(options.heartbeat_interval),
            sample_rate: wishes.sample_rate.into(),
            msg_timeout: wishes.msg_timeout.map_or(0, milliseconds),
            topology_region: options.topology_region.clone(),
            topology_zone: options.topology_zone.clone(),
            ..Request::default()
        };
        encode::identify(&mut self.out, &request.to_json());
        let answer = self.answer("IDENTIFY").await?;
        self.identity =
            serde_json::from_slice(&answer).map_err(|_| ConnectionError::unexpected("IDENTIFY", &answer))?;
        if self.identity.auth_required {
            let Secret(secret) = options.auth_secret.as_ref().ok_or(ConnectionError::AuthRequired)?;
            encode::auth(&mut self.out, secret);
            self.answer("AUTH").await?;
        }
        Ok(())
    }

    /// Writes what is to be written and waits for the answer to `command`, the last of it.
    async fn answer(&mut self, command: &'static str) -> Result<Bytes, ConnectionError> {
        match self.next().await? {
            Incoming::Response(data) => Ok(data),
            Incoming::Error(error) => Err(ConnectionError::Refused(error)),
            Incoming::Message { body, .. } => Err(ConnectionError::unexpected(command, &body)),
        }
    }

    /// As [`answer`](Self::answer), where only `OK` will do.
    pub(super) async fn expect_ok(&mut self, command: &'static str) -> Result<(), ConnectionError> {
        let data = self.answer(command).await?;
        if data == OK { Ok(()) } else { Err(ConnectionError::unexpected(command, &data)) }
    }

    /// How much waits to be written, in bytes.
    pub(super) fn pending_bytes(&self) -> usize {
        self.out.len() - self.written
    }

    /// The next frame. Meanwhile writes what is to be written. Nothing is lost when it is given up half-way.
    pub(super) async fn next(&mut self) -> Result<Incoming, ConnectionError> {
        loop {
            if let Some(incoming) = self.try_next()? {
                return Ok(incoming);
            }
            if self.input.capacity() - self.input.len() < ROOM_BYTES_MIN {
                self.input.reserve(READ_BYTES);
            }
            let (mut reader, mut writer) = self.stream.split();
            tokio::select! {
                // First what is to be said, which an nsqd that never pauses must not keep back; then what was heard,
                // for a late look at the clock must not call it silence.
                biased;
                wrote = writer.write(&self.out[self.written..]),
                    if self.written < self.out.len() && !self.is_deaf =>
                {
                    match wrote {
                        Ok(bytes) => {
                            self.written += bytes;
                            self.forget_written();
                        }
                        Err(_) => self.is_deaf = true,
                    }
                }
                read = reader.read_buf(&mut self.input) => {
                    if read? == 0 {
                        return Err(ConnectionError::ClosedByServer);
                    }
                    self.last_heard = Instant::now();
                }
                () = self.timer.as_mut() => self.check_silence()?,
            }
        }
    }

    /// The next frame, if all of it has been read already.
    pub(super) fn try_next(&mut self) -> Result<Option<Incoming>, ConnectionError> {
        loop {
            let Some((frame, frame_bytes)) = Frame::parse(&self.input, self.frame_bytes_max)? else {
                return Ok(None);
            };
            let frame_type = frame.frame_type;
            if frame_type == FrameType::Response && frame.data == HEARTBEAT {
                self.input.advance(frame_bytes);
                // Any command is an answer; so an nsqd that does not read cannot make answers pile up.
                if self.pending_bytes() == 0 {
                    encode::nop(&mut self.out);
                }
                continue;
            }
            let mut data = self.input.split_to(frame_bytes).freeze();
            data.advance(FRAME_HEADER_BYTES);
            return understand(frame_type, data).map(Some);
        }
    }

    /// Writes what is to be written and says that nothing more will come, then waits until nsqd has read it all
    /// and closes too: only so is the last command sure to be carried out.
    pub(super) async fn close(mut self) -> Result<(), ConnectionError> {
        self.stream.write_all(&self.out[self.written..]).await?;
        self.stream.shutdown().await?;
        loop {
            self.input.clear();
            self.input.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(());
            }
        }
    }

    fn forget_written(&mut self) {
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        } else if self.written > WRITTEN_BYTES_MAX {
            self.out.drain(..self.written);
            self.written = 0;
        }
    }

    fn check_silence(&mut self) -> Result<(), ConnectionError> {
        let silence = self.last_heard.elapsed();
        if silence >= self.silence_max {
            return Err(ConnectionError::Silent { silence });
        }
        self.timer.as_mut().reset(self.last_heard + self.silence_max);
        Ok(())
    }
}

fn understand(frame_type: FrameType, data: Bytes) -> Result<Incoming, ConnectionError> {
    match frame_type {
        FrameType::Response => Ok(Incoming::Response(data)),
        FrameType::Error => Ok(Incoming::Error(ServerError::parse(&data))),
        FrameType::Message => {
            let message =
                MessageRef::parse(&data).ok_or_else(|| ConnectionError::unexpected("nothing", &data))?;
            let MessageRef { timestamp_ns, attempts, id, .. } = message;
            Ok(Incoming::Message { timestamp_ns, attempts, id, body: data.slice(MESSAGE_HEADER_BYTES..) })
        }
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::Interest;
    use tokio::net::TcpListener;

    use super::*;
    use crate::wire::frame::encode_response;
    use crate::wire::message::write_message_frame;

    #[test]
    fn a_secret_is_not_shown() {
        let options =
            ConnectionOptions { auth_secret: Some(Secret::new("s3cret")), ..ConnectionOptions::default() };
        assert!(!format!("{options:?}").contains("s3cret"));
    }

    /// A connection, and what nsqd has of it.
    async fn connected() -> (Connection, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let accept = async {
            let (mut nsqd, _) = listener.accept().await.unwrap();
            let mut introduction = Vec::new();
            while !introduction.ends_with(b"}") {
                assert!(nsqd.read_buf(&mut introduction).await.unwrap() > 0);
            }
            nsqd.write_all(b"\0\0\0\x06\0\0\0\0{}").await.unwrap();
            nsqd
        };
        let options = ConnectionOptions::default();
        let dial = Connection::dial(&address, &options, Wishes::default());
        let (connection, nsqd) = tokio::join!(dial, accept);
        (connection.unwrap(), nsqd)
    }

    const NOP_BYTES: usize = 4;

    fn message_frame(body: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        write_message_frame(&mut frame, 0, 1, &MessageId::from_u64(1), body);
        frame
    }

    #[tokio::test]
    async fn messages_that_come_one_by_one_share_a_buffer() {
        let (mut connection, mut nsqd) = connected().await;
        let frame = message_frame(b"body");
        let mut bodies = Vec::new();
        for _ in 0..10 {
            nsqd.write_all(&frame).await.unwrap();
            let Incoming::Message { body, .. } = connection.next().await.unwrap() else {
                panic!("a message")
            };
            bodies.push(body);
        }
        let starts: Vec<usize> = bodies.iter().map(|body| body.as_ptr().addr()).collect();
        assert!(starts.windows(2).all(|pair| pair[1].abs_diff(pair[0]) == frame.len()), "{starts:?}");
    }

    #[tokio::test]
    async fn heartbeats_that_nsqd_does_not_read_the_answers_to_are_answered_once() {
        let (mut connection, mut nsqd) = connected().await;
        let mut sent = Vec::new();
        for _ in 0..1000 {
            encode_response(&mut sent, HEARTBEAT);
        }
        sent.extend(message_frame(b"last"));
        nsqd.write_all(&sent).await.unwrap();
        connection.next().await.unwrap();
        assert!(
            connection.pending_bytes() <= NOP_BYTES,
            "{} bytes are to be written",
            connection.pending_bytes()
        );
    }

    #[tokio::test]
    async fn what_is_to_be_said_does_not_wait_until_nsqd_pauses() {
        let (mut connection, mut nsqd) = connected().await;
        nsqd.write_all(&message_frame(b"body")).await.unwrap();
        connection.stream.readable().await.unwrap();
        encode::nop(&mut connection.out);
        connection.next().await.unwrap();
        assert_eq!(connection.pending_bytes(), 0);
    }

    #[tokio::test]
    async fn why_nsqd_hangs_up_is_read_though_it_takes_nothing_more() {
        let (mut connection, mut nsqd) = connected().await;
        connection.stream.write_all(b"never read: so the connection is reset").await.unwrap();
        nsqd.write_all(b"\0\0\0\x09\0\0\0\x01E_BAD").await.unwrap();
        nsqd.readable().await.unwrap();
        drop(nsqd);
        connection.stream.ready(Interest::ERROR).await.unwrap();
        encode::nop(&mut connection.out);
        let incoming = connection.next().await.unwrap();
        assert!(matches!(&incoming, Incoming::Error(error) if error.code() == "E_BAD"), "{incoming:?}");
        assert!(connection.next().await.is_err());
    }

    #[test]
    fn a_message_shorter_than_its_header_is_an_error() {
        assert!(understand(FrameType::Message, Bytes::from_static(b"short")).is_err());
    }
}
