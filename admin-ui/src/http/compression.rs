//! Answers as small as the client can take them: gzip or deflate, whichever its `Accept-Encoding` names first.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use hyper::body::{Body as HttpBody, Frame};

/// The answer, compressed if the client wants that, and it is not yet. A stream of events is, event by event: each is to arrive at
/// once.
pub(super) fn compressed(request: &HeaderMap, mut response: Response) -> Response {
    let is_empty = response.body().is_end_stream();
    let has_encoding = response.headers().contains_key(CONTENT_ENCODING);
    let Some(encoding) = wanted(request).filter(|_| !is_empty && !has_encoding) else {
        return response;
    };
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    let encoder = match encoding {
        "gzip" => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::default())),
        _ => Encoder::Deflate(DeflateEncoder::new(Vec::new(), Compression::default())),
    };
    response.map(|body| Body::new(Compressed { body, encoder: Some(encoder) }))
}

/// The first of the two that is named; exactly so, as in v1.3.0.
pub(super) fn wanted(request: &HeaderMap) -> Option<&'static str> {
    let named = request.get(ACCEPT_ENCODING)?.to_str().ok()?;
    named.split(',').find_map(|token| match token.trim() {
        "gzip" => Some("gzip"),
        "deflate" => Some("deflate"),
        _ => None,
    })
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    /// Without the frame of zlib around it.
    Deflate(DeflateEncoder<Vec<u8>>),
}

impl Encoder {
    /// What there is of the compressed form once this is in it. Writing to memory does not fail.
    fn write(&mut self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip(encoder) => {
                let _ = encoder.write_all(data);
                std::mem::take(encoder.get_mut())
            }
            Self::Deflate(encoder) => {
                let _ = encoder.write_all(data);
                std::mem::take(encoder.get_mut())
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.finish().unwrap_or_default(),
            Self::Deflate(encoder) => encoder.finish().unwrap_or_default(),
        }
    }
}

struct Compressed {
    body: Body,
    /// `None` once all has been said.
    encoder: Option<Encoder>,
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            if self.encoder.is_none() {
                return Poll::Ready(None);
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context)).transpose()?;
            let data = frame.map(|frame| frame.into_data().unwrap_or_default());
            let made = match (data, self.encoder.as_mut()) {
                (Some(data), Some(encoder)) => encoder.write(&data),
                _ => self.encoder.take().map(Encoder::finish).unwrap_or_default(),
            };
            if !made.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(made.into()))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::{DeflateDecoder, GzDecoder};

    use super::*;

    fn request(accepted: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_str(accepted).unwrap())])
    }

    async fn answer(accepted: &str) -> (Option<String>, Vec<u8>) {
        let response = compressed(&request(accepted), Response::new(Body::from("abc".repeat(1000))));
        let encoding = response.headers().get(CONTENT_ENCODING);
        let encoding = encoding.map(|value| value.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (encoding, body.to_vec())
    }

    #[tokio::test]
    async fn the_first_encoding_that_is_named_is_used() {
        let mut text = String::new();
        let (encoding, body) = answer("br, gzip, deflate").await;
        assert_eq!(encoding.as_deref(), Some("gzip"));
        GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc".repeat(1000));
        text.clear();
        let (encoding, body) = answer("deflate,gzip").await;
        assert_eq!(encoding.as_deref(), Some("deflate"));
        DeflateDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc".repeat(1000));
        for accepted in ["gzip;q=0", "identity", "x-gzip", ""] {
            assert_eq!(answer(accepted).await, (None, "abc".repeat(1000).into_bytes()), "{accepted}");
        }
    }

    #[tokio::test]
    async fn what_is_compressed_stays_as_it_is() {
        let mut response = Response::new(Body::from("abc"));
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let body = compressed(&request("gzip"), response).into_body();
        assert_eq!(axum::body::to_bytes(body, usize::MAX).await.unwrap(), "abc");
    }
}
