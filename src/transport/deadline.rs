//! A stream that fails once its time is over: for a handshake, which must not take for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Reading and writing fail from the deadline on, until it is [lifted](Self::lift).
#[derive(Debug)]
pub struct Deadline<S> {
    stream: S,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Deadline<S> {
    /// The stream, which fails at `deadline`.
    pub fn new(stream: S, deadline: Instant) -> Self {
        Self { stream, timer: Some(Box::pin(sleep_until(deadline))) }
    }

    /// From now on it may take as long as it likes.
    pub fn lift(&mut self) {
        self.timer = None;
    }

    /// The stream.
    pub fn into_inner(self) -> S {
        self.stream
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let is_over = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready());
        if is_over { Err(io::Error::new(io::ErrorKind::TimedOut, "i/o timeout")) } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deadline<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_fails() {
        let (_client, server) = duplex(16);
        let mut server = Deadline::new(server, Instant::now() + Duration::from_secs(5));
        let error = server.read_u8().await.unwrap_err();
        assert_eq!(error.to_string(), "i/o timeout");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lifted_deadline_means_nothing() {
        let (mut client, server) = duplex(16);
        let mut server = Deadline::new(server, Instant::now() + Duration::from_secs(5));
        server.lift();
        tokio::time::sleep(Duration::from_secs(6)).await;
        client.write_u8(7).await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), 7);
    }
}
