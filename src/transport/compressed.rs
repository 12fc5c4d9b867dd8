//! A compressed stream: the one driver of both codecs.
//!
//! What was written is on its way when it was flushed, and not before. Memory is bounded whatever the other end sends:
//! input that is not decoded yet by what a codec needs at once, decoded bytes that nobody has read by what one step of
//! a codec gives ([`PLAIN_BYTES_MAX`]). A stream that expands without end is so many bytes, and each is read as it comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that one step of a codec takes or gives, uncompressed, in bytes.
pub const PLAIN_BYTES_MAX: usize = 64 * 1024;

/// How much is read from the stream at once, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// What encodes and decodes. It never waits.
pub trait Codec {
    /// Appends `plain`, of at most [`PLAIN_BYTES_MAX`] bytes, to what is encoded.
    fn encode(&mut self, plain: &[u8], encoded: &mut Vec<u8>);

    /// Sees to it that everything encoded so far can be decoded without what comes next.
    fn flush(&mut self, encoded: &mut Vec<u8>);

    /// Takes what it can use from `encoded`, and appends at most [`PLAIN_BYTES_MAX`] bytes to `plain`. It is asked
    /// again until it neither takes nor gives anything: then it needs more input.
    ///
    /// # Errors
    /// This is no such stream.
    fn decode(&mut self, encoded: &mut BytesMut, plain: &mut BytesMut) -> io::Result<()>;
}

/// A stream whose bytes are compressed in both directions.
#[derive(Debug)]
pub struct Compressed<S, C> {
    stream: S,
    codec: C,
    input: BytesMut,
    plain: BytesMut,
    output: Vec<u8>,
    /// How many bytes of `output` have been written.
    written: usize,
    /// Whether something was encoded since the codec was flushed.
    is_unflushed: bool,
}

impl<S, C: Codec> Compressed<S, C> {
    /// The stream, from now on compressed.
    pub fn new(stream: S, codec: C) -> Self {
        Self {
            stream,
            codec,
            input: BytesMut::new(),
            plain: BytesMut::new(),
            output: Vec::new(),
            written: 0,
            is_unflushed: false,
        }
    }

    /// Decodes what there is. Returns whether anything came of it.
    fn decode(&mut self) -> io::Result<bool> {
        loop {
            let before = self.input.len();
            self.codec.decode(&mut self.input, &mut self.plain)?;
            if !self.plain.is_empty() {
                return Ok(true);
            }
            if self.input.len() == before {
                return Ok(false);
            }
        }
    }
}

impl<S: AsyncWrite + Unpin, C> Compressed<S, C> {
    /// Writes what is encoded.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let bytes = &self.output[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.output.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin, C: Codec + Unpin> AsyncRead for Compressed<S, C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.plain.is_empty() && !this.decode()? {
            let before = this.input.len();
            this.input.reserve(READ_BYTES);
            let read = poll_read_more(&mut this.stream, context, &mut this.input);
            if read.is_pending() && this.input.is_empty() {
                // An idle connection holds no buffer.
                this.input = BytesMut::new();
            }
            ready!(read)?;
            if this.input.len() == before {
                // What is left is half of something: the stream ends there.
                return Poll::Ready(Ok(()));
            }
        }
        let count = this.plain.len().min(buffer.remaining());
        buffer.put_slice(&this.plain[..count]);
        this.plain.advance(count);
        if this.plain.is_empty() {
            this.plain = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// Appends what the stream has to `input`, within its capacity.
fn poll_read_more<S: AsyncRead + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    input: &mut BytesMut,
) -> Poll<io::Result<()>> {
    let mut reading = std::pin::pin!(tokio::io::AsyncReadExt::read_buf(stream, input));
    std::future::Future::poll(reading.as_mut(), context).map_ok(|_| ())
}

impl<S: AsyncWrite + Unpin, C: Codec + Unpin> AsyncWrite for Compressed<S, C> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // What is encoded never waits for more than one step.
        if this.output.len() - this.written >= PLAIN_BYTES_MAX {
            ready!(this.poll_drain(context))?;
        }
        let count = bytes.len().min(PLAIN_BYTES_MAX);
        this.codec.encode(&bytes[..count], &mut this.output);
        this.is_unflushed = true;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.is_unflushed) {
            this.codec.flush(&mut this.output);
        }
        ready!(this.poll_drain(context))?;
        // An idle connection holds no buffer.
        this.output = Vec::new();
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::deflate::Deflate;
    use crate::transport::snappy::Snappy;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// Both ends of a connection that holds little, compressed.
    fn pair<C: Codec + Unpin>(codec: impl Fn() -> C) -> [Compressed<tokio::io::DuplexStream, C>; 2] {
        let (one, other) = duplex(100);
        [Compressed::new(one, codec()), Compressed::new(other, codec())]
    }

    async fn carries_everything<C: Codec + Unpin>(codec: impl Fn() -> C) {
        let [mut one, mut other] = pair(codec);
        let sent: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
        let writing = async {
            one.write_all(&sent).await.unwrap();
            one.flush().await.unwrap();
            one.shutdown().await.unwrap();
        };
        let mut read = Vec::new();
        let (_, count) = tokio::join!(writing, other.read_to_end(&mut read));
        count.unwrap();
        assert!(read == sent);
    }

    #[tokio::test]
    async fn a_connection_carries_everything() {
        carries_everything(Snappy::new).await;
        carries_everything(|| Deflate::new(3)).await;
    }

    #[tokio::test]
    async fn what_was_flushed_can_be_read() {
        let [mut one, mut other] = pair(|| Deflate::new(6));
        for text in [&b"first"[..], b"then"] {
            one.write_all(text).await.unwrap();
            one.flush().await.unwrap();
            let mut read = vec![0; text.len()];
            other.read_exact(&mut read).await.unwrap();
            assert_eq!(read, text);
        }
    }

    #[tokio::test]
    async fn flushing_twice_writes_nothing_more() {
        let [mut one, mut other] = pair(|| Deflate::new(6));
        one.write_all(b"text").await.unwrap();
        one.flush().await.unwrap();
        other.read_exact(&mut [0; 4]).await.unwrap();
        one.flush().await.unwrap();
        let left = tokio::time::timeout(std::time::Duration::ZERO, other.stream.read_u8()).await;
        assert!(left.is_err(), "an idle connection is silent");
    }

    #[tokio::test]
    async fn input_that_is_no_such_stream_is_an_error() {
        let (mut client, server) = duplex(100);
        client.write_all(b"PUB t\n").await.unwrap();
        let error = Compressed::new(server, Snappy::new()).read_u8().await.unwrap_err();
        assert_eq!(error.to_string(), "snappy: no identifier");
    }

    #[tokio::test]
    async fn a_stream_that_ends_in_the_middle_ends() {
        let (mut client, server) = duplex(100);
        client.write_all(b"\xff\x06\x00\x00sNaPpY\x00\xff").await.unwrap();
        drop(client);
        let error = Compressed::new(server, Snappy::new()).read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
