//! A client of the protocol V2 that sends the bytes it is given and shows the frames it gets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::layers::Layered;
use crate::{PATIENCE, SILENCE};

/// A frame as the daemon sends it.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// 0 response, 1 error, 2 message.
    pub kind: u32,
    /// What follows the frame type.
    pub data: Vec<u8>,
}

/// A message as a consumer gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Nanoseconds of Unix time at which it was published.
    pub timestamp_ns: i64,
    /// How often it was delivered on its channel, this time included.
    pub attempts: u16,
    /// Sixteen bytes that FIN, REQ and TOUCH take back.
    pub id: String,
    /// What was published.
    pub body: Vec<u8>,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    received: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Layered(Layered),
    /// While the layers change.
    None,
}

/// What came of waiting for a frame.
#[derive(Debug)]
pub enum Polled {
    /// A frame.
    Frame(Frame),
    /// The connection ended.
    End,
    /// The time was over.
    Nothing,
}

enum Arrival {
    Bytes,
    End,
    Nothing,
}

impl Client {
    /// Connects over TCP.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the daemon listens");
        stream.set_nodelay(true).expect("the socket is open");
        Self { stream: Stream::Tcp(stream), received: Vec::new() }
    }

    /// Connects through a socket file.
    pub fn connect_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the daemon listens");
        Self { stream: Stream::Unix(stream), received: Vec::new() }
    }

    /// Goes on in another layer around what there is. Bytes that came before are the first that it is given.
    ///
    /// # Panics
    /// Where the connection is no TCP connection.
    pub fn wrap(&mut self, layer: impl FnOnce(Layered) -> Layered) {
        let early = std::mem::take(&mut self.received);
        let layered = match std::mem::replace(&mut self.stream, Stream::None) {
            Stream::Tcp(stream) => Layered::new(stream),
            Stream::Layered(layered) => layered,
            Stream::Unix(_) | Stream::None => panic!("only TCP connections have layers"),
        };
        self.stream = Stream::Layered(layer(layered.preceded_by(early)));
    }

    /// The client's own address.
    pub fn address(&self) -> SocketAddr {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().expect("the socket is open"),
            Stream::Layered(stream) => stream.socket.local_addr().expect("the socket is open"),
            Stream::Unix(_) | Stream::None => panic!("a socket file has no address"),
        }
    }

    /// Sends bytes. A daemon that has closed already is no failure here: what it said is read by the next call.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes.as_ref()),
            Stream::Unix(stream) => stream.write_all(bytes.as_ref()),
            Stream::Layered(stream) => stream.write_all(bytes.as_ref()).and_then(|()| stream.flush()),
            Stream::None => unreachable!("the layers are there again"),
        };
        if let Err(error) = sent {
            let closed = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
            assert!(closed, "sending: {error}");
        }
    }

    /// Sends bytes past the layers, as they are.
    pub fn send_beneath(&mut self, bytes: &[u8]) {
        let Stream::Layered(stream) = &self.stream else { panic!("there are no layers") };
        (&stream.socket).write_all(bytes).expect("the socket is open");
    }

    /// Tells the daemon that nothing more will come; the other direction stays open.
    pub fn finish_sending(&mut self) {
        // The daemon may have closed already.
        let _ = match &mut self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Layered(stream) => stream.socket.shutdown(Shutdown::Write),
            Stream::None => unreachable!("the layers are there again"),
        };
    }

    /// Sends IDENTIFY with this JSON.
    pub fn send_identify(&mut self, json: &str) {
        self.send(with_body("IDENTIFY", json));
    }

    /// Sends IDENTIFY with feature negotiation and these further fields (`"a":1,"b":2`); gives the answer.
    pub fn identify(&mut self, fields: &str) -> String {
        let comma = if fields.is_empty() { "" } else { "," };
        self.send_identify(&format!("{{\"feature_negotiation\":true{comma}{fields}}}"));
        self.expect_any_response()
    }

    /// Subscribes, and waits for the OK.
    pub fn subscribe(&mut self, topic: &str, channel: &str) {
        self.send(format!("SUB {topic} {channel}\n"));
        self.expect_response("OK");
    }

    /// Sets the ready count.
    pub fn ready(&mut self, count: u32) {
        self.send(format!("RDY {count}\n"));
    }

    /// Publishes, and waits for the OK.
    pub fn publish(&mut self, topic: &str, body: &[u8]) {
        self.send(with_body(&format!("PUB {topic}"), body));
        self.expect_response("OK");
    }

    /// Publishes with a delay, and waits for the OK.
    pub fn publish_deferred(&mut self, topic: &str, delay_ms: u64, body: &[u8]) {
        self.send(with_body(&format!("DPUB {topic} {delay_ms}"), body));
        self.expect_response("OK");
    }

    /// Publishes several messages at once, and waits for the OK.
    pub fn publish_all<B: AsRef<[u8]>>(&mut self, topic: &str, bodies: &[B]) {
        self.send(with_body(&format!("MPUB {topic}"), batch(bodies)));
        self.expect_response("OK");
    }

    /// Finishes a message.
    pub fn finish(&mut self, message: &Message) {
        self.send(format!("FIN {}\n", message.id));
    }

    /// Requeues a message.
    pub fn requeue(&mut self, message: &Message, delay_ms: u64) {
        self.send(format!("REQ {} {delay_ms}\n", message.id));
    }

    /// The next frame.
    ///
    /// # Panics
    /// When there is none in time, or the connection ends.
    pub fn next_frame(&mut self) -> Frame {
        self.next_frame_within(PATIENCE)
    }

    /// The next frame, waiting no longer than `patience`.
    ///
    /// # Panics
    /// When there is none in time, or the connection ends.
    pub fn next_frame_within(&mut self, patience: Duration) -> Frame {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(frame) = self.take_frame() {
                return frame;
            }
            match self.receive(deadline) {
                Arrival::Bytes => {}
                Arrival::End => panic!("the connection ended where a frame was due"),
                Arrival::Nothing => panic!("no frame came within {patience:?}"),
            }
        }
    }

    /// The next frame, if one comes within `patience` and before the connection ends.
    pub fn poll_frame(&mut self, patience: Duration) -> Option<Frame> {
        match self.poll(patience) {
            Polled::Frame(frame) => Some(frame),
            Polled::End | Polled::Nothing => None,
        }
    }

    /// What comes next within `patience`.
    pub fn poll(&mut self, patience: Duration) -> Polled {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(frame) = self.take_frame() {
                return Polled::Frame(frame);
            }
            match self.receive(deadline) {
                Arrival::Bytes => {}
                Arrival::End => return Polled::End,
                Arrival::Nothing => return Polled::Nothing,
            }
        }
    }

    /// The next frame must be this response.
    pub fn expect_response(&mut self, text: &str) {
        let frame = self.next_frame();
        assert_eq!(frame, Frame { kind: 0, data: text.into() });
    }

    /// The next frame must be a response; gives its text.
    pub fn expect_any_response(&mut self) -> String {
        let frame = self.next_frame();
        assert_eq!(frame.kind, 0, "{frame:?} is not a response");
        String::from_utf8(frame.data).expect("responses are text")
    }

    /// The next frame must be this error.
    pub fn expect_error(&mut self, text: impl AsRef<[u8]>) {
        let frame = self.next_frame();
        assert_eq!(frame, Frame { kind: 1, data: text.as_ref().into() });
    }

    /// The next frame must be this error, and the connection must end after it.
    pub fn expect_fatal(&mut self, text: impl AsRef<[u8]>) {
        self.expect_error(text);
        self.expect_end();
    }

    /// The next frame must be a message.
    pub fn expect_message(&mut self) -> Message {
        self.expect_message_within(PATIENCE)
    }

    /// The next frame must be a message, and come within `patience`.
    pub fn expect_message_within(&mut self, patience: Duration) -> Message {
        self.next_frame_within(patience).message()
    }

    /// The next frame must be a message with this body.
    pub fn expect_body(&mut self, body: impl AsRef<[u8]>) -> Message {
        let message = self.expect_message();
        assert_eq!(message.body, body.as_ref(), "{message:?}");
        message
    }

    /// The daemon must refuse the TLS handshake. Gives what its alert said.
    ///
    /// # Panics
    /// When it goes on, or where there is no TLS.
    pub fn expect_refusal(&mut self) -> String {
        let Stream::Layered(stream) = &mut self.stream else { panic!("only TLS has handshakes") };
        stream.socket.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
        stream.expect_refusal()
    }

    /// The connection must end without another frame.
    pub fn expect_end(&mut self) {
        assert!(self.received.is_empty(), "{} before the end", self.received.escape_ascii());
        match self.receive(Instant::now() + PATIENCE) {
            Arrival::End => {}
            Arrival::Bytes => panic!("{} where the end was due", self.received.escape_ascii()),
            Arrival::Nothing => panic!("the connection did not end"),
        }
    }

    /// Nothing must come for a short while, and the connection must stay.
    pub fn expect_silence(&mut self) {
        if let Some(frame) = self.take_frame() {
            panic!("{frame:?} where silence was due");
        }
        match self.receive(Instant::now() + SILENCE) {
            Arrival::Nothing => {}
            Arrival::End => panic!("the connection ended"),
            Arrival::Bytes => panic!("{} where silence was due", self.received.escape_ascii()),
        }
    }

    /// Everything sent before must have been taken without an answer, and the connection must go on:
    /// publishes to a topic of its own, and the OK must be the next frame.
    pub fn expect_nothing_answered(&mut self) {
        self.publish("barrier", b"x");
    }

    /// The next bytes must be these; frames are not looked for.
    pub fn expect_bytes(&mut self, expected: &[u8]) {
        let got = self.next_bytes(expected.len());
        assert_eq!(got.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    /// The next bytes, fewer only if no more come; frames are not looked for.
    pub fn next_bytes(&mut self, length: usize) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.received.len() < length {
            let Arrival::Bytes = self.receive(deadline) else { break };
        }
        let length = length.min(self.received.len());
        self.received.drain(..length).collect()
    }

    /// Whether no whole frame has been received that was not taken yet.
    pub fn is_empty(&self) -> bool {
        self.first_frame().is_none()
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let bytes = self.first_frame()?;
        let size = bytes.len();
        let (kind, data) = bytes.split_first_chunk::<4>().expect("a frame has a type");
        let frame = Frame { kind: u32::from_be_bytes(*kind), data: data.to_vec() };
        self.received.drain(..4 + size);
        Some(frame)
    }

    /// The bytes of the first frame after its size.
    fn first_frame(&self) -> Option<&[u8]> {
        let (size, rest) = self.received.split_first_chunk::<4>()?;
        rest.get(..u32::from_be_bytes(*size) as usize)
    }

    fn receive(&mut self, deadline: Instant) -> Arrival {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut bytes = [0; 64 * 1024];
        let read = match &mut self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut bytes)),
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut bytes))
            }
            Stream::Layered(stream) => {
                stream.socket.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut bytes))
            }
            Stream::None => unreachable!("the layers are there again"),
        };
        match read {
            Ok(0) => Arrival::End,
            Ok(length) => {
                self.received.extend_from_slice(&bytes[..length]);
                Arrival::Bytes
            }
            // A layer may miss its own end.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) =>
            {
                Arrival::End
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Arrival::Nothing
            }
            // Whoever asks looks again, for as long as there is time.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Arrival::Bytes,
            Err(error) => panic!("receiving: {error}"),
        }
    }
}

