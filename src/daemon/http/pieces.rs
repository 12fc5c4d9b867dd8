//! JSON too large to be held as a whole: made piece by piece, as fast as the client takes it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame};

use super::reply::Reply;

/// Up to which size a body is put together and sent with its length, in bytes.
const WHOLE_BYTES_MAX: usize = 256 * 1024;

/// A successful answer made of the pieces that `next` gives until there are no more. What is long is sent in chunks,
/// and a piece is only asked for once the ones before are on their way.
pub fn json_in_pieces<F>(mut next: F) -> Response
where
    F: FnMut() -> Option<Bytes> + Send + Unpin + 'static,
{
    let mut begun = BytesMut::new();
    while begun.len() <= WHOLE_BYTES_MAX {
        match next() {
            Some(piece) => begun.extend_from_slice(&piece),
            None => return Reply::Json(begun.freeze()).into_response(),
        }
    }
    let mut response = Reply::Json(Bytes::new()).into_response();
    *response.body_mut() = Body::new(Pieces { begun: Some(begun.freeze()), next });
    response
}

struct Pieces<F> {
    /// What was put together before it proved long; sent first.
    begun: Option<Bytes>,
    next: F,
}

impl<F: FnMut() -> Option<Bytes> + Unpin> HttpBody for Pieces<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.begun.take().or_else(|| (self.next)());
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body's announced length and its bytes, of `count` pieces of 1 KiB.
    async fn answer(count: usize) -> (Option<u64>, Bytes) {
        let mut left = count;
        let response = json_in_pieces(move || {
            left = left.checked_sub(1)?;
            Some(Bytes::from(vec![b'x'; 1024]))
        });
        assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
        let length = response.body().size_hint().exact();
        (length, axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap())
    }

    #[tokio::test]
    async fn a_short_body_has_a_length_and_a_long_one_is_complete_without() {
        assert_eq!(answer(0).await, (Some(0), Bytes::new()));
        let (length, body) = answer(3).await;
        assert_eq!((length, body.len()), (Some(3 * 1024), 3 * 1024));
        let (length, body) = answer(1000).await;
        assert_eq!((length, body.len()), (None, 1000 * 1024));
    }
}
