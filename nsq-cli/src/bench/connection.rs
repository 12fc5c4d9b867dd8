//! A connection to nsqd that costs little: a blocking socket, one large buffer for what comes, and what was agreed on
//! around it.
//!
//! It shares the machine with what is measured, so that nothing here is made for one message.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use nsq::daemon::os_error::os_error_text;
use nsq::transport::compressed::Codec;
use nsq::wire::frame::{self, Frame, FrameType};
use nsq::wire::name::{ChannelName, TopicName};
use nsq::wire::{MAGIC_V2, encode};
use tokio_rustls::rustls::{ClientConnection, Stream};

use super::interrupt::Interrupt;
use super::layer::{self, Layer};
use super::target::{LOOK_INTERVAL, Place};
use crate::failure::{Failure, printable};

/// How often nsqd asks whether one is still there.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);

/// How much is read at once, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// How much is read at once by those who only hear answers, in bytes.
const READ_BYTES_FEW: usize = 4 * 1024;

/// The largest frame that is taken, in bytes.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection that has said who it is.
pub(super) struct Connection {
    socket: TcpStream,
    layer: Layer,
    coding: Coding,
    patience: Duration,
    interrupt: Arc<Interrupt>,
    /// How much is read at once, in bytes.
    room: usize,
    input: Vec<u8>,
    /// Where in `input` what has come and was not looked at begins and ends.
    start: usize,
    end: usize,
}

/// What came of waiting for input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// Some came, which may be no complete frame.
    Frames,
    /// Nothing came for as long as one is patient.
    Silence,
    /// Nothing more comes.
    End,
}

/// What stands between `input` and the socket.
enum Coding {
    Plain,
    Tls(Box<ClientConnection>),
    Compressed { codec: Box<dyn Codec + Send>, encoded: BytesMut, plain: BytesMut },
}

impl Connection {
    /// Connects, says who it is, and puts the layer around the connection.
    pub(super) fn open(place: &Place, layer: Layer) -> Result<Self, Failure> {
        Self::with_room(place, layer, READ_BYTES)
    }

    /// The same for those who never hear much, and may be many.
    pub(super) fn open_small(place: &Place) -> Result<Self, Failure> {
        Self::with_room(place, Layer::Plain, READ_BYTES_FEW)
    }

