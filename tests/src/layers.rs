//! What a connection can be wrapped into, on the client's side: TLS, Snappy, Deflate. Others' libraries do it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use snap::read::FrameDecoder;
use snap::write::FrameEncoder;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

/// A stream around a stream.
pub trait Layer: Read + Write + Send {}

impl<L: Read + Write + Send> Layer for L {}

/// A connection with layers, and the socket beneath them.
pub struct Layered {
    /// The socket: its time-outs are those of the whole.
    pub socket: TcpStream,
    layer: Box<dyn Layer>,
}

impl Layered {
    /// The bare socket.
    pub fn new(socket: TcpStream) -> Self {
        let layer = socket.try_clone().expect("the socket is open");
        Self { socket, layer: Box::new(layer) }
    }

    /// The same, where these bytes have been read already.
    pub fn preceded_by(self, early: Vec<u8>) -> Self {
        Self { layer: Box::new(Preceded { early: io::Cursor::new(early), stream: self.layer }), ..self }
    }

    /// TLS around what there is. The handshake comes with the first bytes.
    pub fn tls(self, config: Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").expect("it is a name");
        let connection = ClientConnection::new(config, name).expect("the configuration is in order");
        Self { layer: Box::new(StreamOwned::new(connection, self.layer)), ..self }
    }

    /// The other side must refuse the TLS handshake. Gives what its alert said; where the connection was reset before
    /// the alert could be read, nothing.
    ///
    /// # Panics
    /// When anything is read, or nothing comes.
    pub fn expect_refusal(&mut self) -> String {
        let mut bytes = [0; 1024];
        match self.layer.read(&mut bytes) {
            Ok(length) => panic!("{} where a refusal was due", bytes[..length].escape_ascii()),
            Err(error) => match error.kind() {
                io::ErrorKind::InvalidData => error.to_string(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => String::new(),
                _ => panic!("{error} where a refusal was due"),
            },
        }
    }

    /// Snappy around what there is.
    pub fn snappy(self) -> Self {
        let shared = Shared(Arc::new(Mutex::new(self.layer)));
        let codec = Codec { reader: FrameDecoder::new(shared.clone()), writer: FrameEncoder::new(shared) };
        Self { layer: Box::new(codec), ..self }
    }

    /// Deflate around what there is.
    pub fn deflate(self) -> Self {
        let shared = Shared(Arc::new(Mutex::new(self.layer)));
        let codec = Codec {
            reader: DeflateDecoder::new(shared.clone()),
            writer: DeflateEncoder::new(shared, Compression::new(6)),
        };
        Self { layer: Box::new(codec), ..self }
    }
}

impl fmt::Debug for Layered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Layered").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Read for Layered {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.layer.read(bytes)
    }
}

impl Write for Layered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.layer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.layer.flush()
    }
}

/// A stream that begins with bytes that were read too early.
struct Preceded {
    early: io::Cursor<Vec<u8>>,
    stream: Box<dyn Layer>,
}

impl Read for Preceded {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.early.read(bytes)? {
            0 => self.stream.read(bytes),
            count => Ok(count),
        }
    }
}

impl Write for Preceded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Reading and writing apart, on one stream.
struct Codec<R, W> {
    reader: R,
    writer: W,
}

impl<R: Read, W> Read for Codec<R, W> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.reader.read(bytes)
    }
}

impl<R, W: Write> Write for Codec<R, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Box<dyn Layer>>>);

impl Shared {
    fn locked(&self) -> MutexGuard<'_, Box<dyn Layer>> {
        self.0.lock().expect("nobody panics while reading or writing")
    }
}

impl Read for Shared {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.locked().read(bytes)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.locked().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.locked().flush()
    }
}