impl Frame {
    /// The message in it.
    ///
    /// # Panics
    /// When it is not a message.
    pub fn message(&self) -> Message {
        assert_eq!(self.kind, 2, "{self:?} is not a message");
        let (timestamp, rest) = self.data.split_first_chunk::<8>().expect("a message has a timestamp");
        let (attempts, rest) = rest.split_first_chunk::<2>().expect("a message has attempts");
        let (id, body) = rest.split_first_chunk::<16>().expect("a message has an id");
        Message {
            timestamp_ns: i64::from_be_bytes(*timestamp),
            attempts: u16::from_be_bytes(*attempts),
            id: std::str::from_utf8(id).expect("message ids are ASCII").to_owned(),
            body: body.to_vec(),
        }
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            0 => "response".to_owned(),
            1 => "error".to_owned(),
            2 => "message".to_owned(),
            other => format!("frame of type {other}"),
        };
        write!(formatter, "{kind} `{}`", self.data.escape_ascii())
    }
}

/// A command line followed by a body with its length.
pub fn with_body(line: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = u32::try_from(body.len()).expect("test bodies are small");
    [line.as_bytes(), b"\n", &length.to_be_bytes(), body].concat()
}

/// The body of an MPUB: the number of messages, then each with its length.
pub fn batch<B: AsRef<[u8]>>(bodies: &[B]) -> Vec<u8> {
    let mut bytes = be(bodies.len()).to_vec();
    for body in bodies {
        bytes.extend(be(body.as_ref().len()));
        bytes.extend(body.as_ref());
    }
    bytes
}

/// A length as four bytes, the largest first.
pub fn be(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("test bodies are small").to_be_bytes()
}