    fn with_room(place: &Place, layer: Layer, room: usize) -> Result<Self, Failure> {
        let Place { tcp: address, patience, .. } = *place;
        let socket = TcpStream::connect(address)
            .map_err(|error| format!("cannot connect to {address}: {}", os_error_text(&error)))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(patience.min(LOOK_INTERVAL)))?;
        socket.set_write_timeout(Some(patience))?;
        let mut connection = Self {
            socket,
            layer: Layer::Plain,
            coding: Coding::Plain,
            patience,
            interrupt: Arc::clone(&place.interrupt),
            room,
            input: vec![0; room],
            start: 0,
            end: 0,
        };
        connection.identify(layer)?;
        Ok(connection)
    }

    fn identify(&mut self, layer: Layer) -> Result<(), Failure> {
        static PLAIN: LazyLock<Vec<u8>> = LazyLock::new(|| hello(Layer::Plain));
        match layer {
            Layer::Plain => self.send(&PLAIN)?,
            other => self.send(&hello(other))?,
        }
        let Some(key) = layer.key() else { return self.one_response(|_| Ok(())) };
        let mut answer = serde_json::Value::Null;
        self.one_response(|data| {
            answer = serde_json::from_slice(data).unwrap_or_default();
            Ok(())
        })?;
        if answer[key] != true {
            return Err(Failure::Failed(format!("nsqd does not agree to {key}")));
        }
        // What has come behind the answer is compressed already.
        let encoded = BytesMut::from(&self.input[self.start..self.end]);
        self.start = self.end;
        self.layer = layer;
        self.coding = match layer.codec() {
            Some(codec) => Coding::Compressed { codec, encoded, plain: BytesMut::new() },
            None => Coding::Tls(Box::new(layer::tls()?)),
        };
        self.expect_ok()
    }

    /// Subscribes; nothing comes before [`ready`](Self::ready).
    pub(super) fn subscribe(&mut self, topic: &TopicName, channel: &ChannelName) -> Result<(), Failure> {
        let mut command = Vec::new();
        encode::subscribe(&mut command, topic, channel);
        self.say(command)?;
        self.expect_ok()
    }

    /// Takes so many messages at a time.
    pub(super) fn ready(&mut self, count: u32) -> Result<(), Failure> {
        let mut command = Vec::new();
        encode::ready(&mut command, count);
        self.say(command)
    }

    /// The same, with as little memory as can be: for those who have nothing more to say.
    pub(super) fn without_buffer(self) -> TcpStream {
        self.socket
    }

    /// Where what comes is read from.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// A handle on the socket, by which another thread can end the waiting for input.
    pub(super) fn waiting(&self) -> Result<Waiting, Failure> {
        Ok(Waiting(self.socket.try_clone()?))
    }

    /// Sends commands that are plain.
    pub(super) fn say(&mut self, commands: Vec<u8>) -> Result<(), Failure> {
        let encoded = self.layer.encode(commands);
        self.send(&encoded)
    }

    /// Sends what [`Layer::encode`] made of commands.
    pub(super) fn send(&mut self, encoded: &[u8]) -> Result<(), Failure> {
        let sent = match &mut self.coding {
            Coding::Tls(tls) => {
                let mut stream = Stream::new(tls.as_mut(), &mut self.socket);
                stream.write_all(encoded).and_then(|()| stream.flush())
            }
            Coding::Plain | Coding::Compressed { .. } => self.socket.write_all(encoded),
        };
        sent.map_err(|error| failed("write to", &error))
    }

    /// Waits for input and gives each complete frame in it to `handle`, heartbeats apart, which are answered.
    pub(super) fn receive(
        &mut self,
        mut handle: impl FnMut(Frame<'_>) -> Result<(), Failure>,
    ) -> Result<Received, Failure> {
        let received = self.wait()?;
        if received != Received::Frames {
            return Ok(received);
        }
        let mut has_heartbeat = false;
        while let Some((frame, length)) = parse(&self.input[self.start..self.end])? {
            if frame.frame_type == FrameType::Response && frame.data == frame::HEARTBEAT {
                has_heartbeat = true;
            } else {
                handle(frame)?;
            }
            self.start += length;
        }
        if has_heartbeat {
            let mut answer = Vec::new();
            encode::nop(&mut answer);
            self.say(answer)?;
        }
        Ok(Received::Frames)
    }

    /// Waits for answers to commands, each of which must be `OK`, and counts them.
    pub(super) fn oks(&mut self) -> Result<usize, Failure> {
        let mut count = 0;
        let received = self.receive(|frame| {
            count += 1;
            expect(frame, FrameType::Response).and_then(|data| match data {
                frame::OK => Ok(()),
                other => Err(unexpected(other)),
            })
        })?;
        expect_frames(received)?;
        Ok(count)
    }

    fn expect_ok(&mut self) -> Result<(), Failure> {
        self.one_response(|data| if data == frame::OK { Ok(()) } else { Err(unexpected(data)) })
    }

    /// Waits for one answer, and leaves alone what has come behind it.
    fn one_response(&mut self, take: impl FnOnce(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        loop {
            if let Some((frame, length)) = parse(&self.input[self.start..self.end])? {
                self.start += length;
                // A heartbeat that is not answered yet may be answered later.
                if frame.data != frame::HEARTBEAT {
                    return take(expect(frame, FrameType::Response)?);
                }
            } else {
                expect_frames(self.wait()?)?;
            }
        }
    }

    /// Waits for input, for as long as one is patient.
    fn wait(&mut self) -> Result<Received, Failure> {
        let mut deadline = None;
        loop {
            self.interrupt.check()?;
            match self.fill() {
                Ok(0) => return Ok(Received::End),
                Ok(_) => return Ok(Received::Frames),
                // The system does not begin anew by itself where there is a time limit.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {
                    let now = Instant::now();
                    let waited = self.patience.min(LOOK_INTERVAL);
                    if now >= *deadline.get_or_insert(now + self.patience - waited) {
                        return Ok(Received::Silence);
                    }
                }
                Err(error) => return Err(failed("read from", &error)),
            }
        }
    }

    /// Reads once more. Returns how much came; 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.input.len() - self.end < self.room / 2 {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.input.len() - self.end < self.room / 2 {
                // No further than a frame may be long.
                self.input.resize(self.input.len() + self.room, 0);
            }
        }
        let room = &mut self.input[self.end..];
        let count = match &mut self.coding {
            Coding::Plain => self.socket.read(room)?,
            Coding::Tls(tls) => Stream::new(tls.as_mut(), &mut self.socket).read(room)?,
            Coding::Compressed { codec, encoded, plain } => loop {
                let before = encoded.len();
                codec.decode(encoded, plain)?;
                if !plain.is_empty() {
                    let count = plain.len().min(room.len());
                    plain.copy_to_slice(&mut room[..count]);
                    break count;
                }
                if encoded.len() == before {
                    let count = self.socket.read(room)?;
                    if count == 0 {
                        break 0;
                    }
                    encoded.extend_from_slice(&room[..count]);
                }
            },
        };
        self.end += count;
        Ok(count)
    }
}

