//! Request bodies: read with a limit by the handler, and what it leaves read away before the answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than allowed. When its length was announced, nothing of it has been read.
    #[error("the request body is longer than {limit} bytes")]
    TooBig {
        /// The most that was allowed, in bytes.
        limit: usize,
    },
    /// The client went away, or what it sent is no body.
    #[error("the request body broke off")]
    Broken(#[source] axum::Error),
}

/// Reads a body of at most `limit` bytes. The bytes themselves are counted, so a chunked body is bounded too.
pub async fn read_body(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(BodyError::TooBig { limit });
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        if data.len() > limit - first.len().max(whole.len()) {
            return Err(BodyError::TooBig { limit });
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(announced as usize);
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
    }
    // A body that came in one piece is not copied.
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// One body with two readers, one after the other: the handler, and whoever clears up after it.
pub(super) struct SharedBody<B>(Arc<Mutex<State<B>>>);

struct State<B> {
    body: B,
    /// Set as soon as anybody asks for a part of the body, which is when `100 Continue` is sent.
    asked: bool,
    ended: bool,
}

impl<B> SharedBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    pub(super) fn new(body: B) -> Self {
        let ended = body.is_end_stream();
        Self(Arc::new(Mutex::new(State { body, asked: false, ended })))
    }

    pub(super) fn handle(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Reads away what is left, so that the next request of the connection can be read. False when that is not
    /// worth while: too much is left, or the client waits for a `100 Continue` before it sends any.
    pub(super) async fn clear(mut self, waits_for_continue: bool) -> bool {
        {
            let state = self.state();
            if state.ended {
                return true;
            }
            let is_too_much = state.body.size_hint().lower() > CLEARED_BYTES_MAX as u64;
            if is_too_much || (waits_for_continue && !state.asked) {
                return false;
            }
        }
        let mut cleared = 0;
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            let Ok(frame) = frame else { return false };
            cleared += frame.data_ref().map_or(0, Bytes::len);
            if cleared > CLEARED_BYTES_MAX {
                return false;
            }
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock().expect("no code that holds the lock of a request's body panics")
    }
}

impl<B> HttpBody for SharedBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut state = self.state();
        state.asked = true;
        let frame = Pin::new(&mut state.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) {
            state.ended = true;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.state().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.state().body.size_hint()
    }
}

/// How much of an unread body is read away to keep a connection; a longer one costs the connection.
const CLEARED_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use std::collections::VecDeque;
    use std::convert::Infallible;

    /// A body of unknown length in pieces.
    struct Pieces(VecDeque<Bytes>);

    impl Pieces {
        fn new(pieces: &[&'static [u8]]) -> Self {
            Self(pieces.iter().copied().map(Bytes::from_static).collect())
        }
    }

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_is_read() {
        for pieces in [&[b"abcdef".as_slice()][..], &[b"abc", b"", b"de", b"f"]] {
            assert_eq!(read_body(Body::new(Pieces::new(pieces)), 6).await.unwrap(), "abcdef");
            assert!(matches!(
                read_body(Body::new(Pieces::new(pieces)), 5).await,
                Err(BodyError::TooBig { limit: 5 })
            ));
        }
        assert_eq!(read_body(Body::empty(), 0).await.unwrap(), "");
    }

    #[tokio::test]
    async fn an_announced_length_over_the_limit_is_refused_unread() {
        let shared = SharedBody::new(Full::new(Bytes::from_static(b"abcdef")));
        assert!(read_body(Body::new(shared.handle()), 5).await.is_err());
        assert!(!shared.state().asked);
        assert!(!shared.handle().clear(true).await, "the client was never asked for the body");
        assert!(shared.clear(false).await, "a short rest is read away");
    }

    #[tokio::test]
    async fn a_long_rest_is_not_read_away() {
        let piece: &'static [u8] = &[0; 64 * 1024];
        assert!(SharedBody::new(Pieces::new(&[piece; 4])).clear(false).await);
        assert!(!SharedBody::new(Pieces::new(&[piece; 5])).clear(false).await);
        let announced = SharedBody::new(Full::new(Bytes::from(vec![0; CLEARED_BYTES_MAX + 1])));
        assert!(!announced.handle().clear(false).await);
        assert!(!announced.state().asked);
    }
}
