//! What a connection can be wrapped into after `IDENTIFY` (spec nsqd-tcp.md, §4): TLS, and compression within it.
//!
//! Each layer is a stream around a stream and knows one thing: [`prefixed`] gives bytes back that were read too early,
//! [`read_ahead`] reads more than it is asked for, [`deadline`] ends what takes too long, [`tls`] shakes hands,
//! [`compressed`] drives one of the codecs [`snappy`] and [`deflate`], which are pure. [`Transport`] is the whole: a plain
//! socket until something is agreed on. None of them knows what is said.

pub mod compressed;
pub mod deadline;
pub mod deflate;
pub mod prefixed;
pub mod read_ahead;
pub mod snappy;
pub mod tls;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of bytes in both directions, whatever it is made of.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// A connection: the socket itself, which is what most are, or what has been put around it.
pub enum Transport<S> {
    /// Nothing was agreed on.
    Plain(S),
    /// TLS, compression, or one in the other.
    Layered(Box<dyn Duplex>),
}

impl<S> Transport<S> {
    /// Takes the socket out, to put something around it; nothing can be said here until it is put back.
    pub fn take_plain(&mut self) -> Option<S> {
        match std::mem::replace(self, Self::Layered(Box::new(tokio::io::empty()))) {
            Self::Plain(stream) => Some(stream),
            layered => {
                *self = layered;
                None
            }
        }
    }
}

impl<S: Duplex> AsyncRead for Transport<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Layered(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<S: Duplex> AsyncWrite for Transport<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Layered(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Layered(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Layered(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
