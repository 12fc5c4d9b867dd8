//! A limit on how long a request's head may take to arrive.
//!
//! A connection that has sent nothing since its last answer may stay: clients keep connections to publish now
//! and then. One that has begun a head, and one that has never sent any, must go on. (Where a head's beginning came in one
//! piece with the request before it, that is not seen here until more of it comes; till then the connection is as good as
//! idle.)

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a head may take, from its first part (for a connection's first head: from the start) to its end.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A stream whose reads fail once a head takes too long.
pub(super) struct HeadTimeout<IO> {
    io: IO,
    phase: Phase,
    /// Whether a head is to come to its end: from its first byte until the phase changes, and at the start.
    is_timed: bool,
    /// Set when it is waited for. A head that comes in one piece, as nearly all do, is not, and needs no timer.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Tells the stream when a head has been read and when its request has been answered.
#[derive(Clone, Default)]
pub(super) struct Phase(Arc<AtomicU8>);

impl Phase {
    pub(super) fn head_was_read(&self) {
        self.0.store(BUSY, Ordering::Relaxed);
    }

    pub(super) fn request_was_answered(&self) {
        self.0.store(ANSWERED, Ordering::Relaxed);
    }
}

/// A head is awaited.
const AWAITING: u8 = 0;
/// From a head's end to its answer: what is read is the request's body.
const BUSY: u8 = 1;
/// Since the answer nothing has been read.
const ANSWERED: u8 = 2;

impl<IO> HeadTimeout<IO> {
    /// Must be read within a tokio runtime.
    pub(super) fn new(io: IO, phase: Phase) -> Self {
        Self { io, phase, is_timed: true, timer: None }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for HeadTimeout<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let phase = self.phase.0.load(Ordering::Relaxed);
        if phase != AWAITING {
            (self.is_timed, self.timer) = (false, None);
        }
        if phase == ANSWERED {
            self.phase.0.store(AWAITING, Ordering::Relaxed);
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Ready(outcome) => {
                let some_arrived = buf.filled().len() > before;
                self.is_timed |= some_arrived && phase != BUSY;
                Poll::Ready(outcome)
            }
            Poll::Pending if !self.is_timed => Poll::Pending,
            Poll::Pending => {
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(HEAD_TIMEOUT)));
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the head of a request took too long",
                )))
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for HeadTimeout<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_first_head_that_never_comes_ends_the_connection() {
        let (_client, server) = duplex(64);
        let started = Instant::now();
        let mut stream = HeadTimeout::new(server, Phase::default());
        assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= HEAD_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_counts_from_its_first_byte() {
        let (mut client, server) = duplex(64);
        let phase = Phase::default();
        let mut stream = HeadTimeout::new(server, phase.clone());
        client.write_all(b"ab").await.unwrap();
        stream.read_u8().await.unwrap();
        phase.head_was_read();
        stream.read_u8().await.unwrap();
        phase.request_was_answered();

        let idle = HEAD_TIMEOUT * 100;
        let waited = tokio::time::timeout(idle, stream.read_u8()).await;
        assert!(waited.is_err(), "a connection may be idle for long");

        client.write_all(b"c").await.unwrap();
        let started = Instant::now();
        stream.read_u8().await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), HEAD_TIMEOUT.as_secs());
    }
}
