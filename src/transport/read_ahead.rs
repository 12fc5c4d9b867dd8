//! A stream of which much is read at once, for a layer that asks for little at a time.
//!
//! rustls reads 4 KiB whatever waits: four system calls and more for a record. What lies ahead is held here instead.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// How much is read at once, in bytes: several of TLS's records, which have up to 16 KiB.
const AHEAD_BYTES: usize = 64 * 1024;

/// Reads up to [`AHEAD_BYTES`] and gives them in the pieces that are asked for. Writing goes straight to the stream.
#[derive(Debug)]
pub struct ReadAhead<S> {
    ahead: BytesMut,
    stream: S,
}

impl<S> ReadAhead<S> {
    /// The stream, of which nothing has been read.
    pub fn new(stream: S) -> Self {
        Self { ahead: BytesMut::new(), stream }
    }

    /// The stream, to be looked after.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream; what was read ahead is lost.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            this.ahead.reserve(AHEAD_BYTES);
            let mut reading = std::pin::pin!(this.stream.read_buf(&mut this.ahead));
            let read = std::future::Future::poll(reading.as_mut(), context);
            if read.is_pending() {
                // An idle connection holds no buffer.
                this.ahead = BytesMut::new();
            }
            ready!(read)?;
        }
        let count = this.ahead.len().min(buffer.remaining());
        buffer.put_slice(&this.ahead[..count]);
        this.ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_comes_is_given_in_the_pieces_that_are_asked_for() {
        let (mut client, server) = duplex(300_000);
        let sent: Vec<u8> = (0..50_000_u32).flat_map(u32::to_be_bytes).collect();
        client.write_all(&sent).await.unwrap();
        drop(client);
        let mut stream = ReadAhead::new(server);
        let mut read = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let count = stream.read(&mut piece).await.unwrap();
            if count == 0 {
                break;
            }
            read.extend_from_slice(&piece[..count]);
        }
        assert!(read == sent);
    }

    #[tokio::test]
    async fn many_small_reads_are_one_of_the_stream() {
        let (mut client, server) = duplex(AHEAD_BYTES);
        client.write_all(&[7; AHEAD_BYTES]).await.unwrap();
        let mut stream = ReadAhead::new(server);
        stream.read_u8().await.unwrap();
        assert_eq!(stream.ahead.len(), AHEAD_BYTES - 1);
    }

    #[tokio::test]
    async fn an_idle_stream_holds_no_buffer() {
        let (mut client, server) = duplex(100);
        client.write_all(b"x").await.unwrap();
        let mut stream = ReadAhead::new(server);
        stream.read_u8().await.unwrap();
        let more = tokio::time::timeout(std::time::Duration::ZERO, stream.read_u8()).await;
        assert!(more.is_err() && stream.ahead.capacity() == 0);
    }
}