/// What a client says first: that it wants what go-nsq wants by default, above all nsqd's buffer in front of it.
fn hello(layer: Layer) -> Vec<u8> {
    let mut wishes = serde_json::json!({
        "client_id": "bench",
        "hostname": "localhost",
        "user_agent": crate::user_agent("bench"),
        "feature_negotiation": true,
        "heartbeat_interval": HEARTBEAT_INTERVAL.as_millis() as u64,
        "output_buffer_size": 16384,
        "output_buffer_timeout": 250,
        "sample_rate": 0,
        "msg_timeout": 0,
    });
    if let Some(key) = layer.key() {
        wishes[key] = true.into();
    }
    let mut hello = MAGIC_V2.to_vec();
    encode::identify(&mut hello, wishes.to_string().as_bytes());
    hello
}

/// Ends the waiting for input of a connection that another thread has.
pub(super) struct Waiting(TcpStream);

impl Waiting {
    pub(super) fn end(&self) {
        // It fails only where the connection is closed already.
        let _ = self.0.shutdown(Shutdown::Read);
    }
}

/// The frame's data, where it is of that type.
pub(super) fn expect(frame: Frame<'_>, frame_type: FrameType) -> Result<&[u8], Failure> {
    if frame.frame_type == frame_type { Ok(frame.data) } else { Err(unexpected(frame.data)) }
}

/// The first frame, if all of it has come, and its length.
fn parse(input: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Failure> {
    let parsed = Frame::parse(input, FRAME_BYTES_MAX);
    Ok(parsed.map_err(|error| format!("nsqd sent what is no frame: {error}"))?)
}

/// Something must have come.
fn expect_frames(received: Received) -> Result<(), Failure> {
    match received {
        Received::Frames => Ok(()),
        Received::Silence => Err(Failure::Failed("nsqd does not answer".to_owned())),
        Received::End => Err(closed()),
    }
}

/// nsqd closed a connection.
pub(super) fn closed() -> Failure {
    Failure::Failed("nsqd closed a connection".to_owned())
}

fn unexpected(data: &[u8]) -> Failure {
    // The beginning of it will do.
    let data = &data[..data.len().min(200)];
    Failure::Failed(format!("nsqd answered {}", printable(&String::from_utf8_lossy(data))))
}

fn failed(what: &str, error: &io::Error) -> Failure {
    let why = if is_timeout(error) { "it takes nothing".to_owned() } else { os_error_text(error) };
    Failure::Failed(format!("cannot {what} nsqd: {why}"))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
